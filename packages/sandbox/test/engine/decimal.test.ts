import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decimal, parseDecimal, ratio } from '../../src/engine/decimal.ts';

test('a decimal has no trailing zeros, no exponent and no lone point', () => {
  expect(decimal(1050n, 2)).toBe('10.5');
  expect(decimal(1, 11)).toBe('0.00000000001');
  expect(decimal(0, 8)).toBe('0');
  expect(decimal(1200, 2)).toBe('12');
  expect(decimal(-5n, 1)).toBe('-0.5');
  expect(decimal(36_000_000, 0)).toBe('36000000');
});

test('reading a decimal gives back the integer it was written from', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 10n ** 24n }), fc.integer({ min: 0, max: 18 }), (units, scale) => {
      const text = decimal(units, scale);
      expect(text).toMatch(/^(0|[1-9]\d*)(\.\d*[1-9])?$/);
      expect(parseDecimal(text, scale)).toBe(units);
    }),
  );
});

test.each(['', '-1', '1e5', '.5', '5.', ' 1', '0x10', 'NaN', '1.005', null, 5])(
  '%j is not an amount of cents',
  (value) => {
    expect(parseDecimal(value, 2)).toBeNull();
  },
);

test('a ratio is cut, never rounded up, and of nothing is 0', () => {
  expect(ratio(2n, 3n, 4)).toBe('0.6666');
  expect(ratio(1n, 0n, 4)).toBe('0');
});
