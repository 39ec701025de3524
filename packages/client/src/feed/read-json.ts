export type JsonObject = { readonly [name: string]: unknown };

export const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Null for anything but one JSON object. */
export function readObject(text: string): JsonObject | null {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : null;
  } catch {
    return null;
  }
}

export const asText = (value: unknown): string | null => (typeof value === 'string' ? value : null);

export const asWhole = (value: unknown): number | null =>
  typeof value === 'number' && Number.isSafeInteger(value) ? value : null;

export function readPosition(value: unknown): { epoch: string; sequence: number } | null {
  if (!isObject(value)) return null;
  const epoch = asText(value.epoch);
  const sequence = asWhole(value.sequence);
  return epoch === null || sequence === null ? null : { epoch, sequence };
}
