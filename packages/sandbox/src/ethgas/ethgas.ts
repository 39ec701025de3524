/** The ETHGas side of the venue: every public and private channel of the slot markets, as publications. */
import { Counter } from '../engine/market.ts';
import type { Side } from '../engine/order-book.ts';
import { type Random, seeded } from '../engine/random.ts';
import type { Principal } from '../principal.ts';
import type { JsonObject, Publication } from '../publication.ts';
import { Accounts } from './accounts.ts';
import { Builders } from './builders.ts';
import { Calendar } from './calendar.ts';
import { MARKET_TYPES, type MarketType, type SlotMarket } from './slot-market.ts';
import { slotAt } from './slots.ts';
import { bookLevels, candleUpdate, MARKET_STATUS, marketUpdate, ticker, tradeUpdate } from './words.ts';

export class Ethgas {
  readonly calendar: Calendar;
  readonly accounts: Accounts;
  readonly builders: Builders;
  readonly #random: Random;
  #out: Publication[] = [];
  /** Candles that were published open, to be published closed. */
  readonly #candles = new Map<SlotMarket, number>();
  /** The sales of the slot whose bundles were last taken: the answer of `inclusionPreconfTopSales`. */
  topSales: JsonObject = { s: 0, g: '0', S: [] };

  constructor(seed: string, now: number) {
    const ids = new Counter(170_000_000);
    this.builders = new Builders(seed);
    this.#random = seeded(seed, 'ethgas');
    this.accounts = new Accounts({
      seed,
      ids,
      builders: this.builders,
      find: (instrument) => this.calendar.find(instrument),
      publish: (publication) => this.#out.push(publication),
    });
    this.calendar = new Calendar(seed, ids, this.accounts.desk.onFill);
    this.calendar.advance(now);
  }

  markets(type: MarketType | null = null): SlotMarket[] {
    const all = [...this.calendar.markets.values()];
    return type === null ? all : all.filter((slotMarket) => slotMarket.type === type);
  }

