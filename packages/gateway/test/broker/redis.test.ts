import { findRedis, type RedisServer, startRedis } from '@countersign/testkit';
import { afterAll, beforeAll, describe } from 'vitest';
import { brokerContract, contractChannels } from './contract.ts';
import { openNode } from './redis-node.ts';

const bin = findRedis();

/** Makes every idempotency key older. */
const AGE = `for _, key in ipairs(redis.call('KEYS', ARGV[1])) do
  local left = redis.call('PTTL', key) - ARGV[2]
  if left > 0 then redis.call('PEXPIRE', key, left) else redis.call('DEL', key) end
end`;

describe.skipIf(bin === null)('[needs redis-server]', () => {
  let server: RedisServer;
  let made = 0;

  beforeAll(async () => {
    server = await startRedis(bin as string);
  });
  afterAll(() => server?.close());

  for (const partitions of [1, 16]) {
    brokerContract(
      `Redis with ${partitions === 1 ? 'one partition' : `${partitions} partitions`}`,
      async () => {
        const prefix = `contract${made++}:`;
        const { broker } = await openNode(server.url(), { prefix, partitions }, contractChannels);
        const pass = (ms: number) => void server.cli('eval', AGE, '0', `${prefix}{*}:i:*`, String(ms));
        // A batch that spans partitions arrives part by part: the order between streams is promised within one.
        return partitions === 1 ? { broker, pass } : { broker, pass, unordered: true };
      },
    );
  }
});
