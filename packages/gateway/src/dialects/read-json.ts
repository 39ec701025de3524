import type { Json, JsonObject, Position } from '../streams/publication.ts';

/** Deepest nesting that a message may have (requirement R66). */
const MAX_DEPTH = 8;

export const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/**
 * Reads a message. Null for anything but one JSON object of bounded depth. An own `__proto__` member is
 * refused as well: no request has a use for it, and a later copy by assignment would set a prototype.
 */
export function readObject(text: string): JsonObject | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  return isObject(value) && harmless(value, 1) ? value : null;
}

/** The same for one JSON list. */
export function readArray(text: string): Json[] | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  return Array.isArray(value) && harmless(value, 1) ? value : null;
}

function harmless(value: Json, depth: number): boolean {
  if (typeof value !== 'object' || value === null) return true;
  if (depth > MAX_DEPTH) return false;
  if (Array.isArray(value)) return value.every((inner) => harmless(inner, depth + 1));
  for (const name of Object.keys(value)) {
    if (name === '__proto__' || !harmless(value[name] as Json, depth + 1)) return false;
  }
  return true;
}

/** A word of the peer's, quoted for an error sentence and cut to 64 characters. */
export function quoted(word: unknown): string {
  const text = typeof word === 'string' ? word : typeof word;
  return JSON.stringify(text.length > 64 ? text.slice(0, 64) : text);
}

/** A stream position as clients write it, or null. */
export function readPosition(value: unknown): Position | null {
  if (!isObject(value)) return null;
  const { epoch, sequence } = value;
  if (typeof epoch !== 'string' || epoch.length === 0 || epoch.length > 64) return null;
  if (typeof sequence !== 'number' || !Number.isSafeInteger(sequence) || sequence < 0) return null;
  return { epoch, sequence };
}

export const positionText = ({ epoch, sequence }: Position): string =>
  `{"epoch":${JSON.stringify(epoch)},"sequence":${sequence}}`;

/** Digits and a point need no escaping; whatever else stands where a decimal belongs is escaped. */
const PLAIN_DECIMAL = /^[0-9.]+$/;

/** A decimal string as JSON text, several times faster than `JSON.stringify` for what is nearly always there. */
export const decimalText = (decimal: string): string =>
  PLAIN_DECIMAL.test(decimal) ? `"${decimal}"` : JSON.stringify(decimal);
