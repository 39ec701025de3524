/** What every kind of budget promises, whoever keeps it. */
import { createFakeClock, type FakeClock } from '@countersign/testkit';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import type { BudgetRule, Budgets } from '../../src/access/budget.ts';

const RULE: BudgetRule = { limit: 10, window: 60, burst: null, reserve: 0 };

/** Most weight admitted in any span of `length` milliseconds. */
export function mostWithin(length: number, admitted: readonly { at: number; weight: number }[]): number {
  let most = 0;
  for (const { at: end } of admitted) {
    let sum = 0;
    for (const { at, weight } of admitted) if (at <= end && at > end - length) sum += weight;
    most = Math.max(most, sum);
  }
  return most;
}

type Time = Pick<FakeClock, 'monotonic' | 'after' | 'every'>;

export interface BudgetsUnderTest {
  /** Fresh ones, on a clock that the test moves. */
  make(clock: Time, maxPayers?: number): Promise<Budgets & { readonly size: number }>;
  /** Seconds by which something may be given back later than from memory. */
  late: number;
  /** Runs of each property. */
  runs: number;
}

export function budgetContract(name: string, { make, late, runs }: BudgetsUnderTest): void {
  const opened: Budgets[] = [];
  afterEach(() => {
    for (const budgets of opened.splice(0)) budgets.close();
  });

  const made = async (clock: Time, maxPayers?: number) => {
    const budgets = await make(clock, maxPayers);
    opened.push(budgets);
    return budgets;
  };

  const open = async (maxPayers?: number) => {
    const clock = createFakeClock();
    const budgets = await made(clock, maxPayers);
    const charge = async (payer: string, rule = RULE, weight = 1, reducesRisk = false) =>
      budgets.charge(payer, rule, weight, reducesRisk);
    return { clock, budgets, charge };
  };

  describe(name, () => {
    it('admits exactly its limit and says when it is whole again', async () => {
      const { clock, charge } = await open();
      for (let n = 1; n <= 10; n += 1)
        expect(await charge('a')).toMatchObject({ admitted: true, remaining: 10 - n });
      const refused = await charge('a');
      expect(refused).toMatchObject({ admitted: false, by: 'limit', limit: 10, remaining: 0 });
      expect(refused.retryAfter).toBeGreaterThanOrEqual(60);
      expect(refused.retryAfter).toBeLessThanOrEqual(62 + late);
      clock.advance((refused.retryAfter as number) * 1000);
      expect(await charge('a')).toMatchObject({ admitted: true });
      clock.advance((await charge('a', RULE, 0)).reset * 1000);
      expect(await charge('a')).toMatchObject({ admitted: true, remaining: 9 });
    });

    it('keeps payers apart', async () => {
      const { charge } = await open();
      for (let n = 0; n < 20; n += 1) await charge('a');
      expect((await charge('b')).admitted).toBe(true);
    });

    it('admits a weight whole or not at all', async () => {
      const { charge } = await open();
      expect((await charge('a', RULE, 7)).admitted).toBe(true);
      expect((await charge('a', RULE, 4)).admitted).toBe(false);
      expect(await charge('a', RULE, 3)).toMatchObject({ admitted: true, remaining: 0 });
      expect((await charge('a', RULE, 0)).admitted).toBe(true);
    });

    it('says of a weight beyond the limit that it is not soon admitted', async () => {
      const { charge } = await open();
      expect(await charge('a', RULE, 11)).toMatchObject({ admitted: false, retryAfter: 60 });
    });

    it('holds a burst down to its second and lets the rest of the limit be used later', async () => {
      const { clock, charge } = await open();
      const rule = { ...RULE, burst: 3 };
      for (let n = 0; n < 3; n += 1) expect((await charge('a', rule)).admitted).toBe(true);
      expect(await charge('a', rule)).toMatchObject({ admitted: false, by: 'burst', remaining: 7 });
      clock.advance(1100 + late * 1000);
      expect((await charge('a', rule)).admitted).toBe(true);
    });

    it('keeps its reserve for calls that reduce risk', async () => {
      const { charge } = await open();
      const rule = { ...RULE, limit: 2, reserve: 2 };
      await charge('a', rule, 2);
      expect(await charge('a', rule)).toMatchObject({ admitted: false, by: 'limit', reserve: 2 });
      expect(await charge('a', rule, 1, true)).toMatchObject({ admitted: true, by: 'reserve', reserve: 1 });
      expect(await charge('a', rule, 1, true)).toMatchObject({ admitted: true, reserve: 0 });
      expect(await charge('a', rule, 1, true)).toMatchObject({ admitted: false, by: 'reserve' });
    });

    it('foresees the next charge without taking anything', async () => {
      const { budgets, charge } = await open();
      expect(await budgets.foresee('a', RULE, 10)).toMatchObject({ admitted: true, remaining: 10 });
      expect(budgets.size).toBe(0);
      await charge('a', RULE, 9);
      expect(await budgets.foresee('a', RULE, 2)).toMatchObject({ admitted: false, remaining: 1 });
      expect((await charge('a')).admitted).toBe(true);
    });

    it('gives nothing back when the clock runs backwards', async () => {
      let now = 1_000_000;
      const budgets = await made({ monotonic: () => now, after: () => () => {}, every: () => () => {} });
      for (let n = 0; n < 10; n += 1) await budgets.charge('a', RULE, 1);
      for (const earlier of [0, -500_000, 999_999]) {
        now = earlier;
        expect((await budgets.charge('a', RULE, 1)).admitted).toBe(false);
      }
    });

    it('forgets payers that are idle, and the first ones when there are too many', async () => {
      const { clock, budgets, charge } = await open(3);
      for (const payer of ['a', 'b', 'c', 'd', 'e']) await charge(payer);
      expect(budgets.size).toBe(3);
      clock.advance(90_000);
      expect(budgets.size).toBe(0);
    });

    it('never admits more than the limit in any span, nor more than the burst in any second', async () => {
      const step = fc.record({
        wait: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 400 }), fc.integer({ min: 0, max: 9000 })),
        weight: fc.integer({ min: 0, max: 4 }),
        reducesRisk: fc.boolean(),
        back: fc.boolean(),
      });
      const rules = fc.record({
        limit: fc.integer({ min: 1, max: 40 }),
        window: fc.integer({ min: 1, max: 10 }),
        burst: fc.option(fc.integer({ min: 1, max: 20 })),
        reserve: fc.integer({ min: 0, max: 10 }),
      });
      await fc.assert(
        fc.asyncProperty(rules, fc.array(step, { minLength: 20, maxLength: 200 }), async (rule, steps) => {
          let now = 12_345;
          const budgets = await made({ monotonic: () => now, after: () => () => {}, every: () => () => {} });
          const ordinary: { at: number; weight: number }[] = [];
          const reserved: { at: number; weight: number }[] = [];
          let real = now;
          for (const { wait, weight, reducesRisk, back } of steps) {
            real += wait;
            now = real;
            await budgets.charge('a', rule, 0);
            // A clock that falls behind must never be worth a slot.
            if (back) now = real - 3000;
            const charged = await budgets.charge('a', rule, weight, reducesRisk);
            if (charged.admitted) (charged.by === 'reserve' ? reserved : ordinary).push({ at: real, weight });
            else if (!reducesRisk) expect(charged.retryAfter).toBeGreaterThanOrEqual(1);
          }
          expect(mostWithin(rule.window * 1000, ordinary)).toBeLessThanOrEqual(rule.limit);
          expect(mostWithin(1000, ordinary)).toBeLessThanOrEqual(rule.burst ?? Number.POSITIVE_INFINITY);
          expect(mostWithin(rule.window * 1000, reserved)).toBeLessThanOrEqual(rule.reserve);
        }),
        { numRuns: runs },
      );
    });

    it('admits what is asked after the wait that it told', async () => {
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.integer({ min: 0, max: 3000 }), { minLength: 5, maxLength: 40 }),
          fc.integer({ min: 1, max: 5 }),
          async (waits, weight) => {
            const { clock, charge } = await open();
            const rule = { limit: 12, window: 7, burst: 6, reserve: 0 };
            for (const wait of waits) {
              clock.advance(wait);
              const { admitted, retryAfter } = await charge('a', rule, weight);
              if (admitted) continue;
              clock.advance((retryAfter as number) * 1000);
              expect((await charge('a', rule, weight)).admitted).toBe(true);
            }
          },
        ),
        { numRuns: runs },
      );
    });

    it('is exact when many ask at once', async () => {
      const { budgets } = await open();
      const rule = { ...RULE, limit: 400 };
      const asked = Array.from({ length: 400 }, async () => {
        let admitted = 0;
        for (let n = 0; n < 5; n += 1) {
          if ((await budgets.charge('a', rule, 1)).admitted) admitted += 1;
        }
        return admitted;
      });
      expect((await Promise.all(asked)).reduce((a, b) => a + b)).toBe(400);
    });
  });
}
