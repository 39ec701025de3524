/** Budgets, replay cache, caps and the list of nodes: of this node alone, or on the Redis that nodes share. */
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
import { type BeatScript, createNodes, type Nodes } from '../operations/nodes.ts';
import { createMemoryReplayCache, type ReplayCache } from '../session/replay-cache.ts';
import { createRedisReplayCache, type SpendScript } from '../session/replay-cache-redis.ts';

const script = (file: string) =>
  readScript(import.meta.url, '../broker/redis/tenure.lua', '../broker/redis/life.lua', file);
const BORROW = script('../access/borrow.lua');
const LIFE = script('../broker/redis/look.lua');
const SPEND = script('../session/spend.lua');
const BEAT = script('../operations/beat.lua');
const HOLD = script('../access/hold.lua');
/** The server's own time counts. */
const NOW = '';
const NOTHING: Held = Object.freeze({ connections: 0, subscriptions: 0 });

export interface SharedLimits {
  readonly nodes: Nodes;
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
  /** Where this node listens, as `host:port`. */
  address: () => string;
  /** Position in the log of changes of access. */
  position: () => number;
  /** What a user holds on this node. */
  held: (userId: number) => Held;
}

export function openSharedLimits(options: SharedLimitsOptions): SharedLimits {
  const { redis, clock, address, position } = options;
  /** Of this process: whoever comes after it owns nothing of what it said. */
  const id = randomBytes(9).toString('base64url');
  if (redis !== null) return onRedis(redis, id, options);
  const nodes = createNodes({ clock, id, address, position, script: null });
  const replay = createMemoryReplayCache({ clock });
  const budgets = { users: createMemoryBudgets({ clock }), addresses: createMemoryBudgets({ clock }) };
  return {
    nodes,
    replay,
    budgets,
    elsewhere: () => NOTHING,
    async close() {
      closeAll(budgets.users, budgets.addresses, replay);
      await nodes.close();
    },
  };
}

function onRedis(redis: RedisConnection, id: string, options: SharedLimitsOptions): SharedLimits {
  const { config, clock, log, metrics, address, position, held } = options;
  const scripts = scriptsOn(redis);
  const failed = (operation: string) => () => metrics.brokerErrors.inc({ operation });
  const nodes = createNodes({ clock, id, address, position, script: scripts, failed: failed('nodes') });
  const replay = createRedisReplayCache({ script: scripts, clock, failed: failed('replay') });
  const ledger = createLedger({
    scripts,
    clock,
    nodes: () => config.limits.nodes ?? nodes.list().length,
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
    node: id,
    held,
    failed: failed('holdings'),
  });
  return {
    nodes,
    replay,
    budgets,
    elsewhere: holdings.elsewhere,
    async close() {
      closeAll(budgets.users, budgets.addresses, ledger, replay);
      await Promise.all([holdings.close(), nodes.close()]);
    },
  };
}

function scriptsOn(redis: RedisConnection): Scripts & SpendScript & BeatScript & HoldScript {
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
    beat: (args) => redis.run(BEAT, [key('nodes')], [NOW, ...args]),
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
