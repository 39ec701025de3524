/**
 * Which signed tokens have been seen. What is remembered is the identity of the signed bytes (`replayId`),
 * never the token's text, because one signature has several spellings (requirements R05, R21).
 */
import type { Clock } from '../operations/clock.ts';

export interface ReplayCache {
  /**
   * Wall-clock milliseconds since which everything spent is remembered. A strict token from before it may have
   * been spent in a life that this cache does not remember, and is refused (R22).
   */
  readonly epoch: number;
  /**
   * Spends a token, once.
   *
   * @param until wall-clock milliseconds after which the token is refused for its age anyway
   * @returns false if it was spent before, or if the cache is too full to promise anything
   */
  spend(id: string, until: number): boolean;
  /**
   * Binds a reusable token to the first source that showed it (R21, `reuse`).
   *
   * @returns true if `source` is that source, and the token was not spent under another policy of its key
   */
  bind(id: string, source: string, until: number): boolean;
}

/** @param capacity tokens remembered at most; 120 s of 2,000 strict tokens a second fit in the default */
export function createMemoryReplayCache({
  clock,
  capacity = 250_000,
}: {
  clock: Clock;
  capacity?: number;
}): ReplayCache {
  const spent = new Map<string, number>();
  const bound = new Map<string, { source: string; until: number }>();

  /** Entries come in nearly in order of their end: what is over is found at the front. */
  const forget = <T>(map: Map<string, T>, end: (value: T) => number): void => {
    const now = clock.now();
    let looked = 0;
    for (const [id, value] of map) {
      if (end(value) < now) map.delete(id);
      else looked += 1;
      if (looked > 8) return;
    }
  };

  return {
    epoch: clock.now(),
    spend(id, until) {
      forget(spent, (end) => end);
      // Bound: it counted before, when its key still allowed reuse.
      if (spent.has(id) || bound.has(id) || spent.size >= capacity) return false;
      spent.set(id, until);
      return true;
    },
    bind(id, source, until) {
      if (spent.has(id)) return false;
      const known = bound.get(id);
      if (known !== undefined) return known.source === source;
      forget(bound, ({ until: end }) => end);
      if (bound.size >= capacity) {
        // The oldest is the nearest to its own end; a token that comes back after this is bound anew.
        const oldest = bound.keys().next();
        if (!oldest.done) bound.delete(oldest.value);
      }
      bound.set(id, { source, until });
      return true;
    },
  };
}
