import { crc32 } from 'node:zlib';
import { Refusal } from '@countersign/protocol';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Book, bookChecksum, readBookChange } from '../../src/streams/book.ts';
import { canonicalDecimal, decimalKey } from '../../src/streams/decimal.ts';
import type { BookLevel, JsonObject } from '../../src/streams/publication.ts';

const digits = fc.stringMatching(/^[0-9]{1,19}$/);
const decimal = fc.oneof(
  digits,
  fc.tuple(digits, digits).map(([whole, fraction]) => `${whole}.${fraction}`),
);

/** The value as a whole number of 10^-20, so that a test compares without our own code. */
function scaled(text: string): bigint {
  const [whole = '', fraction = ''] = text.split('.');
  return BigInt(whole + fraction.padEnd(20, '0'));
}

describe('decimals', () => {
  test('keys order as the values do, and are equal where they are', () => {
    fc.assert(
      fc.property(decimal, decimal, (a, b) => {
        const [ka, kb] = [decimalKey(a), decimalKey(b)];
        expect(ka < kb ? -1 : ka > kb ? 1 : 0).toBe(
          scaled(a) < scaled(b) ? -1 : scaled(a) > scaled(b) ? 1 : 0,
        );
      }),
      { numRuns: 2000 },
    );
  });

  test('the canonical form keeps the value and is one per value', () => {
    fc.assert(
      fc.property(decimal, (text) => {
        const canonical = canonicalDecimal(text);
        expect(scaled(canonical)).toBe(scaled(text));
        expect(canonicalDecimal(canonical)).toBe(canonical);
        expect(canonical).toMatch(/^(0|[1-9][0-9]*)(\.[0-9]*[1-9])?$/);
      }),
    );
  });

  test.each([
    '',
    '.',
    '1.',
    '.5',
    '-1',
    '+1',
    '1e5',
    '1.2.3',
    ' 1',
    '1 ',
    '1,5',
    'NaN',
    'Infinity',
    '0x1',
    '١',
    '1'.repeat(41),
  ])('refuses %j', (text) => {
    expect(() => canonicalDecimal(text)).toThrow(Refusal);
  });
});

/** The slowest book that could be right: a list, sorted by exact value each time. */
class NaiveBook {
  levels: BookLevel[] = [];
  apply(reset: boolean, changes: BookLevel[]): void {
    if (reset) this.levels = [];
    for (const change of changes) {
      this.levels = this.levels.filter(
        ([side, price]) => side !== change[0] || scaled(price) !== scaled(change[1]),
      );
      if (scaled(change[2]) !== 0n) this.levels.push(change);
    }
  }
  sorted(depth = Number.POSITIVE_INFINITY): BookLevel[] {
    const side = (which: string, sign: number) =>
      this.levels
        .filter(([name]) => name === which)
        .sort((a, b) => (scaled(a[1]) < scaled(b[1]) ? -sign : sign))
        .slice(0, depth);
    return [...side('bid', -1), ...side('ask', 1)];
  }
}

const price = fc.oneof(
  fc.integer({ min: 0, max: 30 }).map((n) => (n / 4).toString()),
  fc.integer({ min: 0, max: 30 }).map((n) => `0${(n / 4).toFixed(3)}`),
  decimal,
);
const level = fc.tuple(
  fc.constantFrom('bid' as const, 'ask' as const),
  price,
  fc.oneof(fc.constantFrom('0', '0.00', '000'), decimal),
);

describe('the book', () => {
  test('equals a naive model after any changes', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.record({
            reset: fc.oneof({ weight: 9, arbitrary: fc.constant(false) }, fc.constant(true)),
            levels: fc.array(level, { maxLength: 8 }),
          }),
          {
            maxLength: 30,
          },
        ),
        (changes) => {
          const book = new Book();
          const naive = new NaiveBook();
          for (const change of changes) {
            book.apply(change);
            naive.apply(change.reset, change.levels);
            expect(book.levels()).toEqual(naive.sorted());
            expect(book.levels(3)).toEqual(naive.sorted(3));
          }
        },
      ),
    );
  });

  test('holds a price once, however it is spelled, and shows the last spelling', () => {
    const book = new Book();
    book.apply({
      levels: [
        ['bid', '1.50', '2'],
        ['bid', '01.5', '3.0'],
      ],
    });
    expect(book.levels()).toEqual([['bid', '01.5', '3.0']]);
    book.apply({ levels: [['bid', '1.5', '0.000']] });
    expect(book.levels()).toEqual([]);
  });

  test('applies nothing of a malformed change', () => {
    const book = new Book();
    book.apply({ levels: [['bid', '1', '1']] });
    expect(() =>
      book.apply({
        reset: true,
        levels: [
          ['bid', '2', '2'],
          ['ask', '1e9', '1'],
        ],
      }),
    ).toThrow(Refusal);
    expect(book.levels()).toEqual([['bid', '1', '1']]);
  });

  test('refuses to grow beyond its limit', () => {
    const book = new Book(2);
    book.apply({
      levels: [
        ['bid', '1', '1'],
        ['bid', '2', '1'],
        ['ask', '3', '1'],
      ],
    });
    expect(() => book.apply({ levels: [['bid', '1.5', '1']] })).toThrow(Refusal);
  });

  test.each<[string, JsonObject]>([
    ['no levels', {}],
    ['levels that are no list', { levels: 'x' }],
    ['a level that is no list', { levels: [{}] }],
    ['a level with too few members', { levels: [['bid', '1']] }],
    ['an unknown side', { levels: [['offer', '1', '1']] }],
    ['a price as a number', { levels: [['bid', 1, '1']] }],
    ['a reset that is no boolean', { reset: 1, levels: [] }],
    ['a negative quantity', { levels: [['bid', '1', '-1']] }],
  ])('a change with %s is refused', (_, data) => {
    expect(() => readBookChange(data)).toThrow(Refusal);
  });
});

describe('the checksum', () => {
  test('is CRC-32 of the documented text', () => {
    const book = new Book();
    book.apply({
      levels: [
        ['bid', '99', '1.0'],
        ['ask', '101', '3'],
        ['bid', '0100.50', '2'],
      ],
    });
    expect(book.checksum()).toBe(crc32('100.5:2|99:1|101:3'));
    // The well-known check value, so that "CRC-32" means the one of zlib.
    expect(crc32('123456789')).toBe(0xcbf43926);
  });

  test('of an empty book is 0', () => {
    expect(new Book().checksum()).toBe(0);
    expect(bookChecksum([])).toBe(0);
  });

  test('sees the tenth level of a side and not the eleventh', () => {
    const levels = (n: number, quantity: string): BookLevel[] =>
      Array.from({ length: 11 }, (_, i) => ['bid', String(100 - i), i === n ? quantity : '1']);
    const plain = bookChecksum(levels(-1, ''));
    expect(bookChecksum(levels(9, '2'))).not.toBe(plain);
    expect(bookChecksum(levels(10, '2'))).toBe(plain);
  });

  test('does not depend on how the decimals were spelled', () => {
    expect(bookChecksum([['ask', '01.10', '2.0']])).toBe(bookChecksum([['ask', '1.1', '2']]));
  });
});
