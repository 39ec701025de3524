/** An order book, exact to the last digit, kept so that any subscriber can be given a snapshot of it. */
import { crc32 } from 'node:zlib';
import { Refusal } from '@countersign/protocol';
import { canonicalDecimal, decimalKey, isZero } from './decimal.ts';
import type { BookChange, BookLevel, JsonObject } from './publication.ts';

/** Levels per side that the checksum covers. */
export const CHECKSUM_DEPTH = 10;

interface Level {
  price: string;
  quantity: string;
}

/** Keys that may change before the order is brought up to date, at the least. */
const UNSORTED = 1024;

/**
 * One side. The order matters only to whoever looks, and looks are rare beside changes: so changes go to a
 * map, and the next look merges the keys that came and went into the order of the last one.
 */
class Side {
  readonly #levels = new Map<string, Level>();
  readonly #direction: 1 | -1;
  /** Best first; right but for the keys in `#moved`. */
  #order: string[] = [];
  /** Keys that came or went since `#order` was made. */
  #moved = new Set<string>();

  /** @param direction 1 if the lowest price is the best, -1 if the highest is */
  constructor(direction: 1 | -1) {
    this.#direction = direction;
  }

  get size(): number {
    return this.#levels.size;
  }

  set(key: string, price: string, quantity: string): void {
    const level = this.#levels.get(key);
    if (level !== undefined) {
      level.price = price;
      level.quantity = quantity;
      return;
    }
    this.#levels.set(key, { price, quantity });
    this.#move(key);
  }

  delete(key: string): void {
    if (this.#levels.delete(key)) this.#move(key);
  }

  clear(): void {
    this.#levels.clear();
    this.#order = [];
    this.#moved = new Set();
  }

  best(depth: number): Level[] {
    this.#sort();
    const count = Math.min(depth, this.#order.length);
    const out = new Array<Level>(count);
    for (let i = 0; i < count; i++) out[i] = this.#levels.get(this.#order[i]!)!;
    return out;
  }

  #move(key: string): void {
    this.#moved.add(key);
    // Keys that come and go between two looks must not pile up; doing it this rarely costs nothing per change.
    if (this.#moved.size > UNSORTED + this.#order.length) this.#sort();
  }

  #sort(): void {
    if (this.#moved.size === 0) return;
    const moved = this.#moved;
    this.#moved = new Set();
    const compare = (a: string, b: string) => (a < b ? -this.#direction : this.#direction);
    const came = [...moved].filter((key) => this.#levels.has(key)).sort(compare);
    const order: string[] = [];
    let next = 0;
    for (const key of this.#order) {
      if (moved.has(key)) continue;
      while (next < came.length && compare(came[next]!, key) < 0) order.push(came[next++]!);
      order.push(key);
    }
    while (next < came.length) order.push(came[next++]!);
    this.#order = order;
  }
}

/**
 * An order book of absolute levels. Prices are compared by value (`"1.50"` and `"1.5"` are one level) and
 * shown as they were last written.
 */
export class Book {
  readonly #bids = new Side(-1);
  readonly #asks = new Side(1);
  readonly #most: number;

  /** @param most levels per side; a change that would exceed it is refused. Default 100,000 */
  constructor(most = 100_000) {
    this.#most = most;
  }

  /** Levels on both sides. */
  get size(): number {
    return this.#bids.size + this.#asks.size;
  }

  /**
   * Applies a change. A quantity of zero, however written, removes the level; removing one that is not there
   * is no error. Levels apply in order. Either all of a change is applied or, if it is malformed, none.
   *
   * @throws Refusal `invalid_request` for a malformed change; `too_large` when a side is full: the book is
   *   then no longer what the publisher believes and must be discarded by the caller
   */
  apply(change: BookChange): void {
    const { levels } = change;
    if (!Array.isArray(levels)) throw malformed();
    const keys = new Array<string>(levels.length);
    for (let i = 0; i < levels.length; i++) keys[i] = checkLevel(levels[i]!);
    if (change.reset === true) {
      this.#bids.clear();
      this.#asks.clear();
    }
    for (let i = 0; i < levels.length; i++) {
      const [which, price, quantity] = levels[i]!;
      const side = which === 'bid' ? this.#bids : this.#asks;
      if (isZero(quantity)) side.delete(keys[i]!);
      else side.set(keys[i]!, price, quantity);
    }
    if (this.#bids.size > this.#most || this.#asks.size > this.#most) {
      throw new Refusal('too_large', 'a book has more levels than allowed');
    }
  }

  /** Bids from the best down, then asks from the best up; `depth` of each side, or all. */
  levels(depth: number = Number.POSITIVE_INFINITY): BookLevel[] {
    return [
      ...this.#bids.best(depth).map(({ price, quantity }): BookLevel => ['bid', price, quantity]),
      ...this.#asks.best(depth).map(({ price, quantity }): BookLevel => ['ask', price, quantity]),
    ];
  }

  /** See {@link bookChecksum}. */
  checksum(): number {
    return bookChecksum(this.levels(CHECKSUM_DEPTH));
  }
}

/**
 * A checksum by which a reader proves that its book is the gateway's.
 *
 * 1. Take the best ten bids (highest price first), then the best ten asks (lowest first); fewer if there are fewer.
 * 2. Write each as `price:quantity`, both in canonical form: no leading zeros in the whole part (one digit
 *    stays), no trailing zeros in the fraction, no point without a fraction. `"0100.50"` is `100.5`.
 * 3. Join all of them with `|`. An empty book is the empty text.
 * 4. CRC-32 as in zlib and PNG (polynomial 0xEDB88320, reflected) of those ASCII bytes, as an unsigned number.
 *
 * Example: bids 100.50 x 2 and 99 x 1.0, ask 101 x 3 -> `100.5:2|99:1|101:3`.
 *
 * @param levels best first on each side, as {@link Book.levels} gives them
 */
export function bookChecksum(levels: readonly BookLevel[]): number {
  const top = [
    ...levels.filter(([side]) => side === 'bid').slice(0, CHECKSUM_DEPTH),
    ...levels.filter(([side]) => side === 'ask').slice(0, CHECKSUM_DEPTH),
  ];
  return crc32(top.map(([, p, q]) => `${canonicalDecimal(p)}:${canonicalDecimal(q)}`).join('|'));
}

/**
 * Reads the data of a `book` publication. Unknown members are ignored.
 *
 * @throws Refusal `invalid_request` if it is not a {@link BookChange} of plain decimals
 */
export function readBookChange(data: JsonObject): BookChange {
  const { reset, levels } = data;
  if (!Array.isArray(levels) || (reset !== undefined && typeof reset !== 'boolean')) {
    throw new Refusal('invalid_request', 'a book change needs levels, and reset only as a boolean');
  }
  for (const level of levels) checkLevel(level);
  return data as unknown as BookChange;
}

/** @returns the key of the level's price */
function checkLevel(level: unknown): string {
  if (!Array.isArray(level) || level.length !== 3) throw malformed();
  const [side, price, quantity] = level as unknown[];
  if ((side !== 'bid' && side !== 'ask') || typeof price !== 'string' || typeof quantity !== 'string') {
    throw malformed();
  }
  canonicalDecimal(quantity);
  return decimalKey(price);
}

function malformed(): Refusal {
  return new Refusal('invalid_request', 'a book level is [bid or ask, price, quantity]');
}
