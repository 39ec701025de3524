import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Book as GatewayBook } from '../../../gateway/src/streams/book.ts';
import { canonical, orderKey } from '../../src/books/decimal.ts';
import { Book, type LevelChange } from '../../src/index.ts';

const digits = fc.stringMatching(/^[0-9]{1,6}$/);
const decimal = fc.oneof(
  digits,
  fc.tuple(digits, digits).map(([whole, rest]) => `${whole}.${rest}`),
);
const level: fc.Arbitrary<LevelChange> = fc.tuple(
  fc.constantFrom('bid' as const, 'ask' as const),
  fc.oneof(decimal, fc.constantFrom('1', '1.0', '01', '1.5', '0.5', '10', '9')),
  fc.oneof(decimal, fc.constantFrom('0', '0.00', '00')),
);
const changes = fc.array(fc.record({ reset: fc.boolean(), levels: fc.array(level, { maxLength: 8 }) }), {
  maxLength: 30,
});

test('a book equals the gateway’s after any changes, level by level and by checksum', () => {
  fc.assert(
    fc.property(changes, (all) => {
      const ours = new Book();
      const theirs = new GatewayBook();
      for (const { reset, levels } of all) {
        expect(reset ? ours.reset(levels) : ours.apply(levels)).toBe(true);
        theirs.apply({ reset, levels: levels.map((one) => [...one]) });
        const shown = [
          ...ours.bids().map(({ price, quantity }) => ['bid', price, quantity]),
          ...ours.asks().map(({ price, quantity }) => ['ask', price, quantity]),
        ];
        expect(shown).toEqual(theirs.levels());
        expect(ours.checksum()).toBe(theirs.checksum());
        expect(ours.bestBid).toEqual(ours.bids(1)[0] ?? null);
        expect(ours.bestAsk).toEqual(ours.asks(1)[0] ?? null);
        expect(ours.size).toBe(theirs.size);
      }
    }),
    { numRuns: 300 },
  );
});

test('keys order as the numbers do, also where floats cannot tell them apart', () => {
  const big = fc.tuple(fc.bigInt({ min: 0n, max: 10n ** 25n }), fc.bigInt({ min: 0n, max: 10n ** 12n }));
  const text = ([whole, part]: [bigint, bigint]) => `${whole}.${String(part).padStart(13, '0')}`;
  const value = ([whole, part]: [bigint, bigint]) => whole * 10n ** 13n + part;
  fc.assert(
    fc.property(big, big, (a, b) => {
      const [left, right] = [orderKey(text(a)), orderKey(text(b))];
      expect(left < right).toBe(value(a) < value(b));
      expect(left === right).toBe(value(a) === value(b));
    }),
  );
});

test.each([
  ['00.50', '0.5'],
  ['3.00', '3'],
  ['0', '0'],
  ['000', '0'],
  ['0.0', '0'],
  ['0100.10', '100.1'],
])('the canonical form of %s is %s', (text, short) => {
  expect(canonical(text)).toBe(short);
});

test('the checksum of the documented example is the CRC-32 of its text', () => {
  const book = new Book();
  book.apply([
    ['bid', '99', '1.0'],
    ['ask', '101', '3'],
    ['bid', '100.50', '2'],
  ]);
  expect(book.checksum()).toBe(0xebbe36b9);
});

test.each<LevelChange>([
  ['bid', '1e5', '1'],
  ['bid', '-1', '1'],
  ['ask', '1', ''],
  ['ask', '1', '1.'],
  ['ask', '1', undefined as unknown as string],
  ['ask', '1'.repeat(41), '1'],
])('a change with the level %s %s %s is refused whole', (...bad) => {
  const book = new Book();
  book.apply([['bid', '1', '1']]);
  expect(book.apply([['bid', '1', '2'], bad])).toBe(false);
  expect(book.bestBid).toEqual({ price: '1', quantity: '1' });
});

test('prices that are one and the same number to a float are levels of their own, in their order', () => {
  const close = ['0.1', '0.10000000000000000001', '0.10000000000000000002', '0.09999999999999999999'];
  expect(new Set(close.map(Number)).size).toBe(1);
  for (const shuffled of [close, [...close].reverse()]) {
    const changed = new Book();
    const replaced = new Book();
    changed.apply(shuffled.map((price) => ['bid', price, '1']));
    replaced.reset(shuffled.map((price) => ['bid', price, '1']));
    const sorted = ['0.10000000000000000002', '0.10000000000000000001', '0.1', '0.09999999999999999999'];
    for (const book of [changed, replaced]) expect(book.bids().map(({ price }) => price)).toEqual(sorted);
    changed.apply([['bid', '0.10000000000000000001', '0']]);
    expect(changed.bids().map(({ price }) => price)).toEqual(sorted.filter((_, n) => n !== 1));
  }
});
