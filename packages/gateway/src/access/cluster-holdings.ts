/**
 * What users hold on other nodes, for caps that count over all of them. Nodes tell each other through Redis a tenth
 * of a second after a user asked for something, and every five seconds; reading it costs nothing.
 */
import type { Clock } from '../operations/clock.ts';
import { inTime } from '../operations/in-time.ts';

export interface Held {
  readonly connections: number;
  readonly subscriptions: number;
}

export interface ClusterHoldings {
  /**
   * What a user held on all other nodes when last heard of. Whoever is asked about is told to the others soon.
   * Nothing, for a user that was never asked about.
   */
  elsewhere(userId: number): Held;
  /** Takes back what this node said, as far as it can. Idempotent. */
  close(): Promise<void>;
}

/** Runs hold.lua with its arguments from the second on. */
export interface HoldScript {
  readonly healthy: boolean;
  hold(users: readonly number[], args: readonly string[]): Promise<unknown>;
}

const NONE: Held = Object.freeze({ connections: 0, subscriptions: 0 });
/** Milliseconds from a question to telling the others. */
const SOON = 100;
const REFRESH = 5000;
/** A node that said nothing for so long holds nothing. */
const LEASE = 15_000;
const PATIENCE = 1000;
/** Users in one call, which holds up Redis for well under a millisecond. */
const AT_ONCE = 200;
/** Users that others are told about; beyond that the ones asked about longest ago are left out. */
const MOST_USERS = 200_000;

interface Known {
  held: Held;
  /** Monotonic milliseconds when that was heard, and when it was last asked for. */
  at: number;
  askedAt: number;
}

export function createClusterHoldings({
  script,
  clock,
  node,
  held,
  failed = () => {},
}: {
  script: HoldScript;
  clock: Pick<Clock, 'monotonic' | 'after' | 'every'>;
  /** Id of this node. */
  node: string;
  /** What a user holds on this node. */
  held: (userId: number) => Held;
  /** Told what went wrong, for the log. */
  failed?: (error: unknown) => void;
}): ClusterHoldings {
  const users = new Map<number, Known>();
  const asked = new Set<number>();
  let planned = false;
  let running = false;
  let again: number[] = [];
  let closed = false;

  async function tell(
    some: readonly number[],
    lease: number,
    count: (userId: number) => Held,
  ): Promise<void> {
    const told = some.map(count);
    const counts = told.flatMap(({ connections, subscriptions }) => [connections, subscriptions]);
    const answer = script.hold(some, [node, lease, ...counts].map(String));
    const elsewhere = (await inTime(clock, answer, PATIENCE)) as number[];
    const at = clock.monotonic();
    for (const [index, userId] of some.entries()) {
      const [connections = 0, subscriptions = 0] = elsewhere.slice(2 * index, 2 * index + 2);
      const known = users.get(userId);
      if (known === undefined) continue;
      known.held = { connections, subscriptions };
      known.at = at;
      // Somebody who was refused for what is held elsewhere holds nothing here, and tries again.
      if (told[index]?.connections === 0 && at - known.askedAt > LEASE) users.delete(userId);
    }
  }

  /** One run at a time; whoever comes meanwhile is seen to after it. */
  async function run(all: number[]): Promise<void> {
    if (running) {
      again = [...new Set([...again, ...all])];
      return;
    }
    running = true;
    try {
      for (let from = 0; from < all.length && script.healthy && !closed; from += AT_ONCE)
        await tell(all.slice(from, from + AT_ONCE), LEASE, held);
    } catch (error) {
      failed(error);
    } finally {
      running = false;
    }
    const next = again;
    again = [];
    if (next.length > 0 && script.healthy && !closed) await run(next);
  }

  function soon(): void {
    planned = false;
    const some = [...asked];
    asked.clear();
    void run(some);
  }

  const stop = clock.every(REFRESH, () => void run([...users.keys()]));

  return {
    elsewhere(userId) {
      const known = users.get(userId) ?? remember(userId);
      known.askedAt = clock.monotonic();
      if (!asked.has(userId)) {
        asked.add(userId);
        if (!planned && !closed) {
          planned = true;
          clock.after(SOON, soon);
        }
      }
      // Older than what they said themselves would hold: nobody knows.
      return known.askedAt - known.at > LEASE ? NONE : known.held;
    },
    async close() {
      if (closed) return;
      closed = true;
      stop();
      const all = [...users.keys()];
      asked.clear();
      try {
        for (let from = 0; from < all.length && script.healthy; from += AT_ONCE)
          await tell(all.slice(from, from + AT_ONCE), LEASE, () => NONE);
      } catch {
        // What it said lapses by itself.
      }
    },
  };

  function remember(userId: number): Known {
    if (users.size >= MOST_USERS) {
      const oldest = users.keys().next();
      if (!oldest.done) users.delete(oldest.value);
    }
    const known = { held: NONE, at: clock.monotonic(), askedAt: 0 };
    users.set(userId, known);
    return known;
  }
}
