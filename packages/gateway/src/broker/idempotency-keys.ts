import type { Clock } from '../operations/clock.ts';
import type { Receipt } from './broker.ts';

/** How long a publisher may repeat itself without being heard twice. */
export const IDEMPOTENCY_WINDOW_MS = 5 * 60_000;

/** The receipts of recent publishes that carried an idempotency key, oldest first. */
export class IdempotencyKeys {
  readonly #clock: Clock;
  readonly #most: number;
  readonly #entries = new Map<string, { receipts: readonly Receipt[]; until: number }>();
  #receipts = 0;

  /** @param most keys remembered; receipts are limited to ten for each of them on average */
  constructor(clock: Clock, most: number) {
    this.#clock = clock;
    this.#most = most;
  }

  get(key: string): readonly Receipt[] | undefined {
    const entry = this.#entries.get(key);
    return entry !== undefined && entry.until > this.#clock.monotonic() ? entry.receipts : undefined;
  }

  set(key: string, receipts: readonly Receipt[]): void {
    this.#drop(key);
    const now = this.#clock.monotonic();
    this.#entries.set(key, { receipts, until: now + IDEMPOTENCY_WINDOW_MS });
    this.#receipts += receipts.length;
    for (const [oldest, { until }] of this.#entries) {
      const tooMany = this.#entries.size > this.#most || this.#receipts > this.#most * 10;
      if (until > now && !tooMany) break;
      this.#drop(oldest);
    }
  }

  clear(): void {
    this.#entries.clear();
    this.#receipts = 0;
  }

  #drop(key: string): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    this.#entries.delete(key);
    this.#receipts -= entry.receipts.length;
  }
}
