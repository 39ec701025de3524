/** Two nodes on one real Redis, with the machine's own clock: what their parts do when it is wired as a gateway does it. */
import { findRedis, type RedisServer, startRedis } from '@countersign/testkit';
import { describe, it, type TestContext } from 'vitest';
import type { BudgetRule } from '../../src/access/budget.ts';
import { openRedis } from '../../src/broker/redis/connection.ts';
import { openSharedLimits, type SharedLimits } from '../../src/composition/shared-limits.ts';
import { brokerSchema } from '../../src/operations/broker-config.ts';
import { systemClock } from '../../src/operations/clock.ts';
import { parseConfig } from '../../src/operations/config.ts';
import { createMetrics } from '../../src/operations/metrics.ts';

const bin = findRedis();
/** A window so short that Redis has remembered all of it after a second. */
const RULE: BudgetRule = { limit: 100, window: 1, burst: null, reserve: 0 };

// All at once, because most of the time each waits until Redis has remembered for long enough.
describe.skipIf(bin === null)('nodes on one Redis', { concurrent: true, timeout: 30_000 }, () => {
  const until = async (condition: () => boolean | Promise<boolean>): Promise<void> => {
    const end = performance.now() + 10_000;
    while (!(await condition())) {
      if (performance.now() > end) throw new Error('it did not come to that');
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };

  async function start(t: TestContext, settings: Record<string, string> = {}): Promise<RedisServer> {
    const server = await startRedis(bin as string, settings);
    t.onTestFinished(() => server.close());
    return server;
  }

  async function node(
    t: TestContext,
    server: RedisServer,
    held = { connections: 0, subscriptions: 0 },
  ): Promise<SharedLimits> {
    const redis = await openRedis(brokerSchema.parse({ url: server.url(), commandTimeoutMs: 500 }), {
      clock: systemClock,
    });
    const shared = openSharedLimits({
      redis,
      config: parseConfig({}),
      clock: systemClock,
      log: { info: () => {}, warn: () => {} },
      metrics: createMetrics({ defaults: false }),
      living: () => 2,
      held: () => held,
    });
    t.onTestFinished(async () => {
      await shared.close();
      await redis.close();
    });
    return shared;
  }

  const strict = (ageMs = 0) => ({ since: Date.now() - ageMs, until: Date.now() - ageMs + 120_000 });
  /** Strict tokens are refused for some seconds after a start. */
  const ready = ({ replay }: SharedLimits) =>
    until(async () => (await replay.spend(`probe ${Math.random()}`, strict())) === 'spent');
  const admitted = async (nodes: readonly SharedLimits[], times: number): Promise<number> => {
    const charges = Array.from({ length: times }, (_, n) =>
      (nodes[n % nodes.length] as SharedLimits).budgets.users.charge('1/free', RULE, 1),
    );
    return (await Promise.all(charges)).filter((one) => one.admitted).length;
  };

  it('spend a strict token once and share a budget', async (t) => {
    const { expect } = t;
    const server = await start(t);
    const [a, b] = [await node(t, server), await node(t, server)];
    await ready(a);
    const token = strict();
    const copies = Array.from({ length: 200 }, (_, n) => (n % 2 === 0 ? a : b).replay.spend('token', token));
    const answers = await Promise.all(copies);
    expect(answers.filter((answer) => answer === 'spent')).toHaveLength(1);
    expect(answers.filter((answer) => answer === 'used')).toHaveLength(199);
    expect(await admitted([a, b], 400)).toBe(100);
  });

  it('know what a user holds on the other one', async (t) => {
    const server = await start(t);
    const [a, b] = [await node(t, server, { connections: 7, subscriptions: 9 }), await node(t, server)];
    await until(() => {
      a.elsewhere(1);
      return b.elsewhere(1).connections === 7;
    });
  });

  it.for([
    ['empty', {}],
    ['keep', { appendonly: 'yes', appendfsync: 'everysec' }],
  ] as const)(
    'accept nothing twice when Redis is killed and starts again (%s)',
    async ([data, settings], t) => {
      const { expect } = t;
      const server = await start(t, settings);
      const [a, b] = [await node(t, server), await node(t, server)];
      await ready(a);
      const tokens = Array.from({ length: 100 }, (_, n) => ({ id: `t${n}`, times: strict() }));
      for (const { id, times } of tokens) expect(await a.replay.spend(id, times)).toBe('spent');
      const bound = await a.replay.bind('reused', 'here', Date.now() + 60_000);
      await server.stop('SIGKILL');
      for (const { id, times } of tokens) expect(await b.replay.spend(id, times)).toBe('unavailable');
      expect(bound && (await a.replay.bind('reused', 'here', Date.now() + 60_000))).toBe(true);
      // Nobody is let through without a limit meanwhile, and nobody is locked out.
      const apart = await admitted([a, b], 400);
      expect(apart).toBeGreaterThanOrEqual(2);
      expect(apart).toBeLessThanOrEqual(200);
      await server.restart(data);
      await until(async () => (await b.replay.spend('probe', strict())) !== 'unavailable');
      for (const { id, times } of tokens) expect(await b.replay.spend(id, times)).toBe('forgotten');
      await ready(b);
      for (const { id, times } of tokens) expect(await b.replay.spend(id, times)).toBe('forgotten');
    },
  );

  it('accept nothing twice when a replica takes over that did not get the last of it', async (t) => {
    const { expect } = t;
    const server = await start(t);
    const replica = await server.replica();
    const a = await node(t, server);
    await ready(a);
    replica.pause();
    const token = strict();
    expect(await a.replay.spend('token', token)).toBe('spent');
    await server.stop('SIGKILL');
    replica.resume();
    replica.cli('replicaof', 'no', 'one');
    const b = await node(t, replica);
    expect(await b.replay.spend('token', token)).toBe('forgotten');
    await ready(b);
    expect(await b.replay.spend('token', token)).toBe('forgotten');
  });

  it('spend nothing where Redis has no room to remember it', async (t) => {
    const { expect } = t;
    const server = await start(t);
    const a = await node(t, server);
    await ready(a);
    server.cli('config', 'set', 'maxmemory', '1');
    expect(await a.replay.spend('token', strict())).toBe('unavailable');
    server.cli('config', 'set', 'maxmemory', '0');
    expect(await a.replay.spend('other', strict())).toBe('spent');
  });
});
