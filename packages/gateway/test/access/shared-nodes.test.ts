import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { BudgetRule } from '../../src/access/budget.ts';
import { Cluster, type Network } from './cluster-kit.ts';
import { openTestRedis, redisBin, type TestRedis } from './redis-kit.ts';

const RULE: BudgetRule = { limit: 100, window: 60, burst: null, reserve: 0 };

describe.skipIf(redisBin === null)('nodes that share budgets', () => {
  let redis: TestRedis;
  const clusters: Cluster[] = [];
  beforeAll(async () => {
    redis = await openTestRedis();
  });
  beforeEach(() => redis.begin());
  afterEach(() => {
    for (const cluster of clusters.splice(0)) cluster.close();
  });
  afterAll(() => redis.close());

  const open = (rule: BudgetRule = RULE, nodes = 2) => {
    const cluster = new Cluster(redis, 'test', rule, nodes);
    clusters.push(cluster);
    return cluster;
  };
  const both = async (cluster: Cluster, times: number) =>
    (await cluster.spend(0, times)) + (await cluster.spend(1, times));

  it('give out the last unit, and not one more, whoever asks', async () => {
    const cluster = open();
    let admitted = 0;
    for (let n = 0; n < 90; n += 1) admitted += await cluster.spend(n % 2, 1);
    // What the other one has in hand comes back when its loan is over.
    await cluster.pass(4000);
    admitted += await both(cluster, 30);
    await cluster.pass(4000);
    admitted += await both(cluster, 30);
    expect(admitted).toBe(100);
  });

  it('ask Redis for a small part of the charges of a busy payer', async () => {
    const cluster = open({ ...RULE, limit: 100_000 });
    let admitted = 0;
    for (let n = 0; n < 100; n += 1) {
      admitted += await cluster.spend(0, 20);
      await cluster.pass(20);
    }
    expect(admitted).toBe(2000);
    expect(cluster.asked).toBeLessThan(60);
  });

  it('ask once for a payer that asks once', async () => {
    const cluster = open();
    await cluster.spend(0, 1);
    await cluster.pass(5000);
    expect(cluster.asked).toBe(1);
  });

  it('answer a flood of refused charges from memory', async () => {
    const cluster = open({ ...RULE, limit: 5 });
    expect(await cluster.spend(0, 500)).toBe(5);
    expect(cluster.asked).toBeLessThan(10);
  });

  it('give back what was not used, a twentieth of the window later', async () => {
    const cluster = open();
    for (let n = 0; n < 30; n += 1) {
      await cluster.spend(0, 1);
      await cluster.pass(50);
    }
    await cluster.pass(3500);
    expect(await cluster.spend(1, 100)).toBe(70);
  });

  it('lose what a node that died had in hand until it has left the window, and no longer', async () => {
    const cluster = open();
    await cluster.spend(0, 10);
    (cluster.network[0] as Network).cut = true;
    const others = await cluster.spend(1, 200);
    expect(others).toBeGreaterThanOrEqual(60);
    expect(others).toBeLessThanOrEqual(90);
    await cluster.pass(66_000);
    expect(await cluster.spend(1, 200)).toBe(100);
  });

  describe('without Redis', () => {
    const cutAll = (cluster: Cluster, cut: boolean) => {
      for (const network of cluster.network) network.cut = cut;
    };

    it('hold to their own share each, and not to none', async () => {
      const cluster = open();
      cutAll(cluster, true);
      void cluster.charge(0, 1);
      void cluster.charge(1, 1);
      await cluster.pass(200);
      expect(cluster.admitted).toHaveLength(2);
      expect(await both(cluster, 200)).toBe(98);
    });

    it('count what they had from Redis before', async () => {
      const cluster = open();
      await cluster.spend(0, 45);
      cutAll(cluster, true);
      // What was in hand is spent first; then one charge waits in vain and finds that nobody answers.
      await cluster.spend(0, 100);
      await cluster.pass(200);
      await cluster.spend(0, 100);
      expect(cluster.admitted.length).toBeGreaterThanOrEqual(50);
      expect(cluster.admitted.length).toBeLessThanOrEqual(60);
    });

    it('wait a moment once, and then for nothing', async () => {
      const cluster = open();
      for (const network of cluster.network) Object.assign(network, { there: 250, back: 250 });
      void cluster.charge(0, 1);
      await cluster.pass(150);
      expect(cluster.admitted).toHaveLength(1);
      expect(await cluster.spend(0, 20)).toBe(20);
      // Half a second of delay is no answer: they stay apart.
      await cluster.pass(3000);
      expect(await cluster.spend(0, 5)).toBe(5);
    });

    it('report what they spent when it is back, so that nothing is given out twice', async () => {
      const cluster = open();
      cutAll(cluster, true);
      void cluster.charge(0, 1);
      void cluster.charge(1, 1);
      await cluster.pass(200);
      await both(cluster, 200);
      expect(cluster.admitted).toHaveLength(100);
      cutAll(cluster, false);
      await cluster.pass(1500);
      expect(await both(cluster, 50)).toBe(0);
      // Reported with its age, it is given back when it would have been.
      await cluster.pass(60_500);
      expect(await both(cluster, 100)).toBe(100);
    });

    it('hold to their share for a window and a twentieth after Redis lost its memory', async () => {
      const cluster = open();
      await cluster.spend(0, 10);
      await redis.flush();
      await cluster.pass(4000);
      expect(await both(cluster, 200)).toBe(40 + 50);
      await cluster.pass(50_000);
      expect(await both(cluster, 200)).toBe(0);
      await cluster.pass(14_000);
      // Shared again: one of them alone may have it all.
      expect(await cluster.spend(0, 200)).toBe(100);
    });
  });
});
