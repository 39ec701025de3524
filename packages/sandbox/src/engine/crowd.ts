/** The simulated crowd: random orders around a value that wanders. Trades happen where its orders cross. */
import type { Market } from './market.ts';
import type { Side } from './order-book.ts';
import type { Random } from './random.ts';

export interface CrowdOptions {
  /** Where the value starts, in price steps. */
  readonly value: number;
  /** How far quotes typically lie from the value, in price steps. */
  readonly spread: number;
  /** A typical order, in quantity steps. */
  readonly size: number;
  /** Price levels that a side keeps at most. */
  readonly depth: number;
}

const SIDES: readonly Side[] = ['bid', 'ask'];

export class Crowd {
  readonly #market: Market;
  readonly #random: Random;
  readonly #options: CrowdOptions;
  #value: number;

  constructor(market: Market, random: Random, options: CrowdOptions) {
    this.#market = market;
    this.#random = random;
    this.#options = options;
    this.#value = options.value;
  }

  /** Rests `levels` orders a side, without trades. */
  open(levels: number, now: number): void {
    for (let i = 0; i < levels; i++) {
      for (const side of SIDES) this.#quote(side, now);
    }
  }

  /** One thing that somebody does. */
  act(now: number): void {
    const random = this.#random;
    const { book } = this.#market;
    const side = random.pick(SIDES);
    const dice = random.next();
    if (book.depth(side) < 3 || dice < 0.55) this.#quote(side, now);
    else if (dice < 0.72) this.#withdraw(side);
    else if (dice < 0.9) this.#take(side, now);
    else this.#wander(now);
    for (const each of SIDES) {
      while (book.depth(each) > this.#options.depth && this.#giveUp(each));
    }
  }

  #size(): number {
    const { spec } = this.#market;
    // The product of two uniform numbers: many small orders and a few large ones.
    const wanted = Math.round(this.#options.size * 4 * this.#random.next() * this.#random.next());
    return Math.min(spec.maxQuantity, Math.max(spec.minQuantity, wanted));
  }

  #clamp(price: number): number {
    return Math.min(this.#market.spec.maxPrice, Math.max(this.#market.spec.minPrice, Math.round(price)));
  }

  /** Rests an order behind the value. Never crosses: a maker waits. */
  #quote(side: Side, now: number): void {
    const distance = 1 + Math.floor(-Math.log(1 - this.#random.next()) * this.#options.spread);
    const price = this.#clamp(this.#value + (side === 'bid' ? -distance : distance));
    const best = this.#market.book.best(side === 'bid' ? 'ask' : 'bid');
    if (best !== null && (side === 'bid' ? price >= best : price <= best)) return;
    this.#market.place(this.#market.order(side, price, this.#size(), null), 'GTC', false, now);
  }

  #withdraw(side: Side): void {
    const mine = this.#market.book.worst(side).find((order) => order.owner === null);
    const young = this.#random.chance(0.5) ? this.#inside(side) : undefined;
    const chosen = young ?? mine;
    if (chosen !== undefined) this.#market.book.cancel(chosen.id);
  }

  #inside(side: Side) {
    let seen = 0;
    const at = this.#random.int(8);
    for (const order of this.#market.book.orders()) {
      if (order.side === side && order.owner === null && seen++ === at) return order;
    }
    return undefined;
  }

  #take(side: Side, now: number): void {
    const best = this.#market.book.best(side === 'bid' ? 'ask' : 'bid');
    if (best === null) return;
    const reach = this.#random.int(3) * Math.ceil(this.#options.spread / 4);
    const limit = this.#clamp(best + (side === 'bid' ? reach : -reach));
    this.#market.place(this.#market.order(side, limit, this.#size(), null), 'IOC', false, now);
  }

  /** News: the value moves, and whoever is on the wrong side of it is traded with. */
  #wander(now: number): void {
    const step = (this.#random.next() - 0.5) * 2 * this.#options.spread;
    // A light pull back to the start keeps a market of many days inside its limits.
    const pull = (this.#options.value - this.#value) * 0.002;
    this.#value = this.#clamp(this.#value + step + pull);
    const side: Side = step > 0 ? 'bid' : 'ask';
    const best = this.#market.book.best(side === 'bid' ? 'ask' : 'bid');
    if (best === null || (side === 'bid' ? best >= this.#value : best <= this.#value)) return;
    this.#market.place(this.#market.order(side, this.#value, this.#size(), null), 'IOC', false, now);
  }

  /** False when only users are left on that side: their orders are theirs to cancel. */
  #giveUp(side: Side): boolean {
    const { book } = this.#market;
    let found = [...book.worst(side)].filter((order) => order.owner === null);
    if (found.length === 0) {
      found = [...book.orders()].filter((order) => order.side === side && order.owner === null).slice(0, 1);
    }
    for (const order of found) book.cancel(order.id);
    return found.length > 0;
  }
}
