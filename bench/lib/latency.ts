/** Latencies by the hundred thousand a second: counted into steps of 0.1 ms up to a second, not kept one by one. */
export interface Histogram {
  readonly count: number;
  add(ms: number): void;
  /** Milliseconds, rounded up to the step; 1,000 stands for that and everything above. */
  percentile(share: number): number;
}

const STEP = 0.1;
const STEPS = 10_000;

export function createHistogram(): Histogram {
  const counts = new Uint32Array(STEPS + 1);
  let count = 0;
  return {
    get count() {
      return count;
    },
    add(ms) {
      counts[Math.min(STEPS, Math.max(0, Math.floor(ms / STEP)))]! += 1;
      count += 1;
    },
    percentile(share) {
      const wanted = Math.ceil(count * share);
      let seen = 0;
      for (let at = 0; at <= STEPS; at += 1) {
        seen += counts[at]!;
        if (seen >= wanted && seen > 0) return Math.min(1000, (at + 1) * STEP);
      }
      return Number.NaN;
    },
  };
}
