/** Ends of patience, many at once: one timer for all that are equally patient, in place of one for each. */
import type { Clock } from '../operations/clock.ts';

export interface Overdue {
  /** Written by {@link Deadlines}: monotonic milliseconds. */
  until: number;
  overdue(): void;
}

export interface Deadlines {
  /** Calls `overdue` after `ms`, unless it is taken out before. `ms` must be from a small set, such as a configuration's. */
  add(ms: number, one: Overdue): void;
  /** @param ms what it was added with */
  delete(ms: number, one: Overdue): void;
  /** Nothing is told after this. Idempotent. */
  close(): void;
}

interface Lane {
  /** Of one patience, so in the order of their ends. */
  readonly waiting: Set<Overdue>;
  /** Null: nobody waits. */
  disarm: (() => void) | null;
}

export function createDeadlines(clock: Pick<Clock, 'monotonic' | 'after'>): Deadlines {
  const lanes = new Map<number, Lane>();

  function arm(lane: Lane, ms: number): void {
    lane.disarm = clock.after(ms, () => look(lane));
  }

  function look(lane: Lane): void {
    lane.disarm = null;
    const now = clock.monotonic();
    for (const one of lane.waiting) {
      // Node may fire a fraction of a millisecond early; not to be asked again at once without end.
      if (one.until > now) return arm(lane, Math.max(1, one.until - now));
      lane.waiting.delete(one);
      one.overdue();
    }
  }

  return {
    add(ms, one) {
      let lane = lanes.get(ms);
      if (lane === undefined) {
        lane = { waiting: new Set(), disarm: null };
        lanes.set(ms, lane);
      }
      one.until = clock.monotonic() + ms;
      lane.waiting.add(one);
      // Left armed when the last one goes: arming for each call would be a timer for each again.
      if (lane.disarm === null) arm(lane, ms);
    },
    delete: (ms, one) => void lanes.get(ms)?.waiting.delete(one),
    close() {
      for (const lane of lanes.values()) {
        lane.disarm?.();
        lane.waiting.clear();
      }
    },
  };
}
