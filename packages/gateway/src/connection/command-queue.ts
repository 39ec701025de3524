/** Work of one connection takes effect strictly in the order it came: a login that is being verified holds up what follows it. */
import type { Command } from '../dialects/dialect.ts';

/** A command, or something of our own that has to take its turn among them. */
export type Work = Command | (() => Promise<void> | undefined);

export interface CommandQueueOptions {
  /** Most that may wait. */
  most: number;
  /** Undefined: done at once. */
  carryOut(command: Command): Promise<void> | undefined;
  failed(work: Work, error: unknown): void;
  /** More has come than may wait. */
  overrun(): void;
}

export class CommandQueue {
  readonly #options: CommandQueueOptions;
  readonly #waiting: Work[] = [];
  #busy = false;
  #closed = false;

  constructor(options: CommandQueueOptions) {
    this.#options = options;
  }

  add(work: Work): void {
    if (this.#closed) return;
    if (this.#waiting.length >= this.#options.most) return this.#options.overrun();
    this.#waiting.push(work);
    if (!this.#busy) this.#next();
  }

  /** Puts commands before all that wait. They are among what may wait: they did before. */
  addFirst(commands: readonly Command[]): void {
    if (!this.#closed) this.#waiting.unshift(...commands);
  }

  /** Nothing that waits is done any more. Idempotent. */
  close(): void {
    this.#closed = true;
    this.#waiting.length = 0;
  }

  #next(): void {
    while (!this.#closed) {
      const work = this.#waiting.shift();
      if (work === undefined) return;
      const doing = typeof work === 'function' ? work() : this.#options.carryOut(work);
      if (doing === undefined) continue;
      this.#busy = true;
      doing
        .catch((error: unknown) => this.#options.failed(work, error))
        .finally(() => {
          this.#busy = false;
          this.#next();
        });
      return;
    }
  }
}
