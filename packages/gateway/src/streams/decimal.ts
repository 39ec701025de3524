/**
 * Exact comparison of decimal strings, without floats: prices and quantities are money.
 *
 * Accepted: digits, optionally followed by a point and digits; at most 40 characters. No sign, no exponent,
 * no separators, no bare point.
 */
import { Refusal } from '@countersign/protocol';

const LONGEST = 40;
const ZERO = 48;
const NINE = 57;
const POINT = 46;

/**
 * The one spelling of a decimal: no leading zeros in the whole part, no trailing zeros in the fraction
 * (`"00.50"` -> `"0.5"`, `"3.00"` -> `"3"`).
 *
 * @throws Refusal `invalid_request` if the text is not such a decimal
 */
export function canonicalDecimal(text: string): string {
  const length = text.length;
  if (length === 0 || length > LONGEST) throw malformed();
  let point = -1;
  for (let i = 0; i < length; i++) {
    const code = text.charCodeAt(i);
    if (code >= ZERO && code <= NINE) continue;
    if (code !== POINT || point !== -1 || i === 0 || i === length - 1) throw malformed();
    point = i;
  }
  const whole = point === -1 ? length : point;
  let start = 0;
  while (start < whole - 1 && text.charCodeAt(start) === ZERO) start++;
  let end = length;
  if (point !== -1) {
    while (text.charCodeAt(end - 1) === ZERO) end--;
    if (end === point + 1) end = point;
  }
  return start === 0 && end === length ? text : text.slice(start, end);
}

/**
 * A text that orders by plain string comparison as the decimals do by value, and is equal where they are.
 *
 * A canonical decimal with more whole digits is larger; with equally many, digits compare from the left, and
 * since "." sorts before every digit, so do fractions of different lengths. So: one character for the number
 * of whole digits, then the canonical decimal.
 *
 * @throws Refusal `invalid_request` if the text is not a decimal
 */
export function decimalKey(text: string): string {
  const canonical = canonicalDecimal(text);
  const point = canonical.indexOf('.');
  return String.fromCharCode(ZERO + (point === -1 ? canonical.length : point)) + canonical;
}

/** @throws Refusal `invalid_request` if the text is not a decimal */
export function isZero(text: string): boolean {
  return canonicalDecimal(text) === '0';
}

function malformed(): Refusal {
  return new Refusal('invalid_request', 'a price or quantity is not a plain decimal');
}
