/** When a subscription may be asked for again: at once after a first trouble, later and later while nothing helps. */
import { type Backoff, createBackoff } from '../backoff.ts';
import type { Clock } from '../clock.ts';

export interface PaceOptions {
  readonly clock: Clock;
  readonly random: () => number;
  /** It is time. */
  wake(): void;
}

/** Milliseconds without trouble after which the next trouble is dealt with at once again. */
const CALM = 2000;
export class Pace {
  readonly #options: PaceOptions;
  readonly #refusals: Backoff;
  readonly #troubles: Backoff;
  #notBefore = 0;
  #troubledAt = Number.NEGATIVE_INFINITY;
  #fruitless = 0;
  #progress = 0;
  #cancel: (() => void) | null = null;

  constructor(options: PaceOptions) {
    this.#options = options;
    const { random } = options;
    this.#refusals = createBackoff({ base: 500, cap: 20_000, random });
    this.#troubles = createBackoff({ base: 100, cap: 5000, floor: 20, random });
  }

  /** Troubles in a row between which no stream got any further. */
  get fruitless(): number {
    return this.#fruitless;
  }

  /** Refusals in a row. */
  get refusals(): number {
    return this.#refusals.attempts;
  }

  due(now: number): boolean {
    return now >= this.#notBefore;
  }

  /** A new connection: nothing has to wait any more. */
  now(): void {
    this.#notBefore = 0;
  }

  accepted(): void {
    this.#refusals.reset();
  }

  /** What was asked for has come whole. */
  settled(): void {
    this.#fruitless = 0;
  }

  /** @param retryAfter seconds, where the server said. @returns milliseconds to wait */
  afterRefusal(retryAfter: number | undefined): number {
    return this.#refusals.next(retryAfter);
  }

  /**
   * @param progress how far the streams have come: grows as they do
   * @param pause by default more with each trouble that follows another closely and gets nowhere
   * @returns milliseconds to wait
   */
  afterTrouble(progress: number, pause?: number): number {
    const now = this.#options.clock.monotonic();
    const calm = now - this.#troubledAt > CALM;
    this.#troubledAt = now;
    this.#fruitless = progress > this.#progress ? 0 : this.#fruitless + 1;
    if (calm || this.#fruitless === 0) this.#troubles.reset();
    this.#progress = progress;
    return pause ?? (calm ? 0 : this.#troubles.next());
  }

  /** Wakes the host after so many milliseconds, at once for 0. */
  wait(ms: number): void {
    const { clock, wake } = this.#options;
    this.#notBefore = clock.monotonic() + ms;
    this.stop();
    if (ms === 0) return wake();
    this.#cancel = clock.after(
      ms,
      () => {
        this.#cancel = null;
        // Timers may be early by a fraction of a millisecond.
        this.#notBefore = 0;
        wake();
      },
      true,
    );
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = null;
  }
}
