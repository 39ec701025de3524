/** Two gateways with one database and one Redis, as a venue runs them. */
import {
  findPostgres,
  findRedis,
  type PostgresServer,
  type RedisServer,
  startPostgres,
  startRedis,
  startTestGateway,
  type TestGateway,
  type TestGatewayOptions,
} from '@countersign/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const postgresBin = findPostgres();
const redisBin = findRedis();
const LIMIT = 60;

describe.skipIf(postgresBin === null || redisBin === null)(
  'two gateways [needs postgresql, redis-server]',
  () => {
    let postgres: PostgresServer;
    let redis: RedisServer;
    beforeAll(async () => {
      [postgres, redis] = await Promise.all([
        startPostgres(postgresBin as string),
        startRedis(redisBin as string),
      ]);
      postgres.psql('postgres', 'create database gateway');
    });
    afterAll(() => Promise.all([postgres?.close(), redis?.close()]));

    const start = (options: TestGatewayOptions = {}) =>
      startTestGateway(
        {
          store: { url: postgres.url('gateway') },
          broker: { url: redis.url() },
          tiers: { free: { requests: { limit: LIMIT, window: 600 } } },
        },
        options,
      );

    async function seesBoth({ urls }: TestGateway): Promise<void> {
      const end = performance.now() + 10_000;
      for (;;) {
        const metrics = await (await fetch(`${urls.internal}/metrics`)).text();
        if (/^countersign_nodes_living 2$/m.test(metrics)) return;
        if (performance.now() > end) throw new Error('it does not see the other one');
      }
    }

    it('hold to half of every limit each while Redis is gone', async () => {
      await using a = await start();
      // The keys of the venue lie on every node.
      await using b = await start({ dataDir: a.dataDir });
      await Promise.all([seesBoth(a), seesBoth(b)]);
      const { accessToken } = await a.logIn(0);
      await redis.stop('SIGKILL');
      const admitted = async ({ http }: TestGateway) => {
        let count = 0;
        for (let n = 0; n < LIMIT; n += 1) {
          const { status } = await http.request(
            'GET',
            '/v1/user/info',
            `Authorization: Bearer ${accessToken}\r\n`,
          );
          expect([200, 429]).toContain(status);
          if (status === 200) count += 1;
        }
        return count;
      };
      expect(await Promise.all([admitted(a), admitted(b)])).toEqual([LIMIT / 2, LIMIT / 2]);
    });
  },
);
