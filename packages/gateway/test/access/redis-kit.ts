/** The scripts of this folder on a real Redis whose time the test holds. */
import { readFileSync } from 'node:fs';
import { findRedis, type RedisServer, startRedis } from '@countersign/testkit';
import { createClient } from '@redis/client';
import type { Scripts } from '../../src/access/ledger.ts';
import type { SpendScript } from '../../src/session/replay-cache-redis.ts';

const text = (file: string) => readFileSync(new URL(`../../src/${file}`, import.meta.url), 'utf8');
const LIFE = text('broker/redis/life.lua');
const BORROW = LIFE + text('access/borrow.lua');
const SPEND = LIFE + text('session/spend.lua');
const LOOK = `${LIFE}
local now = clock(ARGV[1])
local began = lifeBegan(KEYS[1], ARGV[2], now)
return { ARGV[2] .. ':' .. whole(began), math.max(0, now - began) }`;

export const redisBin = findRedis();

export interface TestRedis {
  readonly server: RedisServer;
  /** @param now milliseconds since 1970 as Redis is to see it; @param run of the process */
  scripts(now: () => number, run?: () => string): Scripts;
  spend(now: () => number, run?: () => string): SpendScript;
  /** Empties it, and lets it have remembered for a day. */
  begin(): Promise<void>;
  flush(): Promise<void>;
  close(): Promise<void>;
}

export async function openTestRedis(): Promise<TestRedis> {
  const server = await startRedis(redisBin as string);
  const client = createClient({ url: server.url() });
  await client.connect();
  async function begin(): Promise<void> {
    await client.flushAll();
    const dayAgo = String(Date.now() - 86_400_000);
    await client.eval(LOOK, { keys: ['life'], arguments: [dayAgo, 'one'] });
  }
  await begin();
  return {
    server,
    scripts: (now, run = () => 'one') => ({
      healthy: true,
      borrow: (pool, args) =>
        client.eval(BORROW, { keys: ['life', pool], arguments: [String(Math.floor(now())), run(), ...args] }),
      life: () => client.eval(LOOK, { keys: ['life'], arguments: [String(Math.floor(now())), run()] }),
    }),
    spend: (now, run = () => 'one') => ({
      healthy: true,
      spend: (id, args) =>
        client.eval(SPEND, { keys: ['life', id], arguments: [String(Math.floor(now())), run(), ...args] }),
    }),
    begin,
    flush: async () => void (await client.flushAll()),
    async close() {
      client.destroy();
      await server.close();
    },
  };
}
