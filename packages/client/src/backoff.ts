/**
 * Waits between attempts: full jitter, so that many clients that failed together do not come back together. Each
 * delay is a random share of a ceiling that doubles, and never less than a floor: nothing retries without delay.
 */
import { randomFraction } from './random.ts';

export interface BackoffOptions {
  /** Ceiling of the first delay in milliseconds. Default 500. */
  base?: number;
  /** Highest ceiling in milliseconds. Default 30,000. */
  cap?: number;
  /** Shortest delay in milliseconds. Default 100. */
  floor?: number;
  /** A number in [0, 1). Default: from the platform's secure source. */
  random?: () => number;
}

export interface Backoff {
  /** Failures since the last `reset`. */
  readonly attempts: number;
  /**
   * Counts one failure.
   *
   * @param retryAfter seconds that the server asked for: the delay is at least that, with jitter above it
   * @returns milliseconds to wait before the next attempt
   */
  next(retryAfter?: number): number;
  /** After a success. For connections: after one that lasted, or a server that accepts and drops is hammered. */
  reset(): void;
}

/** A server may not park a client for longer than this by one header. */
const LONGEST_RETRY_AFTER = 3600;

export function createBackoff(options: BackoffOptions = {}): Backoff {
  const { base = 500, cap = 30_000, floor = 100, random = randomFraction } = options;
  let attempts = 0;
  return {
    get attempts() {
      return attempts;
    },
    next(retryAfter) {
      const ceiling = Math.min(cap, base * 2 ** Math.min(attempts, 30));
      attempts += 1;
      const jittered = Math.max(floor, random() * ceiling);
      if (retryAfter === undefined || !(retryAfter > 0)) return jittered;
      // Everybody who was limited together was told the same second.
      return Math.min(retryAfter, LONGEST_RETRY_AFTER) * 1000 + random() * Math.min(ceiling, 5000);
    },
    reset() {
      attempts = 0;
    },
  };
}
