import type { Clock } from '../../src/clock.ts';

/** Time that moves only when told to. */
export class FakeClock implements Clock {
  #wall: number;
  #ticked = 0;
  #tasks: { at: number; task: () => void }[] = [];

  constructor(wall: number) {
    this.#wall = wall;
  }
  now(): number {
    return this.#wall;
  }
  monotonic(): number {
    return this.#ticked;
  }
  after(ms: number, task: () => void): () => void {
    const entry = { at: this.#ticked + ms, task };
    this.#tasks.push(entry);
    return () => {
      this.#tasks = this.#tasks.filter((each) => each !== entry);
    };
  }
  every(ms: number, task: () => void): () => void {
    let stopped = false;
    const again = () => {
      if (stopped) return;
      this.after(ms, again);
      task();
    };
    this.after(ms, again);
    return () => {
      stopped = true;
    };
  }
  get pending(): number {
    return this.#tasks.length;
  }
  advance(ms: number): void {
    const end = this.#ticked + ms;
    for (;;) {
      const due = this.#tasks.filter((each) => each.at <= end).sort((a, b) => a.at - b.at)[0];
      if (due === undefined) break;
      this.#tasks = this.#tasks.filter((each) => each !== due);
      this.#wall += due.at - this.#ticked;
      this.#ticked = due.at;
      due.task();
    }
    this.#wall += end - this.#ticked;
    this.#ticked = end;
  }
}