  /** Lets `events` things happen and says what changed. */
  step(now: number, events: number, acting: readonly Principal[]): Publication[] {
    this.#advance(now);
    // Before anybody trades: what was open a moment ago is complete.
    this.#closeCandles(now);
    const markets = this.markets();
    for (let i = 0; i < events && markets.length > 0; i++) {
      // Squared: near slots trade more than far ones.
      markets[Math.floor(this.#random.next() ** 2 * markets.length)]!.crowd.act(now);
    }
    for (const principal of acting) this.accounts.act(principal, markets, now);
    for (const slotMarket of markets) this.#report(slotMarket, now);
    const out = this.#out;
    this.#out = [];
    return out;
  }

  /** The present state, for a gateway that has none: books start over, everything else is repeated. */
  snapshot(now: number): Publication[] {
    const list: Publication[] = [];
    for (const slotMarket of this.markets()) {
      slotMarket.market.book.takeChanges();
      const to = about(slotMarket, now);
      const data = marketUpdate(slotMarket, MARKET_STATUS.enabled, now);
      list.push({ channel: 'preconfMarketUpdate', ...to, action: 'Snapshot', data });
      list.push({ channel: 'orderBookUpdate', ...to, data: wholeBook(slotMarket) });
      list.push({ channel: 'tickerUpdate', ...to, data: ticker(slotMarket, now) });
    }
    list.push({ channel: 'blockBuilderUpdate', key: '', time: now, data: this.builders.of(slotAt(now)) });
    list.push({ channel: 'inclusionPreconfSaleUpdate', key: '', time: now, data: this.topSales });
    return list;
  }

  #advance(now: number): void {
    const { opened, expired, submitted, began } = this.calendar.advance(now);
    for (const slotMarket of expired) this.#expire(slotMarket, now);
    for (const slotMarket of submitted) this.#submit(slotMarket, now);
    for (const slotMarket of opened) {
      slotMarket.market.book.takeChanges();
      const to = about(slotMarket, now);
      const data = marketUpdate(slotMarket, MARKET_STATUS.enabled, now);
      this.#out.push({ channel: 'preconfMarketUpdate', ...to, action: 'NewEpoch', data });
      this.#out.push({ channel: 'orderBookUpdate', ...to, data: wholeBook(slotMarket) });
    }
    if (began === null) return;
    this.#out.push({ channel: 'blockBuilderUpdate', key: '', time: now, data: this.builders.of(began) });
    const changed = this.builders.change(began);
    if (changed === null) return;
    const data = this.builders.of(changed);
    this.#out.push({
      channel: 'blockBuilderUpdate',
      key: '',
      time: now,
      action: 'BlockBuilderChanged',
      data,
    });
  }

  #expire(slotMarket: SlotMarket, now: number): void {
    slotMarket.updatedAt = now;
    this.accounts.expire(slotMarket, now);
    const to = { ...about(slotMarket, now), remove: true };
    const last = slotMarket.market.tape.candles.at(-1);
    this.#candles.delete(slotMarket);
    if (last !== undefined) {
      this.#out.push({ channel: 'candlestickUpdate', ...to, data: candleUpdate(slotMarket, last, true) });
    }
    this.#out.push({ channel: 'tickerUpdate', ...to, data: ticker(slotMarket, now) });
    this.#out.push({ channel: 'orderBookUpdate', ...to, data: { reset: true, levels: [] } });
    const data = marketUpdate(slotMarket, MARKET_STATUS.expired, now);
    this.#out.push({ channel: 'preconfMarketUpdate', ...to, action: 'MarketExpiry', data });
  }

  #submit(slotMarket: SlotMarket, now: number): void {
    slotMarket.updatedAt = now;
    this.accounts.submit(slotMarket, now);
    const data = marketUpdate(slotMarket, MARKET_STATUS.submissionEnded, now);
    // The item left the snapshot when it expired; without `remove` this would bring it back.
    const to = { ...about(slotMarket, now), remove: true, action: 'BundleSubmissionDeadline' };
    this.#out.push({ channel: 'preconfMarketUpdate', ...to, data });
    if (slotMarket.type !== 'inclusionPreconf') return;
    const { tape } = slotMarket.market;
    const best = [...tape.trades].sort((a, b) => b.price - a.price || a.id - b.id).slice(0, 10);
    const sales = best.map((trade) => {
      const { p, q } = tradeUpdate(slotMarket, trade);
      return { p: p!, q: q! };
    });
    this.topSales = { s: slotMarket.slot, g: String(tape.sold), S: sales };
    this.#out.push({ channel: 'inclusionPreconfSaleUpdate', key: '', time: now, data: this.topSales });
  }

  #report(slotMarket: SlotMarket, now: number): void {
    const { book, tape } = slotMarket.market;
    const changes = book.takeChanges();
    const trades = tape.takeFresh();
    if (changes.length === 0 && trades.length === 0) return;
    slotMarket.updatedAt = now;
    const to = about(slotMarket, now);
    for (const trade of trades) {
      this.#out.push({ channel: 'recentTradeUpdate', ...to, data: tradeUpdate(slotMarket, trade) });
    }
    this.#out.push({ channel: 'orderBookUpdate', ...to, data: { levels: bookLevels(slotMarket, changes) } });
    this.#out.push({ channel: 'tickerUpdate', ...to, data: ticker(slotMarket, now) });
    if (trades.length === 0) return;
    const data = marketUpdate(slotMarket, MARKET_STATUS.enabled, now);
    this.#out.push({ channel: 'preconfMarketUpdate', ...to, data });
    const candle = tape.candles.at(-1)!;
    this.#candles.set(slotMarket, candle.start);
    this.#out.push({ channel: 'candlestickUpdate', ...to, data: candleUpdate(slotMarket, candle, false) });
  }

  #closeCandles(now: number): void {
    for (const [slotMarket, start] of this.#candles) {
      const { tape, spec } = slotMarket.market;
      if (now < start + spec.candleInterval) continue;
      const candle = tape.candles.find((each) => each.start === start);
      this.#candles.delete(slotMarket);
      if (candle === undefined) continue;
      const data = candleUpdate(slotMarket, candle, true);
      this.#out.push({ channel: 'candlestickUpdate', ...about(slotMarket, now), data });
    }
  }
}

export const isMarketType = (value: unknown): value is MarketType =>
  MARKET_TYPES.includes(value as MarketType);

const about = (slotMarket: SlotMarket, now: number) => ({
  key: slotMarket.type,
  time: now,
  item: slotMarket.market.spec.id,
});

function wholeBook(slotMarket: SlotMarket): JsonObject {
  const { book } = slotMarket.market;
  const levels = (['bid', 'ask'] as const).flatMap((side: Side) =>
    book.levels(side).map(([price, quantity]): [Side, number, number] => [side, price, quantity]),
  );
  return { reset: true, levels: bookLevels(slotMarket, levels) };
}
