/** Exact decimals: integers inside, strings on the wire, never a float between them. */

/** `units` x 10^-`scale`, without trailing zeros: `decimal(1050n, 2)` is "10.5". */
export function decimal(units: bigint | number, scale: number): string {
  const whole = BigInt(units);
  const digits = (whole < 0n ? -whole : whole).toString().padStart(scale + 1, '0');
  const head = digits.slice(0, digits.length - scale);
  const tail = digits.slice(digits.length - scale).replace(/0+$/, '');
  return `${whole < 0n ? '-' : ''}${head}${tail === '' ? '' : `.${tail}`}`;
}

/** The inverse for what clients send. Null for anything but a plain non-negative decimal that fits `scale` and 30 digits. */
export function parseDecimal(text: unknown, scale: number): bigint | null {
  if (typeof text !== 'string' || text.length > 40) return null;
  const match = /^(\d{1,30})(?:\.(\d{1,30}))?$/.exec(text);
  if (match === null) return null;
  const fraction = (match[2] ?? '').replace(/0+$/, '');
  if (fraction.length > scale) return null;
  return BigInt(match[1]! + fraction.padEnd(scale, '0'));
}

/** Rounds towards zero. */
export const ratio = (numerator: bigint, denominator: bigint, scale: number): string =>
  denominator === 0n ? '0' : decimal((numerator * 10n ** BigInt(scale)) / denominator, scale);
