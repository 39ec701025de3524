/**
 * The clock that all nodes of a database share: the database server's. It says how far this machine's own clock is off,
 * at once when that is set (monotonic time tells), within a heartbeat when it drifts.
 *
 * Tokens carry wall-clock times and are checked on other nodes: a node that is surely wrong by more than
 * {@link MOST_SKEW_MS} issues none, and sweeps and rotates nothing either.
 */
import type { Clock } from './clock.ts';

export const MOST_SKEW_MS = 2000;

export interface SharedClock {
  /** Milliseconds since 1970. Never later than the database's by more than the drift since the last reading. */
  now(): number;
  /** Milliseconds by which this machine's wall clock is ahead, to within half a round trip; null where nobody shares. */
  skew(): number | null;
  /** False while the wall clock is surely off by more than {@link MOST_SKEW_MS}. True where nobody shares. */
  agrees(): boolean;
  /** Asks the database. @throws what `time` rejects with; the last reading then goes on to count */
  read(): Promise<void>;
}

/** @param time of the database server; resolves to null where the store is inside this process */
export function createSharedClock({
  time,
  clock,
  onReading = () => {},
}: {
  time: () => Promise<number | null>;
  clock: Pick<Clock, 'now' | 'monotonic'>;
  /** Called after each reading. */
  onReading?: () => void;
}): SharedClock {
  /** The shared clock read `time` at some moment between two of this node's monotonic clock. */
  let reading = { time: clock.now(), asked: clock.monotonic(), came: clock.monotonic() };
  let shared = false;

  const elapsed = (since: number): number => clock.monotonic() - since;

  /** The answer took time: the skew lies between these. */
  function bounds(): { least: number; most: number } {
    const ahead = clock.now() - reading.time;
    return { least: ahead - elapsed(reading.asked), most: ahead - elapsed(reading.came) };
  }

  return {
    // As of the arrival: behind the shared clock by the way back, never before it.
    now: () => Math.floor(reading.time + elapsed(reading.came)),
    skew() {
      if (!shared) return null;
      const { least, most } = bounds();
      return (least + most) / 2;
    },
    agrees() {
      if (!shared) return true;
      const { least, most } = bounds();
      return least <= MOST_SKEW_MS && most >= -MOST_SKEW_MS;
    },
    async read() {
      const asked = clock.monotonic();
      const answer = await time();
      if (answer === null) return;
      reading = { time: answer, asked, came: clock.monotonic() };
      shared = true;
      onReading();
    },
  };
}
