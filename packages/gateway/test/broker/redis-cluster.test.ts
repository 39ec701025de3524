import { findRedis, type RedisServer, startRedis } from '@countersign/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { contractChannels } from './contract.ts';
import { openNode } from './redis-node.ts';

const bin = findRedis();
const keys = Array.from({ length: 40 }, (_, i) => `k${i}`);

describe.skipIf(bin === null)('a broker on a Redis Cluster [needs redis-server]', () => {
  const servers: RedisServer[] = [];
  const info = (server: RedisServer) => server.cli('cluster', 'info');

  beforeAll(async () => {
    for (let i = 0; i < 2; i++) servers.push(await startRedis(bin as string, { 'cluster-enabled': 'yes' }));
    const [a, b] = servers as [RedisServer, RedisServer];
    a.cli('cluster', 'addslotsrange', '0', '8191');
    b.cli('cluster', 'addslotsrange', '8192', '16383');
    a.cli('cluster', 'meet', '127.0.0.1', String(b.port));
    const joined = () =>
      servers.every((server) => {
        const text = info(server);
        return text.includes('cluster_state:ok') && text.includes('cluster_known_nodes:2');
      });
    const end = Date.now() + 20_000;
    while (!joined()) {
      if (Date.now() > end) throw new Error('the cluster did not come together');
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  });
  afterAll(() => Promise.all(servers.map((server) => server.close())));

  it('spreads streams over the nodes, and delivers all of them wherever a gateway listens', async () => {
    const settings = {
      partitions: 8,
      cluster: { nodes: servers.map(({ port }) => `127.0.0.1:${port}`) },
    };
    const [a, b] = [
      await openNode('redis://ignored', settings, contractChannels),
      await openNode('redis://ignored', settings, contractChannels),
    ];
    try {
      const heard = new Map<string, number[]>();
      b.broker.onPublication(({ key, sequence }) => heard.set(key, [...(heard.get(key) ?? []), sequence]));
      for (let n = 1; n <= 3; n++) {
        const drafts = keys.map((key) => ({ channel: 'trades', key, time: n, data: { n } }));
        const receipts = await a.broker.publish(drafts, { idempotencyKey: `${n}` });
        expect(receipts.map(({ stream, sequence }) => [stream, sequence])).toEqual(
          keys.map((key) => [`trades/${key}`, n]),
        );
        expect((await b.broker.publish(drafts, { idempotencyKey: `${n}` })).every((r) => r.duplicate)).toBe(
          true,
        );
      }
      const end = Date.now() + 5000;
      while ([...heard.values()].flat().length < 120 && Date.now() < end) {
        await new Promise((resolve) => setImmediate(resolve));
      }
      for (const key of keys) expect(heard.get(key)).toEqual([1, 2, 3]);
      expect((await b.broker.history('trades/k0', null)).complete).toBe(true);
      expect(
        (await Promise.all(keys.map((key) => b.broker.head(`trades/${key}`)))).map((h) => h.sequence),
      ).toEqual(keys.map(() => 3));
      for (const server of servers) expect(Number(server.cli('dbsize'))).toBeGreaterThan(20);
    } finally {
      await a.broker.close();
      await b.broker.close();
    }
  });
});
