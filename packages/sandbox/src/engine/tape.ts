/** What a market has traded: recent trades, candles, and a day's statistics, all folded from the same trades. */
import type { Side } from './order-book.ts';

export interface Trade {
  id: number;
  price: number;
  quantity: number;
  /** The side of the order that came second. */
  taker: Side;
  /** Wall-clock milliseconds. */
  time: number;
}

export interface Candle {
  /** First millisecond of the interval. */
  start: number;
  open: number;
  high: number;
  low: number;
  close: number;
  volume: number;
}

/** Adds `trade` to the candle it belongs to; intervals without trades have no candle. */
export function fold(candles: Candle[], trade: Trade, interval: number): void {
  const start = Math.floor(trade.time / interval) * interval;
  const last = candles[candles.length - 1];
  // A wall clock that steps back must not reopen a closed candle: such trades count in the newest one.
  if (last === undefined || last.start < start) {
    const { price, quantity } = trade;
    candles.push({ start, open: price, high: price, low: price, close: price, volume: quantity });
    return;
  }
  last.high = Math.max(last.high, trade.price);
  last.low = Math.min(last.low, trade.price);
  last.close = trade.price;
  last.volume += trade.quantity;
}

const TRADES_KEPT = 500;
const CANDLES_KEPT = 350;
const DAY = 86_400_000;

export class Tape {
  readonly interval: number;
  /** Oldest first, bounded. */
  readonly trades: Trade[] = [];
  readonly candles: Candle[] = [];
  /** One candle per hour: the rolling day. */
  readonly #hours: Candle[] = [];
  /** Trades since they were last taken. */
  #fresh: Trade[] = [];
  sold = 0;

  constructor(interval: number) {
    this.interval = interval;
  }

  add(trade: Trade): void {
    this.trades.push(trade);
    if (this.trades.length > TRADES_KEPT) this.trades.shift();
    fold(this.candles, trade, this.interval);
    if (this.candles.length > CANDLES_KEPT) this.candles.shift();
    fold(this.#hours, trade, DAY / 24);
    if (this.#hours.length > 25) this.#hours.shift();
    this.#fresh.push(trade);
    if (this.#fresh.length > TRADES_KEPT) this.#fresh.shift();
    this.sold += trade.quantity;
  }

  get last(): Trade | undefined {
    return this.trades[this.trades.length - 1];
  }

  /** +1, 0, -1: how the last price compares to the one before. */
  get direction(): number {
    const [before, last] = this.trades.slice(-2);
    return before === undefined || last === undefined ? 0 : Math.sign(last.price - before.price);
  }

  takeFresh(): Trade[] {
    const fresh = this.#fresh;
    this.#fresh = [];
    return fresh;
  }

  /** The last 24 hours; null before the first trade. */
  day(now: number): Omit<Candle, 'start'> | null {
    const hours = this.#hours.filter((hour) => hour.start > now - DAY);
    const first = hours[0] ?? this.#hours[this.#hours.length - 1];
    const last = this.#hours[this.#hours.length - 1];
    if (first === undefined || last === undefined) return null;
    return {
      open: first.open,
      high: Math.max(...hours.map((hour) => hour.high), last.close),
      low: Math.min(...hours.map((hour) => hour.low), last.close),
      close: last.close,
      volume: hours.reduce((sum, hour) => sum + hour.volume, 0),
    };
  }
}
