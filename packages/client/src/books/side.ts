import { orderKey } from './decimal.ts';

/** One price level. Both are decimal strings as the venue wrote them. */
export interface Level {
  readonly price: string;
  readonly quantity: string;
}

/**
 * One side of a book: levels by price, and their order. Nearly everything happens near the best price, so the order is
 * kept with the best at the END of an array, where putting in and taking out moves the least.
 */
export class Side {
  readonly #levels = new Map<string, Level>();
  readonly #order: string[] = [];
  readonly #sign: 1 | -1;
  /** Levels were put in without regard to the order: sorted at the next look. */
  #unsorted = false;

  /** @param best `highest` for bids, `lowest` for asks */
  constructor(best: 'highest' | 'lowest') {
    this.#sign = best === 'highest' ? 1 : -1;
  }

  get size(): number {
    return this.#levels.size;
  }

  clear(): void {
    this.#levels.clear();
    this.#order.length = 0;
    this.#unsorted = false;
  }

  set(price: string, quantity: string): void {
    const key = orderKey(price);
    if (!this.#levels.has(key)) {
      if (this.#unsorted) this.#order.push(key);
      else this.#order.splice(this.#place(key), 0, key);
    }
    this.#levels.set(key, { price, quantity });
  }

  /** For a whole book at once: sorting once is cheaper than finding each place. */
  add(price: string, quantity: string): void {
    const key = orderKey(price);
    if (!this.#levels.has(key)) {
      this.#order.push(key);
      this.#unsorted = true;
    }
    this.#levels.set(key, { price, quantity });
  }

  delete(price: string): void {
    const key = orderKey(price);
    if (!this.#levels.delete(key)) return;
    this.#sort();
    this.#order.splice(this.#place(key), 1);
  }

  /** Best first. */
  best(depth: number): Level[] {
    this.#sort();
    const out: Level[] = [];
    const end = Math.max(0, this.#order.length - depth);
    for (let i = this.#order.length - 1; i >= end; i--) out.push(this.#levels.get(this.#order[i]!)!);
    return out;
  }

  top(): Level | null {
    this.#sort();
    const key = this.#order.at(-1);
    return key === undefined ? null : this.#levels.get(key)!;
  }

  #sort(): void {
    if (!this.#unsorted) return;
    this.#unsorted = false;
    this.#order.sort((a, b) => (a < b ? -this.#sign : this.#sign));
  }

  /** Where the key is, or would be. */
  #place(key: string): number {
    const order = this.#order;
    let low = 0;
    let high = order.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const other = order[middle]!;
      if (this.#sign === 1 ? other < key : other > key) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
