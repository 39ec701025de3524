/** The additive member `limits` of an answer: how much of the budget is left. */

/** What a peer is told of its budget. */
export interface Allowance {
  readonly limit: number;
  readonly remaining: number;
  /** Seconds. */
  readonly reset: number;
  /** Seconds; null if nothing was refused. */
  readonly retryAfter: number | null;
}

/**
 * Adds `limits` to a ready text that is a JSON object, or a list (a Socket.IO packet) whose last entry is one. Any
 * other text comes back as it is.
 */
export function withLimits(text: string, { limit, remaining, reset, retryAfter }: Allowance): string {
  const tail = text.endsWith(']') ? 2 : 1;
  if (text.length < 3 || text[text.length - tail] !== '}') return text;
  const retry = retryAfter === null ? '' : `,"retryAfter":${retryAfter}`;
  const member = `"limits":{"limit":${limit},"remaining":${remaining},"reset":${Math.ceil(reset)}${retry}}`;
  const comma = text[text.length - tail - 1] === '{' ? '' : ',';
  return `${text.slice(0, -tail)}${comma}${member}${text.slice(-tail)}`;
}
