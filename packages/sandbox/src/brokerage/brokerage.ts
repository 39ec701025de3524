/** The brokerage side of the venue: the Coinbase-like products and their channels, as publications. */
import { Crowd } from '../engine/crowd.ts';
import { Desk, type DeskOrder, MONEY_SCALE } from '../engine/desk.ts';
import { Counter, Market } from '../engine/market.ts';
import { type Random, seeded } from '../engine/random.ts';
import type { Trade } from '../engine/tape.ts';
import type { Principal } from '../principal.ts';
import type { JsonObject, Publication } from '../publication.ts';
import { CANDLE, PRODUCTS } from './products.ts';
import {
  bestQuotes,
  candle,
  futuresSummary,
  iso,
  type Listing,
  levels,
  NO_POSITIONS,
  status,
  ticker,
  trade,
  userOrder,
  wholeBook,
} from './words.ts';

interface Listed extends Listing {
  readonly crowd: Crowd;
  /** Trades that the next quarter of a second sends. */
  trades: Trade[];
  traded: { candle: boolean; batch: boolean };
}

/** What an owner has the first time an asset is looked at. */
const OPENING: Readonly<Record<string, bigint>> = {
  USD: 100_000n,
  USDC: 50_000n,
  EUR: 50_000n,
  BTC: 2n,
  ETH: 30n,
  SOL: 200n,
};
const WARM_UP = 24;
/** Trades of the past that a product's stream opens with. */
const PAST_TRADES = 50;

export class Brokerage {
  readonly listings = new Map<string, Listed>();
  readonly desk: Desk;
  readonly #random: Random;
  readonly #weights: Listed[] = [];
  #out: Publication[] = [];
  #live: readonly Principal[] = [];
  #beats = 0;
  readonly #started: number;
  readonly #done = { batch: 0, second: 0, slow: 0 };

  constructor(seed: string, now: number) {
    const ids = new Counter(600_000_000);
    this.#started = now;
    this.#random = seeded(seed, 'brokerage');
    this.desk = new Desk({
      seed: `${seed}/brokerage`,
      makerFee: 40,
      takerFee: 60,
      opening: (_owner, asset) => (OPENING[asset] ?? 0n) * 10n ** BigInt(MONEY_SCALE),
      onOrder: (own) => this.#onOrder(own),
      onFill: () => {},
    });
    PRODUCTS.forEach((product, index) => {
      const market = new Market(product.spec, ids, this.desk.onFill);
      const random = seeded(seed, product.id);
      const spread = Math.max(2, Math.round(product.price / 4000));
      const crowd = new Crowd(market, random, {
        value: product.price,
        spread,
        size: product.size,
        depth: 60,
      });
      const yearLow = Math.max(1, Math.floor(product.price * (0.4 + random.next() * 0.3)));
      const yearHigh = Math.ceil(product.price * (1.3 + random.next() * 0.8));
      const listed: Listed = {
        product,
        market,
        crowd,
        yearLow,
        yearHigh,
        trades: [],
        traded: { candle: false, batch: true },
      };
      this.listings.set(product.id, listed);
      // The first products are the ones that people watch.
      for (let copies = index < 3 ? 12 : index < 10 ? 3 : 1; copies > 0; copies--) this.#weights.push(listed);
      // A past of two hours, so that candles, statistics and last prices exist from the first moment.
      crowd.open(15, now - WARM_UP * CANDLE);
      for (let step = WARM_UP; step > 0; step--) {
        for (let event = 0; event < 14; event++) crowd.act(now - step * CANDLE + event * 20_000);
      }
      market.book.takeChanges();
      market.tape.takeFresh();
    });
  }

  /** Lets `events` things happen and says what changed. */
  step(now: number, events: number, live: readonly Principal[], acting: readonly Principal[]): Publication[] {
    this.#live = live;
    for (let i = 0; i < events; i++) this.#random.pick(this.#weights).crowd.act(now);
    for (const principal of acting) this.#act(principal, now);
    for (const listed of this.listings.values()) this.#report(listed, now);
    this.#periodic(now);
    const out = this.#out;
    this.#out = [];
    return out;
  }

  /** What was traded before the venue began to publish. Once only. */
  past(now: number): Publication[] {
    return [...this.listings.values()].map(({ market, product }) => {
      // Told here, so that the next step does not tell them again.
      market.tape.takeFresh();
      const trades = market.tape.trades
        .slice(-PAST_TRADES)
        .map((made) => trade(market, made))
        .reverse();
      return { channel: 'market_trades', key: product.id, time: now, data: { trades } };
    });
  }

