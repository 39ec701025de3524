/** An order book of absolute levels, exact to the last digit. It knows nothing of streams: see `order-book.ts`. */
import { crc32 } from './crc32.ts';
import { canonical, isDecimal, isZero } from './decimal.ts';
import { type Level, Side } from './side.ts';

/** A level as it changes: the quantity is absolute, zero (however written) removes it. */
export type LevelChange = readonly [side: 'bid' | 'ask', price: string, quantity: string];

/** Levels of each side that the checksum covers. */
const CHECKSUM_DEPTH = 10;

export class Book {
  readonly #bids = new Side('highest');
  readonly #asks = new Side('lowest');

  /** Levels on both sides. */
  get size(): number {
    return this.#bids.size + this.#asks.size;
  }

  get bestBid(): Level | null {
    return this.#bids.top();
  }

  get bestAsk(): Level | null {
    return this.#asks.top();
  }

  /** Best first. @param depth levels per side; default all */
  bids(depth: number = Number.POSITIVE_INFINITY): Level[] {
    return this.#bids.best(depth);
  }

  /** Best first. @param depth levels per side; default all */
  asks(depth: number = Number.POSITIVE_INFINITY): Level[] {
    return this.#asks.best(depth);
  }

  clear(): void {
    this.#bids.clear();
    this.#asks.clear();
  }

  /** Replaces everything. @returns false, with the book cleared, if a level is malformed */
  reset(levels: readonly LevelChange[]): boolean {
    this.clear();
    if (!levels.every(valid)) return false;
    for (const [side, price, quantity] of levels) {
      // Later levels count, as in a change.
      if (isZero(quantity)) this.#side(side).delete(price);
      else this.#side(side).add(price, quantity);
    }
    return true;
  }

  /** Applies levels in order, all or none. @returns false if one is malformed */
  apply(levels: readonly LevelChange[]): boolean {
    if (!levels.every(valid)) return false;
    for (const [side, price, quantity] of levels) {
      if (isZero(quantity)) this.#side(side).delete(price);
      else this.#side(side).set(price, quantity);
    }
    return true;
  }

  /**
   * Equal to the gateway's checksum of the same book: CRC-32 of the best ten bids and then the best ten asks, each as
   * `price:quantity` in canonical decimals, joined with `|`.
   */
  checksum(): number {
    const top = [...this.bids(CHECKSUM_DEPTH), ...this.asks(CHECKSUM_DEPTH)];
    return crc32(top.map(({ price, quantity }) => `${canonical(price)}:${canonical(quantity)}`).join('|'));
  }

  #side(side: 'bid' | 'ask'): Side {
    return side === 'bid' ? this.#bids : this.#asks;
  }
}

const valid = ([side, price, quantity]: LevelChange): boolean =>
  (side === 'bid' || side === 'ask') && isDecimal(price) && isDecimal(quantity);
