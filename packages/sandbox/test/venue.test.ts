import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SLOT, slotAt, slotTime } from '../src/ethgas/slots.ts';
import type { BookLevel, JsonObject, Publication } from '../src/publication.ts';
import { Venue } from '../src/venue.ts';

const START = slotTime(4_417_832) + 500;
const ANN = {
  userId: '78',
  accounts: [
    { accountId: 242, type: 1 },
    { accountId: 243, type: 2 },
  ],
};

function run(
  seed: string,
  {
    ticks,
    tick = 100,
    events = 40,
    live = [ANN],
  }: { ticks: number; tick?: number; events?: number; live?: (typeof ANN)[] },
) {
  const venue = new Venue({ seed, eventsPerTick: events, ticksPerAct: 3 }, START);
  venue.setLive(live);
  const rounds: Publication[][] = [venue.opening(START)];
  for (let i = 1; i <= ticks; i++) rounds.push(venue.tick(START + i * tick));
  return { venue, rounds, end: START + ticks * tick };
}

type Level = [price: number, quantity: string, text: string];

/** What a subscriber makes of the book publications. */
class Books {
  readonly #books = new Map<string, { bid: Map<string, string>; ask: Map<string, string> }>();

  apply({ channel, key, item, data }: Publication): void {
    const name = `${channel}/${item ?? key}`;
    const { reset, levels } = data as unknown as { reset?: boolean; levels: BookLevel[] };
    if (reset === true) this.#books.set(name, { bid: new Map(), ask: new Map() });
    const book = this.#books.get(name);
    if (book === undefined) throw new Error(`an update before the snapshot of ${name}`);
    for (const [side, price, quantity] of levels) {
      if (quantity === '0') book[side].delete(price);
      else book[side].set(price, quantity);
    }
  }
  names(): string[] {
    return [...this.#books.keys()];
  }
  best(name: string, side: 'bid' | 'ask'): Level | undefined {
    const levels = [...this.#books.get(name)![side]].map(
      ([text, quantity]): Level => [Number(text), quantity, text],
    );
    return levels.sort((a, b) => (side === 'bid' ? b[0] - a[0] : a[0] - b[0]))[0];
  }
}

const DECIMAL = /^-?(0|[1-9]\d*)(\.\d*[1-9])?$/;

/** Every string that looks like a number is an exact decimal. */
function checkNumbers(value: unknown, name = ''): void {
  if (typeof value === 'string') {
    // Order ids that clients choose are hex and may look like anything.
    if (name === 'client_order_id' || (name === 'c' && /^[0-9a-f]{8}$/.test(value))) return;
    if (/^-?[\d.]+(e[+-]\d+)?$/i.test(value)) expect(value).toMatch(DECIMAL);
  } else if (typeof value === 'number') expect(Number.isSafeInteger(value)).toBe(true);
  else if (typeof value === 'object' && value !== null) {
    for (const [key, each] of Object.entries(value)) checkNumbers(each, key);
  }
}

test('the same seed and the same clock give the same publications, another seed others', () => {
  const one = run('a', { ticks: 150 });
  expect(run('a', { ticks: 150 }).rounds).toEqual(one.rounds);
  expect(run('b', { ticks: 150 }).rounds).not.toEqual(one.rounds);
});

test('every product opens with trades of its past, newest first, and no trade is told twice', () => {
  const { venue, rounds } = run('past', { ticks: 100, events: 80, live: [] });
  const told = rounds.map((round) => round.filter(({ channel }) => channel === 'market_trades'));
  expect(told[0]!.map(({ key }) => key).sort()).toEqual([...venue.brokerage.listings.keys()].sort());
  const ids = told.flat().flatMap(({ data }) => (data.trades as JsonObject[]).map((made) => made.trade_id));
  expect(new Set(ids).size).toBe(ids.length);
  for (const { data } of told[0]!) {
    const times = (data.trades as JsonObject[]).map(({ time }) => Date.parse(String(time)));
    expect(times.length).toBeGreaterThan(0);
    expect(times).toEqual([...times].sort((a, b) => b - a));
  }
});

test('publications are plain JSON', () => {
  const { rounds } = run('a', { ticks: 50 });
  expect(JSON.parse(JSON.stringify(rounds))).toEqual(rounds);
});

test('books are never crossed, tickers agree with the books and trades, numbers are exact decimals', () => {
  fc.assert(
    fc.property(fc.string({ minLength: 1, maxLength: 8 }), (seed) => {
      const { rounds } = run(seed, { ticks: 40, tick: 250 });
      const books = new Books();
      const lastTrade = new Map<string, unknown>();
      let tickers = 0;
      for (const round of rounds) {
        for (const publication of round) {
          const { channel, key, item, data } = publication;
          checkNumbers(data);
          if (channel === 'level2' || channel === 'orderBookUpdate') {
            books.apply(publication);
            for (const [, , quantity] of data.levels as unknown as BookLevel[])
              expect(quantity).not.toMatch(/^-/);
          } else if (channel === 'ticker') {
            const [ticker] = data.tickers as JsonObject[];
            const bid = books.best(`level2/${key}`, 'bid');
            const ask = books.best(`level2/${key}`, 'ask');
            expect([ticker!.best_bid, ticker!.best_bid_quantity]).toEqual([bid?.[2] ?? '', bid?.[1] ?? '0']);
            expect([ticker!.best_ask, ticker!.best_ask_quantity]).toEqual([ask?.[2] ?? '', ask?.[1] ?? '0']);
            expect(Number(ticker!.low_24_h)).toBeLessThanOrEqual(Number(ticker!.price));
            expect(Number(ticker!.high_24_h)).toBeGreaterThanOrEqual(Number(ticker!.price));
            lastTrade.set(key, ticker!.price);
            tickers += 1;
          } else if (channel === 'market_trades') {
            // Batches go out in the same tick here, after the ticker; newest first.
            expect((data.trades as JsonObject[])[0]!.price).toBe(lastTrade.get(key));
          } else if (channel === 'recentTradeUpdate') lastTrade.set(item!, data.p);
          else if (channel === 'tickerUpdate' && publication.remove !== true) {
            expect(data.b).toBe(books.best(`orderBookUpdate/${item}`, 'bid')?.[2] ?? null);
            expect(data.A).toBe(books.best(`orderBookUpdate/${item}`, 'ask')?.[2] ?? null);
            if (lastTrade.has(item!)) expect(data.p).toBe(lastTrade.get(item!));
          }
        }
        for (const name of books.names()) {
          const [bid, ask] = [books.best(name, 'bid'), books.best(name, 'ask')];
          if (bid !== undefined && ask !== undefined) expect(bid[0]).toBeLessThan(ask[0]);
        }
      }
      expect(tickers).toBeGreaterThan(38);
    }),
    { numRuns: 4 },
  );
});

test('closed candles are the fold of the published trades', () => {
  const { rounds } = run('candles', { ticks: 200, events: 80, live: [] });
  const all = rounds.flat();
  const trades = all.filter(({ channel }) => channel === 'recentTradeUpdate').map(({ data }) => data);
  const closed = all.filter(({ channel, data }) => channel === 'candlestickUpdate' && data.F === true);
  expect(closed.length).toBeGreaterThan(50);
  for (const { data } of closed) {
    const start = Number(data.t);
    const inside = trades.filter(
      ({ i, d }) => i === data.I && Number(d) >= start && Number(d) < start + 1000,
    );
    const byPrice = [...inside].sort((a, b) => Number(a.p) - Number(b.p));
    expect([data.o, data.h, data.l, data.c]).toEqual([
      inside[0]!.p,
      byPrice.at(-1)!.p,
      byPrice[0]!.p,
      inside.at(-1)!.p,
    ]);
    expect(data.v).toBe(String(inside.reduce((sum, { q }) => sum + Number(q), 0)));
  }
});

describe('the slot calendar', () => {
  const { rounds, end } = run('slots', { ticks: 850, tick: 1000, events: 4 });
  const markets = rounds.flat().filter(({ channel }) => channel === 'preconfMarketUpdate');

  test('markets expire four seconds before their block, then bundles end, and both leave the snapshot', () => {
    const expired = markets.filter(({ action }) => action === 'MarketExpiry');
    const ended = markets.filter(({ action }) => action === 'BundleSubmissionDeadline');
    expect(expired.length).toBe(2 * (slotAt(end + 4000) - slotAt(START)));
    for (const { time, remove, data } of expired) {
      expect(remove).toBe(true);
      expect([data.e, data.M]).toEqual([2, Number(data.b) - 4000]);
      expect(time - Number(data.M)).toBeLessThan(1000);
    }
    for (const { time, remove, data } of ended) {
      expect([remove, data.e]).toEqual([true, 3]);
      expect(time - Number(data.a)).toBeLessThan(1000);
    }
  });

  test('every epoch opens the 32 slots of the next one, in both market types', () => {
    const opened = markets.filter(({ action }) => action === 'NewEpoch');
    expect(opened.length % 64).toBe(0);
    expect(opened.length).toBeGreaterThan(0);
    for (const { item, key, data } of opened) {
      const inclusion = key === 'inclusionPreconf';
      expect(item).toBe(`ETH-${inclusion ? 'PC' : 'WB'}-${Number(data.s)}`);
      expect(data.m).toBe((inclusion ? 1 : 2) * 10 ** 12 + Number(data.s));
      expect(Number(data.b)).toBe(slotTime(Number(data.s)));
    }
  });

  test('a market that is over is never published again', () => {
    const over = new Set<string>();
    for (const { channel, item, remove } of rounds.flat()) {
      if (item === undefined) continue;
      if (remove === true) over.add(`${channel}/${item}`);
      else expect(over.has(`${channel}/${item}`)).toBe(false);
    }
    expect(over.size).toBeGreaterThan(100);
  });

  test('a builder is named for every slot and sometimes changes', () => {
    const builders = rounds.flat().filter(({ channel }) => channel === 'blockBuilderUpdate');
    expect(builders.filter(({ action }) => action === 'BlockBuilderChanged').length).toBeGreaterThan(0);
    for (const { data } of builders) expect(data.p).toMatch(/^0x[0-9a-f]{96}$/);
  });

  test('a clock that jumps ahead or back leaves a working venue', () => {
    const venue = new Venue({ seed: 'jump', eventsPerTick: 20, ticksPerAct: 0 }, START);
    venue.tick(START + 40 * 32 * SLOT);
    expect(venue.ethgas.markets()[0]!.slot).toBeGreaterThanOrEqual(slotAt(START + 40 * 32 * SLOT));
    venue.tick(START);
    expect(venue.tick(START + 100).length).toBeGreaterThan(0);
  });
});

test('a signed-in user gets orders, fills and positions; nobody else does', () => {
  const { rounds } = run('users', { ticks: 400 });
  const keys = new Map<string, Set<string>>();
  for (const { channel, key } of rounds.flat()) keys.set(channel, (keys.get(channel) ?? new Set()).add(key));
  const types = new Set(['inclusionPreconf/243', 'wholeBlock/243']);
  for (const channel of ['accountOrderUpdate', 'accountTransactionUpdate', 'accountPositionUpdate']) {
    expect([...keys.get(channel)!].every((key) => types.has(key))).toBe(true);
  }
  expect([...keys.get('preconfBundleUpdate')!]).toEqual(['243']);
  expect([...keys.get('user')!]).toEqual(['78']);
  expect([...keys.get('futures_balance_summary')!]).toEqual(['78']);

  const alone = run('users', { ticks: 400, live: [] }).rounds.flat();
  expect(alone.some(({ channel }) => /^account|^user$|futures|Bundle/.test(channel))).toBe(false);
});

test('heartbeats come each second with an integer counter and the time in words', () => {
  const { rounds } = run('beats', { ticks: 35 });
  const beats = rounds.flat().filter(({ channel }) => channel === 'heartbeats');
  expect(beats.map(({ data }) => data.heartbeat_counter)).toEqual([1, 2, 3, 4, 5].slice(0, beats.length));
  expect(beats.length).toBeGreaterThanOrEqual(4);
  expect(beats[0]!.data.current_time).toMatch(
    /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \+0000 UTC m=\+\d+\.\d{9}$/,
  );
});

test('every channel of both dialects is published', () => {
  const { rounds } = run('all', { ticks: 400 });
  expect([...new Set(rounds.flat().map(({ channel }) => channel))].sort()).toEqual(
    [
      'accountOrderUpdate',
      'accountPositionUpdate',
      'accountTransactionUpdate',
      'blockBuilderUpdate',
      'candles',
      'candlestickUpdate',
      'futures_balance_summary',
      'heartbeats',
      'inclusionPreconfSaleUpdate',
      'level2',
      'market_trades',
      'orderBookUpdate',
      'preconfBundleUpdate',
      'preconfMarketUpdate',
      'recentTradeUpdate',
      'status',
      'ticker',
      'ticker_batch',
      'tickerUpdate',
      'user',
    ].sort(),
  );
});

test('the status of each product is told under its own key, as the gateway keys the channel', () => {
  const { rounds } = run('status', { ticks: 60 });
  const told = rounds.flat().filter(({ channel }) => channel === 'status');
  const products = new Set(told.map(({ key }) => key));
  expect(products).toContain('BTC-USD');
  for (const { key, data } of told) expect(data.products).toMatchObject([{ id: key }]);
});
