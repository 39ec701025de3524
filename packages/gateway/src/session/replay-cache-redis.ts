/**
 * A replay cache that nodes share. Strict tokens are spent in Redis or not at all; what binds a reusable token to its
 * source falls back to this node's memory, because a client that may reuse a token is not to be locked out.
 */
import type { Clock } from '../operations/clock.ts';
import { inTime } from '../operations/in-time.ts';
import type { MaybePromise } from './maybe-promise.ts';
import { createMemoryReplayCache, type ReplayCache, type Spending, STRICT_LEEWAY } from './replay-cache.ts';

/** Runs spend.lua with its arguments from the second on. */
export interface SpendScript {
  /** False while it is known that nothing would be answered, or that what is remembered may be evicted. */
  readonly healthy: boolean;
  spend(id: string, args: readonly string[]): Promise<unknown>;
}

/** Milliseconds that an answer may take. */
const PATIENCE = 500;
/** Milliseconds that the clocks of two Redis servers may be apart, one of which took the other's place. */
const SERVERS_APART = 2000;

/** @param failed told what went wrong, for the log; the tokens concerned are refused or bound here only */
export function createRedisReplayCache({
  script,
  clock,
  failed = () => {},
}: {
  script: SpendScript;
  clock: Pick<Clock, 'now' | 'after'>;
  failed?: (error: unknown) => void;
}): ReplayCache {
  /** What was bound, here or in Redis: a token that was bound once is never spent, so this needs no second look. */
  const local = createMemoryReplayCache({ clock });

  async function ask(id: string, what: string, since: number, until: number): Promise<unknown> {
    const args = [what, since, until, STRICT_LEEWAY, SERVERS_APART].map(String);
    try {
      return await inTime(clock, script.spend(id, args), PATIENCE);
    } catch (error) {
      failed(error);
      return null;
    }
  }

  async function spend(id: string, since: number, until: number): Promise<Spending> {
    const answer = await ask(id, 'spend', since, until);
    return answer === null ? 'unavailable' : (answer as Spending);
  }

  async function bind(id: string, source: string, until: number): Promise<boolean> {
    const answer = await ask(id, source, 0, until);
    return answer !== 'used' && local.bind(id, source, until);
  }

  return {
    // R22: while nobody can say what was spent, nothing is.
    spend: (id, { since, until }) => (script.healthy ? spend(id, since, until) : 'unavailable'),
    bind(id, source, until): MaybePromise<boolean> {
      const known = local.boundTo(id);
      if (known !== null) return known === source;
      return script.healthy ? bind(id, source, until) : local.bind(id, source, until);
    },
    close: () => local.close(),
  };
}
