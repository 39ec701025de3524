/**
 * The clock by which proofs end. What has ended must not come to life because somebody set the machine's clock back
 * (R19), so a wall clock that goes back is not believed here: monotonic time carries it on.
 */
import type { Clock } from './clock.ts';

export interface SteadyClock extends Clock {
  /** Says that the wall clock is right as it is now, also if it was set back. */
  confirm(): void;
}

/**
 * `clock`, with a `now()` that is the wall clock's, or what that was when it was last confirmed and the monotonic time
 * since then, whichever is later. A clock that is set ahead is believed for as long as it stays there, and no longer.
 * The time at which it is made counts as confirmed.
 */
export function createSteadyClock(clock: Clock): SteadyClock {
  const { now, monotonic } = clock;
  const lead = () => now() - monotonic();
  let confirmed = lead();
  return {
    ...clock,
    now: () => Math.max(now(), Math.floor(confirmed + monotonic())),
    confirm() {
      confirmed = lead();
    },
  };
}
