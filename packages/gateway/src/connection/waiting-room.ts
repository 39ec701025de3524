/** Private wants that came before their login: python-ethgas may subscribe first (wire facts 5.4). */
import type { Want } from '../dialects/dialect.ts';
import type { Clock } from '../operations/clock.ts';

export class WaitingRoom {
  readonly #waiting = new Map<Want, () => void>();
  readonly #clock: Pick<Clock, 'after'>;
  readonly #most: number;

  /** @param most how many wants may wait at once */
  constructor(clock: Pick<Clock, 'after'>, most: number) {
    this.#clock = clock;
    this.#most = most;
  }

  /**
   * @param ms how long the want may wait
   * @param overdue called once that has passed
   * @returns false if as many wait as may
   */
  hold(want: Want, ms: number, overdue: () => void): boolean {
    if (this.#waiting.size >= this.#most) return false;
    const cancel = this.#clock.after(ms, () => {
      this.#waiting.delete(want);
      overdue();
    });
    this.#waiting.set(want, cancel);
    return true;
  }

  /** Takes out those that `chosen` picks, in the order in which they came. */
  release(chosen: (want: Want) => boolean = () => true): Want[] {
    const released = [...this.#waiting.keys()].filter(chosen);
    for (const want of released) {
      this.#waiting.get(want)?.();
      this.#waiting.delete(want);
    }
    return released;
  }
}
