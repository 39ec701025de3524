/** A token bucket on the messages of one connection (requirement D18): two numbers, no timer. */
export class MessageLimit {
  #tokens: number;
  #at: number;
  readonly #perSecond: number;
  readonly #burst: number;

  /** @param now monotonic milliseconds */
  constructor(perSecond: number, burst: number, now: number) {
    this.#perSecond = perSecond;
    this.#burst = burst;
    this.#tokens = burst;
    this.#at = now;
  }

  /**
   * Counts one message.
   *
   * @returns `pass`, `refuse` (over the limit: answer with 429), or `cut` (a whole burst over the limit: the
   * peer does not listen to refusals)
   */
  take(now: number): 'pass' | 'refuse' | 'cut' {
    this.#tokens = Math.min(this.#burst, this.#tokens + ((now - this.#at) / 1000) * this.#perSecond);
    this.#at = now;
    this.#tokens -= 1;
    if (this.#tokens >= 0) return 'pass';
    return this.#tokens > -this.#burst ? 'refuse' : 'cut';
  }

  /** Seconds until a message passes again, at least 1. */
  retryAfter(): number {
    return Math.max(1, Math.ceil((1 - this.#tokens) / this.#perSecond));
  }
}
