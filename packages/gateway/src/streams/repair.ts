/** Repairs when it is wanted: one at a time, however often it is wanted meanwhile, and until one succeeded. */
import type { Clock } from '../operations/clock.ts';

export interface Repair {
  /** What begins after this call sees what had happened before it. */
  wanted(): void;
  /** Idempotent. */
  close(): void;
}

/** @param pauseMs after one that failed */
export function createRepair(run: () => Promise<unknown>, clock: Clock, pauseMs: number): Repair {
  let running = false;
  let again = false;
  let closed = false;
  let cancel = (): void => {};

  function begin(): void {
    again = false;
    if (closed) return;
    running = true;
    run().then(
      () => {
        running = false;
        if (again) begin();
      },
      () => {
        cancel = clock.after(pauseMs, begin);
      },
    );
  }

  return {
    wanted() {
      again = true;
      if (!running) begin();
    },
    close() {
      closed = true;
      cancel();
    },
  };
}
