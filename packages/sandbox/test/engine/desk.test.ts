import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Desk, type DeskOrder, type Fill, type OrderRequest } from '../../src/engine/desk.ts';
import { Counter, Market, type MarketSpec } from '../../src/engine/market.ts';

const SPEC: MarketSpec = {
  id: 'ETH-USD',
  base: 'ETH',
  quote: 'USD',
  priceScale: 2,
  quantityScale: 3,
  minPrice: 1,
  maxPrice: 100_000,
  minQuantity: 1,
  maxQuantity: 10_000,
  candleInterval: 1000,
};

function desk() {
  const reports: { status: string; filled: number }[] = [];
  const fills: Fill[] = [];
  const made = new Desk({
    seed: 'test',
    makerFee: 40,
    takerFee: 60,
    opening: (_owner, asset) => (asset === 'USD' ? 1000n : 5n) * 10n ** 18n,
    onOrder: ({ status, filled }) => reports.push({ status, filled }),
    onFill: (fill) => fills.push(fill),
  });
  const market = new Market(SPEC, new Counter(0), made.onFill);
  const request = (
    side: 'bid' | 'ask',
    price: number,
    quantity: number,
    more: Partial<OrderRequest> = {},
  ): OrderRequest => ({
    market,
    side,
    price,
    quantity,
    type: 'limit',
    timeInForce: 'GTC',
    postOnly: false,
    ...more,
  });
  return { desk: made, market, request, reports, fills };
}

const placed = (result: DeskOrder | string): DeskOrder => {
  if (typeof result === 'string') throw new Error(result);
  return result;
};

test('a buy holds what it may cost with its fee, and a fill pays the maker and the taker fee', () => {
  const { desk: made, request, reports } = desk();
  // 0.5 at 200.00 costs 100, and at most 0.60 in fees.
  placed(made.place('ann', request('bid', 20_000, 500), 1));
  expect(made.balance('ann', 'USD')).toEqual({ total: 1000n * 10n ** 18n, held: 1006n * 10n ** 17n });
  placed(made.place('bob', request('ask', 19_000, 500), 2));
  expect(made.balance('ann', 'USD')).toEqual({ total: 8996n * 10n ** 17n, held: 0n });
  expect(made.balance('bob', 'USD')).toEqual({ total: 10_994n * 10n ** 17n, held: 0n });
  expect(made.balance('ann', 'ETH').total).toBe(55n * 10n ** 17n);
  expect(made.balance('bob', 'ETH').total).toBe(45n * 10n ** 17n);
  expect(reports).toEqual([
    { status: 'open', filled: 0 },
    { status: 'filled', filled: 500 },
    { status: 'filled', filled: 500 },
  ]);
});

test('nobody spends what is held or what they do not have', () => {
  const { desk: made, request } = desk();
  placed(made.place('ann', request('bid', 20_000, 4900), 1));
  expect(made.place('ann', request('bid', 20_000, 200), 1)).toBe('insufficient_fund');
  expect(made.place('ann', request('ask', 30_000, 5001), 1)).toBe('insufficient_fund');
});

test('the same client id gives the same order and places nothing', () => {
  const { desk: made, market, request } = desk();
  const first = placed(made.place('ann', request('bid', 100, 10, { clientId: 'one' }), 1));
  expect(made.place('ann', request('bid', 100, 10, { clientId: 'one' }), 1)).toBe(first);
  expect(market.book.levels('bid')).toEqual([[100, 10]]);
});

test('a post-only order that would trade and a fill-or-kill that cannot fill leave no trace', () => {
  const { desk: made, market, request } = desk();
  placed(made.place('ann', request('ask', 100, 10), 1));
  expect(made.place('bob', request('bid', 100, 10, { postOnly: true }), 1)).toBe('would_cross');
  expect(made.place('bob', request('bid', 100, 11, { timeInForce: 'FOK' }), 1)).toBe('cannot_fill');
  expect(made.balance('bob', 'USD').held).toBe(0n);
  expect(market.book.levels('ask')).toEqual([[100, 10]]);
  expect(made.orders('bob')).toEqual([]);
});

test('what an immediate order does not get is cancelled, and expiry ends what rests', () => {
  const { desk: made, market, request } = desk();
  const resting = placed(made.place('ann', request('ask', 100, 10), 1));
  const taking = placed(made.place('bob', request('bid', 100, 25, { timeInForce: 'IOC' }), 1));
  expect(taking).toMatchObject({ status: 'cancelled', filled: 10, held: 0n });
  expect(resting.status).toBe('filled');
  const other = placed(made.place('ann', request('ask', 200, 10), 1));
  made.expire(market, 9);
  expect(other).toMatchObject({ status: 'expired', updatedAt: 9, held: 0n });
  expect(market.book.levels('ask')).toEqual([]);
});

const action = fc.record({
  owner: fc.constantFrom('ann', 'bob', 'cid'),
  side: fc.constantFrom('bid' as const, 'ask' as const),
  price: fc.integer({ min: 9000, max: 11_000 }),
  quantity: fc.integer({ min: 1, max: 4000 }),
  timeInForce: fc.constantFrom('GTC' as const, 'IOC' as const, 'FOK' as const),
  cancel: fc.boolean(),
});

test('coins only move, dollars only move or become fees, nothing is negative, and holds belong to open orders', () => {
  fc.assert(
    fc.property(fc.array(action, { maxLength: 60 }), (actions) => {
      const { desk: made, request, fills } = desk();
      const owners = ['ann', 'bob', 'cid'];
      for (const owner of owners) for (const asset of ['USD', 'ETH']) made.balance(owner, asset);
      for (const { owner, side, price, quantity, timeInForce, cancel } of actions) {
        const open = made.open(owner)[0];
        if (cancel && open !== undefined) made.cancel(owner, open.uuid, 2);
        made.place(owner, request(side, price, quantity, { timeInForce }), 1);
        let dollars = 0n;
        let coins = 0n;
        for (const each of owners) {
          const usd = made.balance(each, 'USD');
          const eth = made.balance(each, 'ETH');
          dollars += usd.total;
          coins += eth.total;
          const holds = { bid: 0n, ask: 0n };
          for (const own of made.open(each)) holds[own.order.side] += own.held;
          expect([usd.held, eth.held]).toEqual([holds.bid, holds.ask]);
          expect(usd.total >= usd.held && usd.held >= 0n && eth.total >= eth.held && eth.held >= 0n).toBe(
            true,
          );
        }
        const fees = fills.reduce((sum, { fee }) => sum + fee, 0n);
        expect([dollars + fees, coins]).toEqual([3000n * 10n ** 18n, 15n * 10n ** 18n]);
      }
    }),
  );
});

test('an asset that is over is forgotten by everybody', () => {
  const { desk: made } = desk();
  for (const owner of ['ann', 'bob']) made.balance(owner, 'ETH').total = 0n;
  made.drop('ETH');
  for (const owner of ['ann', 'bob']) expect([...made.balances(owner).keys()]).toEqual([]);
});
