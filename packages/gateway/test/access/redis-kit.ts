/** The scripts of this folder on a real Redis whose time the test holds. */
import { readFileSync } from 'node:fs';
import { findRedis, type RedisServer, startRedis } from '@countersign/testkit';
import { createClient } from '@redis/client';
import type { HoldScript } from '../../src/access/cluster-holdings.ts';
import type { Scripts } from '../../src/access/ledger.ts';
import type { SpendScript } from '../../src/session/replay-cache-redis.ts';

const text = (file: string) => readFileSync(new URL(`../../src/${file}`, import.meta.url), 'utf8');
const LIFE = text('broker/redis/life.lua');
/** Whose tenure it is, is for the test to say. */
const withLife = (file: string, run = 'one') =>
  `local function tenure() return '${run}' end\n${LIFE}\n${text(file)}`;
const BORROW = 'access/borrow.lua';
const SPEND = 'session/spend.lua';
const LOOK = 'broker/redis/look.lua';
const HOLD = withLife('access/hold.lua');

const at = (now: () => number) => String(Math.floor(now()));

export const redisBin = findRedis();

export interface TestRedis {
  readonly server: RedisServer;
  /** @param now milliseconds since 1970 as Redis is to see it; @param run of the process */
  scripts(now: () => number, run?: () => string): Scripts;
  spend(now: () => number, run?: () => string): SpendScript;
  hold(now: () => number): HoldScript;
  /** Empties it, and lets it have remembered for a day. */
  begin(): Promise<void>;
  flush(): Promise<void>;
  /** Resolves when everything that was asked before is answered, and whoever asked has heard it. */
  settled(): Promise<void>;
  close(): Promise<void>;
}

export async function openTestRedis(): Promise<TestRedis> {
  const server = await startRedis(redisBin as string);
  const client = createClient({ url: server.url() });
  await client.connect();
  async function begin(): Promise<void> {
    await client.flushAll();
    const dayAgo = String(Date.now() - 86_400_000);
    await client.eval(withLife(LOOK), { keys: ['life'], arguments: [dayAgo] });
  }
  await begin();
  return {
    server,
    scripts: (now, run = () => 'one') => ({
      healthy: true,
      borrow: (pool, args) =>
        client.eval(withLife(BORROW, run()), { keys: ['life', pool], arguments: [at(now), ...args] }),
      life: () => client.eval(withLife(LOOK, run()), { keys: ['life'], arguments: [at(now)] }),
    }),
    spend: (now, run = () => 'one') => ({
      healthy: true,
      spend: (id, args) =>
        client.eval(withLife(SPEND, run()), { keys: ['life', id], arguments: [at(now), ...args] }),
    }),
    hold: (now) => ({
      healthy: true,
      hold: (users, args) =>
        client.eval(HOLD, {
          keys: users.map((userId) => `held:${userId}`),
          arguments: [at(now), ...args],
        }),
    }),
    begin,
    flush: async () => void (await client.flushAll()),
    async settled() {
      for (let n = 0; n < 3; n += 1) {
        await client.ping();
        await new Promise(setImmediate);
      }
    },
    async close() {
      client.destroy();
      await server.close();
    },
  };
}
