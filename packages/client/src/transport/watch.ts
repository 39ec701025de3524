/** Finds out that nobody is there any more: a connection whose other end is gone says nothing by itself. */
import type { Clock } from '../clock.ts';

export interface WatchOptions {
  clock: Clock;
  /** Milliseconds without a frame after which the other end is asked for a sign of life. */
  silence: number;
  /** Milliseconds that it has to give one. */
  patience: number;
  /** Asks. Null: nothing can be asked, silence alone decides. */
  probe: (() => void) | null;
  dead: () => void;
}

export class Watch {
  readonly #options: WatchOptions;
  #silence: number;
  #probe: (() => void) | null;
  #heard = 0;
  #asked = false;
  #cancel: (() => void) | null = null;

  constructor(options: WatchOptions) {
    this.#options = options;
    this.#silence = options.silence;
    this.#probe = options.probe;
  }

  start(): void {
    this.stop();
    this.#silence = this.#options.silence;
    this.#probe = this.#options.probe;
    this.touch();
    this.#arm(this.#silence);
  }

  /** A frame came. Called for every one, so it only notes the time. */
  touch(): void {
    this.#heard = this.#options.clock.monotonic();
    this.#asked = false;
  }

  /** The other end says something at least this often: silence for longer is its end, without a question. */
  expectWithin(ms: number): void {
    if (this.#probe === null && this.#silence === ms) return;
    this.#silence = ms;
    this.#probe = null;
    if (this.#cancel !== null) this.#arm(ms);
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = null;
  }

  #arm(ms: number): void {
    this.#cancel?.();
    this.#cancel = this.#options.clock.after(ms, () => this.#look(), true);
  }

  #look(): void {
    this.#cancel = null;
    const { clock, patience, dead } = this.#options;
    const limit = this.#silence + (this.#asked ? patience : 0);
    const left = limit - (clock.monotonic() - this.#heard);
    if (left > 0) return this.#arm(left);
    if (this.#probe === null || this.#asked) return dead();
    this.#asked = true;
    this.#arm(patience);
    this.#probe();
  }
}
