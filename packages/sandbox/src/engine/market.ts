/** One instrument: its steps, its book and its tape. Every trade of the venue is made here. */
import { type Match, type Order, OrderBook, type Side } from './order-book.ts';
import { Tape, type Trade } from './tape.ts';

export interface MarketSpec {
  readonly id: string;
  /** What is bought and sold, and what is paid with. */
  readonly base: string;
  readonly quote: string;
  /** One price step is 10^-priceScale, one quantity step 10^-quantityScale. */
  readonly priceScale: number;
  readonly quantityScale: number;
  readonly minPrice: number;
  readonly maxPrice: number;
  readonly minQuantity: number;
  readonly maxQuantity: number;
  /** Milliseconds of one candle. */
  readonly candleInterval: number;
}

export type TimeInForce = 'GTC' | 'IOC' | 'FOK';
export type PlaceRefusal = 'would_cross' | 'cannot_fill';

export type FillListener = (match: Match, trade: Trade, market: Market) => void;

/** Numbers of orders and trades, unique in a venue. */
export class Counter {
  #last: number;
  constructor(start: number) {
    this.#last = start;
  }
  next(): number {
    return ++this.#last;
  }
}

export class Market {
  readonly spec: MarketSpec;
  readonly book = new OrderBook();
  readonly tape: Tape;
  readonly #ids: Counter;
  readonly #onFill: FillListener;

  /** `onFill` hears of matches with an owner on at least one side; it must not place or cancel orders. */
  constructor(spec: MarketSpec, ids: Counter, onFill: FillListener = () => {}) {
    this.spec = spec;
    this.tape = new Tape(spec.candleInterval);
    this.#ids = ids;
    this.#onFill = onFill;
  }

  order(side: Side, price: number, quantity: number, owner: string | null): Order {
    return { id: this.#ids.next(), side, price, quantity, remaining: quantity, owner };
  }

  /** Null when accepted. The price and quantity are the caller's to check against the spec. */
  place(order: Order, force: TimeInForce, postOnly: boolean, now: number): PlaceRefusal | null {
    const available = postOnly || force === 'FOK' ? this.book.available(order.side, order.price) : 0;
    if (postOnly && available > 0) return 'would_cross';
    if (force === 'FOK' && available < order.quantity) return 'cannot_fill';
    this.book.submit(order, force === 'GTC', (match) => {
      const trade: Trade = {
        id: this.#ids.next(),
        price: match.price,
        quantity: match.quantity,
        taker: order.side,
        time: now,
      };
      this.tape.add(trade);
      if (match.maker.owner !== null || match.taker.owner !== null) this.#onFill(match, trade, this);
    });
    return null;
  }

  /** Twice the middle of the book, so that it stays an integer; null while a side is empty. */
  doubleMid(): number | null {
    const bid = this.book.best('bid');
    const ask = this.book.best('ask');
    return bid === null || ask === null ? null : bid + ask;
  }
}
