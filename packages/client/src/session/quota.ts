import type { Clock } from '../clock.ts';

/** Allows `count` uses in any `per` milliseconds. */
export function createQuota(count: number, per: number, clock: Clock): { take(): boolean } {
  const uses: number[] = [];
  return {
    take() {
      const now = clock.monotonic();
      while (uses.length > 0 && now - (uses[0] as number) >= per) uses.shift();
      if (uses.length >= count) return false;
      uses.push(now);
      return true;
    },
  };
}
