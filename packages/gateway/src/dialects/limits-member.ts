/** The additive member `limits` of an answer: how much of the budget is left. */

/** What a peer is told of its budget. */
export interface Meter {
  readonly limit: number;
  readonly remaining: number;
  /** Seconds. */
  readonly reset: number;
  /** Seconds; null if nothing was refused. */
  readonly retryAfter: number | null;
}

/** Adds `limits` to a ready text that is a JSON object; any other text comes back as it is. */
export function withLimits(text: string, { limit, remaining, reset, retryAfter }: Meter): string {
  if (text.length < 3 || !text.endsWith('}')) return text;
  const retry = retryAfter === null ? '' : `,"retryAfter":${retryAfter}`;
  return `${text.slice(0, -1)},"limits":{"limit":${limit},"remaining":${remaining},"reset":${Math.ceil(reset)}${retry}}}`;
}
