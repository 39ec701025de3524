/**
 * Which signed tokens have been seen. What is remembered is the identity of the signed bytes (`replayId`),
 * never the token's text, because one signature has several spellings (requirements R05, R21).
 */
import type { Clock } from '../operations/clock.ts';
import type { MaybePromise } from './maybe-promise.ts';

/**
 * How it went, and what logs say of it. `spent`: for the first time, and the only one. `used`: spent before. `early`: not
 * valid yet. `forgotten`: it may have been spent in a life of the cache that nobody remembers (R22). `over`: too old.
 * `unavailable`: nobody can say. All but the first refuse.
 */
export type Spending = 'spent' | 'used' | 'early' | 'forgotten' | 'over' | 'unavailable';

/** Wall-clock milliseconds. */
export interface TokenTimes {
  /** Since when it is valid. */
  readonly since: number;
  /** After which it is refused for its age anyway. */
  readonly until: number;
}

export interface ReplayCache {
  /**
   * Spends a token, once over all nodes that share the cache. A token from before the cache began to remember is not
   * spent: nobody knows whether it was spent before.
   */
  spend(id: string, times: TokenTimes): MaybePromise<Spending>;
  /**
   * Binds a reusable token to the first source that showed it (R21, `reuse`).
   *
   * @returns true if `source` is that source, and the token was not spent under another policy of its key
   */
  bind(id: string, source: string, until: number): MaybePromise<boolean>;
  /** Idempotent. */
  close(): void;
}

/**
 * Milliseconds that the clock of a signer with a strict key may be ahead. A token cannot have been spent earlier
 * than this before it was valid, so it is also how long strict keys wait after the cache was lost.
 */
export const STRICT_LEEWAY = 1000;

/** @param capacity tokens remembered at most; 120 s of 2,000 strict tokens a second fit in the default */
export function createMemoryReplayCache({
  clock,
  capacity = 250_000,
}: {
  clock: Pick<Clock, 'now'>;
  capacity?: number;
}): ReplayCache & {
  /** The source that a token is bound to, null if to none. */
  boundTo(id: string): string | null;
  bind(id: string, source: string, until: number): boolean;
} {
  const epoch = clock.now();
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
    spend(id, { since, until }) {
      const now = clock.now();
      if (since > now + STRICT_LEEWAY) return 'early';
      if (since < epoch + STRICT_LEEWAY) return 'forgotten';
      // What is over may have been forgotten already.
      if (until < now) return 'over';
      forget(spent, (end) => end);
      // Bound: it counted before, when its key still allowed reuse.
      if (spent.has(id) || bound.has(id)) return 'used';
      if (spent.size >= capacity) return 'unavailable';
      spent.set(id, until);
      return 'spent';
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
    boundTo: (id) => bound.get(id)?.source ?? null,
    close() {
      spent.clear();
      bound.clear();
    },
  };
}
