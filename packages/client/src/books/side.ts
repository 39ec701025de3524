import { canonical, orderKey } from './decimal.ts';

/** One price level. Both are decimal strings as the venue wrote them. */
export interface Level {
  readonly price: string;
  readonly quantity: string;
}

interface Slot {
  /** The price in its shortest spelling. */
  readonly key: string;
  /** The price as near as a number comes to it. */
  readonly near: number;
  level: Level;
}

/** Numbers decide nearly always, and quickly; where two prices are one number, their digits do. */
const compare = (a: Slot, b: Slot): number => {
  if (a.near !== b.near) return a.near < b.near ? -1 : 1;
  if (a.key === b.key) return 0;
  return orderKey(a.key) < orderKey(b.key) ? -1 : 1;
};

/**
 * One side of a book: levels by price, and their order. Nearly everything happens near the best price, so the order is
 * kept with the best at the END of an array, where putting in and taking out moves the least.
 */
export class Side {
  readonly #slots = new Map<string, Slot>();
  readonly #order: Slot[] = [];
  readonly #sign: 1 | -1;
  /** Levels were put in without regard to the order: sorted at the next look. */
  #unsorted = false;

  /** @param best `highest` for bids, `lowest` for asks */
  constructor(best: 'highest' | 'lowest') {
    this.#sign = best === 'highest' ? 1 : -1;
  }

  get size(): number {
    return this.#slots.size;
  }

  clear(): void {
    this.#slots.clear();
    this.#order.length = 0;
    this.#unsorted = false;
  }

  set(price: string, quantity: string): void {
    const slot = this.#put(price, quantity);
    if (slot === null) return;
    if (this.#unsorted) this.#order.push(slot);
    else this.#order.splice(this.#place(slot), 0, slot);
  }

  /** For a whole book at once: sorting once is cheaper than finding each place. */
  add(price: string, quantity: string): void {
    const slot = this.#put(price, quantity);
    if (slot === null) return;
    this.#order.push(slot);
    this.#unsorted = true;
  }

  delete(price: string): void {
    const key = canonical(price);
    const slot = this.#slots.get(key);
    if (slot === undefined) return;
    this.#slots.delete(key);
    this.#sort();
    this.#order.splice(this.#place(slot), 1);
  }

  /** Best first. */
  best(depth: number): Level[] {
    this.#sort();
    const out: Level[] = [];
    const end = Math.max(0, this.#order.length - depth);
    for (let i = this.#order.length - 1; i >= end; i--) out.push(this.#order[i]!.level);
    return out;
  }

  top(): Level | null {
    this.#sort();
    return this.#order.at(-1)?.level ?? null;
  }

  /** @returns a slot that has no place yet; null if there was a level at that price */
  #put(price: string, quantity: string): Slot | null {
    const key = canonical(price);
    const known = this.#slots.get(key);
    if (known !== undefined) {
      known.level = { price, quantity };
      return null;
    }
    const slot = { key, near: Number(key), level: { price, quantity } };
    this.#slots.set(key, slot);
    return slot;
  }

  #sort(): void {
    if (!this.#unsorted) return;
    this.#unsorted = false;
    this.#order.sort((a, b) => this.#sign * compare(a, b));
  }

  /** Where the slot is, or would be. */
  #place(slot: Slot): number {
    const order = this.#order;
    let low = 0;
    let high = order.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#sign * compare(order[middle]!, slot) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
