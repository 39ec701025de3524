/** Budgets, replay cache and caps: of this node alone, or on the Redis that nodes share. */
import { randomBytes } from 'node:crypto';
import { type Budgets, createMemoryBudgets } from '../access/budget.ts';
import { createClusterHoldings, type Held, type HoldScript } from '../access/cluster-holdings.ts';
import { createLedger, type Scripts } from '../access/ledger.ts';
import { createSharedBudgets } from '../access/shared-budgets.ts';
import type { RedisConnection } from '../broker/redis/connection.ts';
import { readScript } from '../broker/redis/scripts.ts';
import type { Clock } from '../operations/clock.ts';
import type { Config } from '../operations/config.ts';
import type { Logger } from '../operations/log.ts';
import type { Metrics } from '../operations/metrics.ts';
import { createMemoryReplayCache, type ReplayCache } from '../session/replay-cache.ts';
import { createRedisReplayCache, type SpendScript } from '../session/replay-cache-redis.ts';

const script = (file: string) =>
  readScript(import.meta.url, '../broker/redis/tenure.lua', '../broker/redis/life.lua', file);
const BORROW = script('../access/borrow.lua');
const LIFE = script('../broker/redis/look.lua');
const SPEND = script('../session/spend.lua');
const HOLD = script('../access/hold.lua');
/** The server's own time counts. */
const NOW = '';
const NOTHING: Held = Object.freeze({ connections: 0, subscriptions: 0 });

export interface SharedLimits {
  readonly replay: ReplayCache;
  readonly budgets: { readonly users: Budgets; readonly addresses: Budgets };
  /** What a user holds on all other nodes. */
  elsewhere(userId: number): Held;
  /** Idempotent. Leaves the connection open. */
  close(): Promise<void>;
}

export interface SharedLimitsOptions {
  /** Null: nobody to share with. */
  redis: RedisConnection | null;
  config: Pick<Config, 'limits'>;
  clock: Clock;
  log: Pick<Logger, 'info' | 'warn'>;
  metrics: Pick<Metrics, 'brokerErrors'>;
  /** How many nodes live, at least 1, by which limits are divided while Redis is away. */
  living: () => number;
  /** What a user holds on this node. */
  held: (userId: number) => Held;
}

export function openSharedLimits(options: SharedLimitsOptions): SharedLimits {
  const { redis, clock } = options;
  if (redis !== null) return onRedis(redis, options);
  const replay = createMemoryReplayCache({ clock });
  const budgets = { users: createMemoryBudgets({ clock }), addresses: createMemoryBudgets({ clock }) };
  return {
    replay,
    budgets,
    elsewhere: () => NOTHING,
    close: async () => closeAll(budgets.users, budgets.addresses, replay),
  };
}

function onRedis(redis: RedisConnection, options: SharedLimitsOptions): SharedLimits {
  const { config, clock, log, metrics, living, held } = options;
  const scripts = scriptsOn(redis);
  const failed = (operation: string) => () => metrics.brokerErrors.inc({ operation });
  const replay = createRedisReplayCache({ script: scripts, clock, failed: failed('replay') });
  const ledger = createLedger({
    scripts,
    clock,
    nodes: () => config.limits.nodes ?? living(),
    told(state, reason) {
      if (state === 'shared') {
        log.info({ event: 'limits.shared' }, 'budgets are shared again');
        return;
      }
      metrics.brokerErrors.inc({ operation: 'borrow' });
      log.warn({ event: 'limits.local', reason }, 'each node holds to its part of every limit');
    },
  });
  const budgets = {
    users: createSharedBudgets({ name: 'u', ledger, clock }),
    addresses: createSharedBudgets({ name: 'a', ledger, clock }),
  };
  const holdings = createClusterHoldings({
    script: scripts,
    clock,
    // Of this process: whoever comes after it holds nothing of what it said.
    node: randomBytes(9).toString('base64url'),
    held,
    failed: failed('holdings'),
  });
  return {
    replay,
    budgets,
    elsewhere: holdings.elsewhere,
    async close() {
      closeAll(budgets.users, budgets.addresses, ledger, replay);
      await holdings.close();
    },
  };
}

function scriptsOn(redis: RedisConnection): Scripts & SpendScript & HoldScript {
  // One hash tag for all: what a script looks at together has to be on one server of a cluster.
  const key = (name: string | number) => `{limits}:${name}`;
  const life = key('life');
  return {
    get healthy() {
      return redis.available;
    },
    borrow: (pool, args) => redis.run(BORROW, [life, key(pool)], [NOW, ...args]),
    life: () => redis.run(LIFE, [life], [NOW]),
    spend: (token, args) => redis.run(SPEND, [life, key(`t:${token}`)], [NOW, ...args]),
    hold: (users, args) =>
      redis.run(
        HOLD,
        users.map((userId) => key(`h:${userId}`)),
        [NOW, ...args],
      ),
  };
}

function closeAll(...parts: { close(): void }[]): void {
  for (const part of parts) part.close();
}
