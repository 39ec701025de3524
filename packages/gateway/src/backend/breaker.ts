/** Leaves a service alone that keeps failing, and lets one call at a time find out whether it is back. */
import type { Clock } from '../operations/clock.ts';

export type BreakerState = 'closed' | 'half-open' | 'open';

export interface BreakerOptions {
  /** Failures in a row after which it opens. */
  failures: number;
  /** Milliseconds for which it stays open. */
  pauseMs: number;
  clock: Pick<Clock, 'monotonic'>;
  /** Told of every change of state. */
  changed?: (state: BreakerState) => void;
}

export class Breaker {
  readonly #options: BreakerOptions;
  #state: BreakerState = 'closed';
  #failures = 0;
  /** Monotonic milliseconds. */
  #openedAt = 0;

  constructor(options: BreakerOptions) {
    this.#options = options;
  }

  get state(): BreakerState {
    return this.#state;
  }

  /** Asks to make a call. After `true`, {@link settle} must be called once. */
  enter(): boolean {
    if (this.#state === 'closed') return true;
    if (this.#state === 'half-open') return false;
    if (this.#options.clock.monotonic() - this.#openedAt < this.#options.pauseMs) return false;
    this.#become('half-open');
    return true;
  }

  /** What became of a call. A late one, from before the breaker opened, neither closes nor holds it open. */
  settle(ok: boolean): void {
    if (this.#state === 'open') return;
    if (ok) {
      this.#failures = 0;
      this.#become('closed');
      return;
    }
    this.#failures += 1;
    if (this.#state === 'closed' && this.#failures < this.#options.failures) return;
    this.#openedAt = this.#options.clock.monotonic();
    this.#become('open');
  }

  /** Seconds until a call may try again, at least 1. */
  retryAfter(): number {
    const left = this.#openedAt + this.#options.pauseMs - this.#options.clock.monotonic();
    return Math.max(1, Math.ceil(left / 1000));
  }

  #become(state: BreakerState): void {
    if (this.#state === state) return;
    this.#state = state;
    this.#options.changed?.(state);
  }
}
