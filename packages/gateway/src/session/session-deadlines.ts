/**
 * When sessions end by a clock that nobody can set. The stored end is wall-clock time, which alone survives a
 * restart; but while this process runs, a wall clock that is set back must not lengthen a session that the
 * process has seen (R19).
 */
import type { Clock } from '../operations/clock.ts';

export interface SessionDeadlines {
  /** Reckons the end of a session that has just begun. */
  note(session: { sid: string; expiresAt: number }): void;
  /** Whether the session is over by either clock. */
  isOver(session: { sid: string; expiresAt: number }): boolean;
}

/** @param limit sessions remembered; the one asked about longest ago is forgotten first */
export function createSessionDeadlines(clock: Clock, limit = 50_000): SessionDeadlines {
  /** sid -> monotonic milliseconds. */
  const deadlines = new Map<string, number>();

  function earliest({ sid, expiresAt }: { sid: string; expiresAt: number }): number {
    const reckoned = clock.monotonic() + expiresAt - clock.now();
    const deadline = Math.min(deadlines.get(sid) ?? reckoned, reckoned);
    deadlines.delete(sid);
    deadlines.set(sid, deadline);
    if (deadlines.size > limit) {
      const oldest = deadlines.keys().next();
      if (!oldest.done) deadlines.delete(oldest.value);
    }
    return deadline;
  }

  return {
    note: (session) => void earliest(session),
    isOver: (session) => clock.monotonic() >= earliest(session),
  };
}
