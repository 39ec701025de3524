/** Leases that are over are forgotten after a day, in small steps: each holds up the other writes to leases. */
import type { Clock } from '../../operations/clock.ts';
import type { LeaseStore } from '../../store/leases.ts';

const EVERY_MS = 3_600_000;
/** Long enough for every node to have read that a lease was removed. */
const KEEP_MS = 24 * 3_600_000;
const STEP_ROWS = 500;
const MOST_STEPS = 2000;

/** @returns how to stop; a step under way is finished by the store */
export function sweepLeases({
  store,
  clock,
  now,
  onProblem,
}: {
  store: Pick<LeaseStore, 'sweep'>;
  clock: Clock;
  /** Milliseconds of the clock that the nodes share. */
  now: () => number;
  onProblem: (problem: unknown) => void;
}): () => void {
  let running = false;
  let closed = false;

  async function sweep(): Promise<void> {
    for (let steps = 0; steps < MOST_STEPS && !closed; steps += 1)
      if ((await store.sweep(now() - KEEP_MS, STEP_ROWS)) < STEP_ROWS) return;
  }

  const stop = clock.every(EVERY_MS, () => {
    if (running) return;
    running = true;
    sweep()
      .catch(onProblem)
      .finally(() => {
        running = false;
      });
  });
  return () => {
    closed = true;
    stop();
  };
}
