/**
 * Slows down sources whose sign-ins fail. Only failures are counted, so that a client which does everything
 * right is never refused, however many others share its address and fail (R27); the capacity is wide enough
 * for the retry loops of known clients (five tries at 500 ms; one that loops without any delay).
 */
import { Refusal } from '@countersign/protocol';
import type { Clock } from '../operations/clock.ts';

export interface FailureLimiter {
  /** @throws Refusal `rate_limited` with `retryAfter` in whole seconds while the source's bucket is empty */
  check(source: string): void;
  fail(source: string): void;
}

interface Bucket {
  tokens: number;
  /** Monotonic milliseconds. */
  at: number;
}

/**
 * @param capacity failures that a source may have at once
 * @param refillPerSecond failures that it may have for ever
 * @param maxSources sources remembered; the one that failed longest ago is forgotten first
 */
export function createFailureLimiter({
  clock,
  capacity = 200,
  refillPerSecond = 20,
  maxSources = 50_000,
}: {
  clock: Clock;
  capacity?: number;
  refillPerSecond?: number;
  maxSources?: number;
}): FailureLimiter {
  const buckets = new Map<string, Bucket>();

  const refilled = (bucket: Bucket, now: number): number =>
    Math.min(capacity, bucket.tokens + ((now - bucket.at) / 1000) * refillPerSecond);

  return {
    check(source) {
      const bucket = buckets.get(source);
      if (bucket === undefined) return;
      const tokens = refilled(bucket, clock.monotonic());
      if (tokens >= 1) return;
      throw new Refusal('rate_limited', 'too many failed sign-ins from this source', {
        retryAfter: Math.max(1, Math.ceil((1 - tokens) / refillPerSecond)),
      });
    },

    fail(source) {
      const now = clock.monotonic();
      const bucket = buckets.get(source);
      const tokens = bucket === undefined ? capacity : refilled(bucket, now);
      // Taken out and put back, so that the map stays in order of the last failure.
      buckets.delete(source);
      buckets.set(source, { tokens: Math.max(0, tokens - 1), at: now });
      if (buckets.size > maxSources) {
        const oldest = buckets.keys().next();
        if (!oldest.done) buckets.delete(oldest.value);
      }
    },
  };
}
