/**
 * Counts what was admitted in the last so many milliseconds. Time is cut into parts, and one part more than the
 * window is kept, so that the sum covers every span of that length, wherever it begins: never more than the limit
 * is admitted in any of them (R80). The price is that a slot is given back up to one part late.
 */
export class SlidingWindow {
  readonly #part: number;
  /** Admitted in each part; part `n` of time is at `n % length`. */
  readonly #ring: number[];
  /** The part of time that counts now. */
  #head: number;
  #sum = 0;
  /** The last part that something was added in. */
  #newest = 0;

  /**
   * @param length of the window in milliseconds
   * @param parts that the window is cut into
   * @param now monotonic milliseconds
   */
  constructor(length: number, parts: number, now: number) {
    this.#part = length / parts;
    this.#ring = new Array<number>(parts + 1).fill(0);
    this.#head = Math.floor(now / this.#part);
  }

  /** Admitted within the window. Moves on to `now`; a clock that ran backwards gives nothing back early. */
  used(now: number): number {
    const part = Math.floor(now / this.#part);
    if (part > this.#head) this.#advance(part);
    return this.#sum;
  }

  /** Counts `weight` more at the time that {@link used} was told last. Weights are whole numbers of 0 or more. */
  add(weight: number): void {
    const at = this.#head % this.#ring.length;
    this.#ring[at] = this.#ring[at]! + weight;
    this.#sum += weight;
    if (weight > 0) this.#newest = this.#head;
  }

  /** Milliseconds from `now` until no more than `most` count, if nothing is added. */
  timeUntil(most: number, now: number): number {
    let left = this.used(now);
    // Asked at every charge, for `reset`: not worth a walk around the ring.
    if (most === 0)
      return left === 0 ? 0 : Math.max(0, (this.#newest + this.#ring.length) * this.#part - now);
    const { length } = this.#ring;
    for (let part = this.#head - length + 1; part <= this.#head && left > most; part += 1) {
      left -= this.#ring[((part % length) + length) % length]!;
      if (left <= most) return Math.max(0, (part + length) * this.#part - now);
    }
    return 0;
  }

  #advance(part: number): void {
    const { length } = this.#ring;
    const passed = Math.min(part - this.#head, length);
    for (let i = 1; i <= passed && this.#sum > 0; i += 1) {
      const at = (this.#head + i) % length;
      this.#sum -= this.#ring[at]!;
      this.#ring[at] = 0;
    }
    this.#head = part;
  }
}
