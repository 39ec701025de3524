/** The newest values, up to a fixed number. Grows only as it fills, so that a quiet stream costs little. */
export class Ring<T> {
  readonly capacity: number;
  #items: T[] = [];
  #oldest = 0;

  /** @param capacity most values kept; 0 keeps none */
  constructor(capacity: number) {
    this.capacity = capacity;
  }

  get length(): number {
    return this.#items.length;
  }

  push(value: T): void {
    if (this.#items.length < this.capacity) {
      this.#items.push(value);
    } else if (this.capacity > 0) {
      this.#items[this.#oldest] = value;
      this.#oldest = (this.#oldest + 1) % this.capacity;
    }
  }

  /** The newest `count` values (all, if there are fewer), oldest first. */
  newest(count: number): T[] {
    const length = this.#items.length;
    const taken = Math.min(count, length);
    const out = new Array<T>(taken);
    for (let i = 0; i < taken; i++) {
      out[i] = this.#items[(this.#oldest + length - taken + i) % length]!;
    }
    return out;
  }

  clear(): void {
    this.#items = [];
    this.#oldest = 0;
  }
}