  /** The present state, for a gateway that has none: books start over, everything else is repeated. */
  snapshot(now: number): Publication[] {
    const list: Publication[] = [];
    for (const listed of this.listings.values()) {
      const { market, product } = listed;
      market.book.takeChanges();
      const to = { key: product.id, time: now };
      list.push({ channel: 'level2', ...to, data: { reset: true, levels: wholeBook(market) } });
      list.push(...this.#tickers(listed, now), this.#batch(listed, now), this.#candles(listed, now));
      list.push(this.#status(listed, now));
    }
    return list;
  }

  #status(listed: Listed, now: number): Publication {
    return { channel: 'status', key: listed.product.id, time: now, data: { products: [status(listed)] } };
  }

  #tickers(listed: Listed, now: number): Publication[] {
    const data: JsonObject = { tickers: [{ ...ticker(listed, now), ...bestQuotes(listed) }] };
    return [{ channel: 'ticker', key: listed.product.id, time: now, data }];
  }

  #batch(listed: Listed, now: number): Publication {
    return {
      channel: 'ticker_batch',
      key: listed.product.id,
      time: now,
      data: { tickers: [ticker(listed, now)] },
    };
  }

  #candles({ market, product }: Listed, now: number): Publication {
    const last = market.tape.candles.slice(-1);
    const candles = last.map((each) => ({ ...candle(market, each), product_id: product.id }));
    return { channel: 'candles', key: product.id, time: now, data: { candles } };
  }

  #report(listed: Listed, now: number): void {
    const { market, product } = listed;
    const changes = market.book.takeChanges();
    const trades = market.tape.takeFresh();
    if (changes.length > 0) {
      const data: JsonObject = { levels: levels(market, changes) };
      this.#out.push({ channel: 'level2', key: product.id, time: now, data });
    }
    if (trades.length === 0) return;
    listed.trades.push(...trades);
    listed.traded = { candle: true, batch: true };
    this.#out.push(...this.#tickers(listed, now));
  }

  #periodic(now: number): void {
    const all = [...this.listings.values()];
    if (this.#passed('batch', now, 250)) {
      for (const listed of all) {
        if (listed.trades.length === 0) continue;
        const trades = listed.trades.map((made) => trade(listed.market, made)).reverse();
        listed.trades = [];
        this.#out.push({ channel: 'market_trades', key: listed.product.id, time: now, data: { trades } });
      }
    }
    if (this.#passed('second', now, 1000)) {
      this.#beat(now);
      for (const listed of all) {
        if (!listed.traded.candle) continue;
        listed.traded.candle = false;
        this.#out.push(this.#candles(listed, now));
      }
    }
    if (this.#passed('slow', now, 5000)) {
      for (const listed of all) {
        this.#out.push(this.#status(listed, now));
        if (!listed.traded.batch) continue;
        listed.traded.batch = false;
        this.#out.push(this.#batch(listed, now));
      }
      for (const { userId } of this.#live) this.#summarize(userId, now);
    }
  }

  /** True once in every `interval` of the wall clock; a clock that steps back starts counting anew. */
  #passed(which: 'batch' | 'second' | 'slow', now: number, interval: number): boolean {
    const current = Math.floor(now / interval);
    if (current === this.#done[which]) return false;
    this.#done[which] = current;
    return true;
  }

  /** Go's time.String() with the monotonic part, as recorded from the live service. */
  #beat(now: number): void {
    this.#beats += 1;
    const uptime = Math.max(0, now - this.#started);
    const monotonic = `${Math.floor(uptime / 1000)}.${String(uptime % 1000).padStart(3, '0')}000000`;
    const wall = iso(now).replace('T', ' ').replace('Z', '');
    const data = { current_time: `${wall} +0000 UTC m=+${monotonic}`, heartbeat_counter: this.#beats };
    this.#out.push({ channel: 'heartbeats', key: '', time: now, data });
  }

  #summarize(userId: string, now: number): void {
    const data = { fcm_balance_summary: futuresSummary(this.desk, userId) };
    this.#out.push({ channel: 'futures_balance_summary', key: userId, time: now, data });
  }

  #onOrder(own: DeskOrder): void {
    const data: JsonObject = { orders: [userOrder(own)], positions: NO_POSITIONS };
    this.#out.push({ channel: 'user', key: own.owner, time: own.updatedAt, data });
  }

  /** What a signed-in user's account does now and then: quote, take a little, cancel. */
  #act({ userId }: Principal, now: number): void {
    const random = this.desk.random(userId);
    const open = this.desk.open(userId);
    if (open.length > 6 || (open.length > 0 && random.chance(0.25))) {
      this.desk.cancel(userId, open[0]!.uuid, now);
      return;
    }
    const { market, product } = random.pick([...this.listings.values()].slice(0, 6));
    const bid = market.book.best('bid');
    const ask = market.book.best('ask');
    if (bid === null || ask === null) return;
    const buys = random.chance(0.5);
    const takes = random.chance(0.4);
    const quantity = Math.max(1, Math.floor(product.size / (10 + random.int(40))));
    this.desk.place(
      userId,
      {
        market,
        side: buys ? 'bid' : 'ask',
        price: buys === takes ? ask : bid,
        quantity,
        type: 'limit',
        timeInForce: takes ? 'IOC' : 'GTC',
        postOnly: !takes,
      },
      now,
    );
  }
}
