/** Whether this node may be given work. Liveness is the process's own word; readiness asks what it depends on. */
import type { Broker } from '../broker/broker.ts';
import type { Clock } from './clock.ts';

/** Proves that a part works; resolves to how long that took in milliseconds. */
export type Check = () => Promise<number>;

export interface CheckResult {
  ok: boolean;
  /** Milliseconds, or null if the check did not come back in time. */
  ms: number | null;
}

export interface Readiness {
  ready: boolean;
  draining: boolean;
  checks: Record<string, CheckResult>;
  /** Milliseconds since the checks were begun. */
  age: number;
  /** Plain facts that say nothing about readiness, such as the change-log position. */
  facts: Record<string, number | string>;
}

export interface Health {
  readiness(): Promise<Readiness>;
  /** What the newest round of checks found, whenever that was; null before the first. Asks nobody. */
  newest(): Pick<Readiness, 'checks'> | null;
}

const TIMEOUT_MS = 2000;
/** A flood of probes costs one round of checks per this many milliseconds. */
const REUSE_MS = 250;

export function createHealth({
  checks,
  draining,
  facts = () => ({}),
  clock,
}: {
  checks: Record<string, Check>;
  draining: () => boolean;
  facts?: () => Record<string, number | string>;
  clock: Clock;
}): Health {
  let last: { at: number; results: Promise<Record<string, CheckResult>> } | null = null;
  let newest: Pick<Readiness, 'checks'> | null = null;

  const run = (check: Check): Promise<CheckResult> =>
    new Promise((resolve) => {
      const cancel = clock.after(TIMEOUT_MS, () => resolve({ ok: false, ms: null }));
      Promise.resolve()
        .then(check)
        .then(
          (ms) => resolve({ ok: true, ms: Math.round(ms * 1000) / 1000 }),
          () => resolve({ ok: false, ms: null }),
        )
        .finally(cancel);
    });

  async function runAll(): Promise<Record<string, CheckResult>> {
    const ran = Object.entries(checks).map(async ([name, check]) => [name, await run(check)] as const);
    const results = Object.fromEntries(await Promise.all(ran));
    newest = { checks: results };
    return results;
  }

  return {
    newest: () => newest,
    async readiness() {
      if (last === null || clock.monotonic() - last.at >= REUSE_MS) {
        last = { at: clock.monotonic(), results: runAll() };
      }
      const { at, results: running } = last;
      const results = await running;
      const isDraining = draining();
      return {
        ready: !isDraining && Object.values(results).every(({ ok }) => ok),
        draining: isDraining,
        checks: results,
        age: Math.round(clock.monotonic() - at),
        facts: facts(),
      };
    },
  };
}

/**
 * A check that a hint sent through the broker comes back to this node. It sends `access-changed` with a
 * negative number, which is behind every position there can be, so that receivers have nothing to do.
 */
export function brokerRoundTrip(
  broker: Pick<Broker, 'signal' | 'onSignal'>,
  clock: Clock,
  random: () => number,
): Check {
  const waiting = new Map<number, (at: number) => void>();
  broker.onSignal((signal) => {
    if (signal.kind !== 'access-changed' || signal.sequence >= 0) return;
    const arrived = waiting.get(signal.sequence);
    waiting.delete(signal.sequence);
    arrived?.(clock.monotonic());
  });
  return async () => {
    const sequence = -1 - Math.floor(random() * 2 ** 48);
    const started = clock.monotonic();
    const arrival = new Promise<number>((resolve, reject) => {
      waiting.set(sequence, resolve);
      clock.after(TIMEOUT_MS, () => {
        if (waiting.delete(sequence)) reject(new Error('the signal did not come back'));
      });
    });
    // Awaited below; without this a refused signal would leave the arrival's rejection unheard.
    arrival.catch(() => {});
    await broker.signal({ kind: 'access-changed', sequence });
    return (await arrival) - started;
  };
}
