/** A token bucket on the messages of one connection (requirement D18): two numbers, no timer. */
export class MessageLimit {
  #tokens: number;
  #at: number;
  readonly #perSecond: number;
  readonly #burst: number;

  /** @param now monotonic milliseconds; null = the time of the first message */
  constructor(perSecond: number, burst: number, now: number | null) {
    this.#perSecond = perSecond;
    this.#burst = burst;
    this.#tokens = burst;
    this.#at = now ?? Number.POSITIVE_INFINITY;
  }

  /**
   * Counts one message.
   *
   * @returns `pass`, `refuse` (over the limit: answer with 429), or `cut` (a whole burst over the limit: the
   * peer does not listen to refusals)
   */
  take(now: number): 'pass' | 'refuse' | 'cut' {
    this.#refill(now);
    this.#tokens -= 1;
    if (this.#tokens >= 0) return 'pass';
    return this.#tokens > -this.#burst ? 'refuse' : 'cut';
  }

  /** Counts one message if there is room for it; one that is too many leaves nothing behind. */
  pass(now: number): boolean {
    this.#refill(now);
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }

  #refill(now: number): void {
    const passed = Math.max(0, now - this.#at) / 1000;
    this.#tokens = Math.min(this.#burst, this.#tokens + passed * this.#perSecond);
    this.#at = now;
  }
}
