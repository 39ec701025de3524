/**
 * Several nodes, one Redis, and everything that can happen between them: answers that come late or not at all, cuts, a
 * Redis that forgets. Node clocks begin anywhere; time is the test's.
 */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { BudgetRule } from '../../src/access/budget.ts';
import { mostWithin } from './budget-contract.ts';
import { Cluster, type Network, STEP } from './cluster-kit.ts';
import { openTestRedis, redisBin, type TestRedis } from './redis-kit.ts';

const rules = fc.record({
  limit: fc.integer({ min: 1, max: 60 }),
  window: fc.integer({ min: 1, max: 4 }),
  burst: fc.option(fc.integer({ min: 1, max: 30 })),
  reserve: fc.integer({ min: 0, max: 12 }),
});
const nodes = fc.integer({ min: 2, max: 4 });
const node = fc.nat({ max: 3 });
const charge = fc.record({
  do: fc.constant('charge' as const),
  node,
  weight: fc.integer({ min: 1, max: 3 }),
  times: fc.integer({ min: 1, max: 12 }),
  reducesRisk: fc.boolean(),
});
const wait = fc.record({
  do: fc.constant('wait' as const),
  ms: fc.oneof(fc.integer({ min: 1, max: 8 }), fc.integer({ min: 1, max: 120 })).map((n) => n * STEP),
});
const late = (most: number) =>
  fc.record({
    do: fc.constant('late' as const),
    node,
    there: fc.integer({ min: 0, max: most }),
    back: fc.integer({ min: 0, max: most }),
  });
const cut = fc.record({ do: fc.constant('cut' as const), node });
const heal = fc.record({ do: fc.constant('heal' as const), node });
const forget = fc.record({ do: fc.constant('forget' as const) });
type Step =
  | (typeof charge extends fc.Arbitrary<infer T> ? T : never)
  | (typeof wait extends fc.Arbitrary<infer T> ? T : never)
  | { do: 'late'; node: number; there: number; back: number }
  | { do: 'cut' | 'heal'; node: number }
  | { do: 'forget' };

describe.skipIf(redisBin === null)('one budget over several nodes', { timeout: 60_000 }, () => {
  let redis: TestRedis;
  let runs = 0;
  beforeAll(async () => {
    redis = await openTestRedis();
  });
  afterAll(() => redis.close());

  async function run(rule: BudgetRule, count: number, steps: readonly Step[]): Promise<Cluster> {
    runs += 1;
    await redis.begin();
    const cluster = new Cluster(redis, String(runs), rule, count);
    for (const step of steps) {
      const at = 'node' in step ? step.node % count : 0;
      const network = cluster.network[at] as Network;
      if (step.do === 'charge') {
        for (let n = 0; n < step.times; n += 1) void cluster.charge(at, step.weight, step.reducesRisk);
        await cluster.settle();
      } else if (step.do === 'wait') await cluster.pass(step.ms);
      else if (step.do === 'late') Object.assign(network, { there: step.there, back: step.back });
      else if (step.do === 'forget') await redis.flush();
      else network.cut = step.do === 'cut';
    }
    await cluster.pass(400);
    cluster.close();
    return cluster;
  }

  it('admits no more than the limit, the burst and the reserve in any span, exactly', async () => {
    await fc.assert(
      fc.asyncProperty(
        rules,
        nodes,
        fc.array(fc.oneof(charge, charge, wait, late(4)), { minLength: 10, maxLength: 40 }),
        async (rule, count, steps) => {
          const cluster = await run(rule, count, steps);
          const ordinary = cluster.spent('ordinary');
          const { limit, burst, reserve, window } = rule;
          expect(mostWithin(window * 1000, ordinary)).toBeLessThanOrEqual(limit);
          expect(mostWithin(1000, ordinary)).toBeLessThanOrEqual(burst ?? Number.POSITIVE_INFINITY);
          expect(mostWithin(window * 1000, cluster.spent('reserve'))).toBeLessThanOrEqual(reserve);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('admits less than twice the limit when Redis is cut off, slow, or forgets', async () => {
    await fc.assert(
      fc.asyncProperty(
        rules,
        nodes,
        fc.array(fc.oneof(charge, charge, charge, wait, wait, late(400), cut, heal, forget), {
          minLength: 10,
          maxLength: 40,
        }),
        async (rule, count, steps) => {
          const cluster = await run(rule, count, steps);
          const ordinary = cluster.spent('ordinary');
          const bound = (limit: number) =>
            limit + (count - 1) * Math.min(limit, Math.max(1, Math.floor(limit / count)));
          const { limit, burst, reserve, window } = rule;
          expect(mostWithin(window * 1000, ordinary)).toBeLessThanOrEqual(bound(limit));
          expect(mostWithin(1000, ordinary)).toBeLessThanOrEqual(
            burst === null ? Number.POSITIVE_INFINITY : bound(burst),
          );
          expect(mostWithin(window * 1000, cluster.spent('reserve'))).toBeLessThanOrEqual(bound(reserve));
        },
      ),
      { numRuns: 60 },
    );
  });
});
