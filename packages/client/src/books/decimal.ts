/**
 * Decimals as text, compared exactly: prices and quantities are money, and no float holds 0.1. Plain decimals only:
 * digits, at most one point with digits on both sides, at most 40 characters.
 */
const PLAIN = /^[0-9]+(?:\.[0-9]+)?$/;
const LONGEST = 40;

export const isDecimal = (text: unknown): text is string =>
  typeof text === 'string' && text.length <= LONGEST && PLAIN.test(text);

/** The shortest spelling of the same number: `"00.50"` is `"0.5"`, `"3.00"` is `"3"`. The text must be a decimal. */
export function canonical(text: string): string {
  let end = text.length;
  if (text.includes('.')) {
    while (text.charCodeAt(end - 1) === 48) end--;
    if (text.charCodeAt(end - 1) === 46) end--;
  }
  let start = 0;
  while (text.charCodeAt(start) === 48) {
    const next = text.charCodeAt(start + 1);
    if (start + 1 >= end || next === 46) break;
    start++;
  }
  return start === 0 && end === text.length ? text : text.slice(start, end);
}

/**
 * A text whose order among its like is that of the numbers. More whole digits means larger, so their count comes
 * first; after it digits decide from the left, and "." is below every digit.
 */
export function orderKey(text: string): string {
  const short = canonical(text);
  const point = short.indexOf('.');
  return String.fromCharCode(48 + (point < 0 ? short.length : point)) + short;
}

export const isZero = (text: string): boolean => {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code !== 48 && code !== 46) return false;
  }
  return true;
};
