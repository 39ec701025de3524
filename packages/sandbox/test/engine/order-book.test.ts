import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Counter, Market, type MarketSpec } from '../../src/engine/market.ts';
import { type Order, OrderBook } from '../../src/engine/order-book.ts';
import { type Candle, fold } from '../../src/engine/tape.ts';

let next = 0;
const order = (side: 'bid' | 'ask', price: number, quantity: number): Order => ({
  id: ++next,
  side,
  price,
  quantity,
  remaining: quantity,
  owner: null,
});

test('the best price trades first, and at one price whoever came first', () => {
  const book = new OrderBook();
  const [far, first, second] = [order('ask', 12, 5), order('ask', 11, 5), order('ask', 11, 5)];
  for (const each of [far, first, second]) book.submit(each, true, () => {});
  const met: [number, number, number][] = [];
  book.submit(order('bid', 12, 7), true, ({ maker, price, quantity }) =>
    met.push([maker.id, price, quantity]),
  );
  expect(met).toEqual([
    [first.id, 11, 5],
    [second.id, 11, 2],
  ]);
  expect(book.levels('ask')).toEqual([
    [11, 3],
    [12, 5],
  ]);
});

test('what is left of an order rests only if it may', () => {
  const book = new OrderBook();
  book.submit(order('bid', 10, 4), false, () => {});
  expect(book.best('bid')).toBeNull();
  book.submit(order('bid', 10, 4), true, () => {});
  expect(book.levels('bid')).toEqual([[10, 4]]);
});

test('a cancelled order is gone, once', () => {
  const book = new OrderBook();
  const mine = order('bid', 10, 4);
  book.submit(mine, true, () => {});
  expect(book.cancel(mine.id)).toBe(true);
  expect(book.cancel(mine.id)).toBe(false);
  expect(book.levels('bid')).toEqual([]);
});

const SPEC: MarketSpec = {
  id: 'A-B',
  base: 'A',
  quote: 'B',
  priceScale: 2,
  quantityScale: 0,
  minPrice: 1,
  maxPrice: 1000,
  minQuantity: 1,
  maxQuantity: 1000,
  candleInterval: 100,
};

const step = fc.record({
  side: fc.constantFrom('bid' as const, 'ask' as const),
  price: fc.integer({ min: 1, max: 30 }),
  quantity: fc.integer({ min: 1, max: 20 }),
  force: fc.constantFrom('GTC' as const, 'GTC' as const, 'IOC' as const, 'FOK' as const),
  postOnly: fc.boolean(),
  cancel: fc.option(fc.nat({ max: 50 })),
  pause: fc.nat({ max: 60 }),
});

test('whatever is done to it, a book is not crossed, adds up, and is told by its changes; candles fold the trades', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const market = new Market(SPEC, new Counter(0));
      const orders: Order[] = [];
      const told = { bid: new Map<number, number>(), ask: new Map<number, number>() };
      let now = 0;
      for (const each of steps) {
        now += each.pause;
        if (each.cancel !== null && orders[each.cancel] !== undefined)
          market.book.cancel(orders[each.cancel]!.id);
        const placed = market.order(each.side, each.price, each.quantity, null);
        if (market.place(placed, each.force, each.postOnly, now) === null) orders.push(placed);

        const bid = market.book.best('bid');
        const ask = market.book.best('ask');
        if (bid !== null && ask !== null) expect(bid).toBeLessThan(ask);
        for (const [side, price, quantity] of market.book.takeChanges()) {
          if (quantity === 0) told[side].delete(price);
          else told[side].set(price, quantity);
        }
        for (const side of ['bid', 'ask'] as const) {
          const sums = new Map<number, number>();
          for (const resting of market.book.orders()) {
            expect(resting.remaining).toBeGreaterThan(0);
            if (resting.side === side)
              sums.set(resting.price, (sums.get(resting.price) ?? 0) + resting.remaining);
          }
          expect(new Map(market.book.levels(side))).toEqual(sums);
          expect(told[side]).toEqual(sums);
        }
      }
      const candles: Candle[] = [];
      for (const trade of market.tape.trades) {
        expect(trade.quantity).toBeGreaterThan(0);
        fold(candles, trade, SPEC.candleInterval);
      }
      expect(market.tape.candles).toEqual(candles);
      for (const candle of candles) {
        const inside = market.tape.trades.filter(
          ({ time }) => time >= candle.start && time < candle.start + 100,
        );
        expect(candle).toEqual({
          start: candle.start,
          open: inside[0]!.price,
          close: inside.at(-1)!.price,
          high: Math.max(...inside.map(({ price }) => price)),
          low: Math.min(...inside.map(({ price }) => price)),
          volume: inside.reduce((sum, { quantity }) => sum + quantity, 0),
        });
      }
    }),
  );
});
