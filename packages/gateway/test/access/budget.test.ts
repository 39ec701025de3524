import { createFakeClock } from '@countersign/testkit';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type BudgetRule, type Charged, createMemoryBudgets } from '../../src/access/budget.ts';

const RULE: BudgetRule = { limit: 10, window: 60, burst: null, reserve: 0 };

/** Most weight admitted in any span of `length` milliseconds. */
function mostWithin(length: number, admitted: readonly { at: number; weight: number }[]): number {
  let most = 0;
  for (const { at: end } of admitted) {
    let sum = 0;
    for (const { at, weight } of admitted) if (at <= end && at > end - length) sum += weight;
    most = Math.max(most, sum);
  }
  return most;
}

const open = (maxPayers?: number) => {
  const clock = createFakeClock();
  const budgets = createMemoryBudgets({ clock, ...(maxPayers === undefined ? {} : { maxPayers }) });
  const charge = (payer: string, rule = RULE, weight = 1, reducesRisk = false) =>
    budgets.charge(payer, rule, weight, reducesRisk) as Charged;
  return { clock, budgets, charge };
};

describe('a budget', () => {
  it('admits exactly its limit and says when it is whole again', () => {
    const { clock, charge } = open();
    for (let n = 1; n <= 10; n += 1) expect(charge('a')).toMatchObject({ admitted: true, remaining: 10 - n });
    const refused = charge('a');
    expect(refused).toMatchObject({ admitted: false, by: 'limit', limit: 10, remaining: 0 });
    expect(refused.retryAfter).toBeGreaterThanOrEqual(60);
    expect(refused.retryAfter).toBeLessThanOrEqual(62);
    clock.advance((refused.retryAfter as number) * 1000);
    expect(charge('a')).toMatchObject({ admitted: true, remaining: 9 });
  });

  it('keeps payers apart', () => {
    const { charge } = open();
    for (let n = 0; n < 20; n += 1) charge('a');
    expect(charge('b').admitted).toBe(true);
  });

  it('admits a weight whole or not at all', () => {
    const { charge } = open();
    expect(charge('a', RULE, 7).admitted).toBe(true);
    expect(charge('a', RULE, 4).admitted).toBe(false);
    expect(charge('a', RULE, 3)).toMatchObject({ admitted: true, remaining: 0 });
    expect(charge('a', RULE, 0).admitted).toBe(true);
  });

  it('says of a weight beyond the limit that it is not soon admitted', () => {
    const { charge } = open();
    expect(charge('a', RULE, 11)).toMatchObject({ admitted: false, retryAfter: 60 });
  });

  it('holds a burst down to its second and lets the rest of the limit be used later', () => {
    const { clock, charge } = open();
    const rule = { ...RULE, burst: 3 };
    for (let n = 0; n < 3; n += 1) expect(charge('a', rule).admitted).toBe(true);
    expect(charge('a', rule)).toMatchObject({ admitted: false, by: 'burst', remaining: 7 });
    clock.advance(1100);
    expect(charge('a', rule).admitted).toBe(true);
  });

  it('keeps its reserve for calls that reduce risk', () => {
    const { charge } = open();
    const rule = { ...RULE, limit: 2, reserve: 2 };
    charge('a', rule, 2);
    expect(charge('a', rule)).toMatchObject({ admitted: false, by: 'limit', reserve: 2 });
    expect(charge('a', rule, 1, true)).toMatchObject({ admitted: true, by: 'reserve', reserve: 1 });
    expect(charge('a', rule, 1, true)).toMatchObject({ admitted: true, reserve: 0 });
    expect(charge('a', rule, 1, true)).toMatchObject({ admitted: false, by: 'reserve' });
  });

  it('foresees the next charge without taking anything', () => {
    const { budgets, charge } = open();
    expect(budgets.foresee('a', RULE, 10)).toMatchObject({ admitted: true, remaining: 10 });
    expect(budgets.size).toBe(0);
    charge('a', RULE, 9);
    expect(budgets.foresee('a', RULE, 2)).toMatchObject({ admitted: false, remaining: 1 });
    expect(charge('a').admitted).toBe(true);
  });

  it('gives nothing back when the clock runs backwards', () => {
    let now = 1_000_000;
    const budgets = createMemoryBudgets({ clock: { monotonic: () => now, every: () => () => {} } });
    for (let n = 0; n < 10; n += 1) budgets.charge('a', RULE, 1);
    for (const earlier of [0, -500_000, 999_999]) {
      now = earlier;
      expect((budgets.charge('a', RULE, 1) as Charged).admitted).toBe(false);
    }
  });

  it('forgets payers that are idle, and the first ones when there are too many', () => {
    const { clock, budgets, charge } = open(3);
    for (const payer of ['a', 'b', 'c', 'd', 'e']) charge(payer);
    expect(budgets.size).toBe(3);
    clock.advance(90_000);
    expect(budgets.size).toBe(0);
  });

  it('never admits more than the limit in any span, nor more than the burst in any second', () => {
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
    fc.assert(
      fc.property(rules, fc.array(step, { minLength: 20, maxLength: 200 }), (rule, steps) => {
        let now = 12_345;
        const budgets = createMemoryBudgets({ clock: { monotonic: () => now, every: () => () => {} } });
        const ordinary: { at: number; weight: number }[] = [];
        const reserved: { at: number; weight: number }[] = [];
        let real = now;
        for (const { wait, weight, reducesRisk, back } of steps) {
          real += wait;
          now = real;
          budgets.charge('a', rule, 0);
          // A clock that falls behind must never be worth a slot.
          if (back) now = real - 3000;
          const charged = budgets.charge('a', rule, weight, reducesRisk) as Charged;
          if (charged.admitted) (charged.by === 'reserve' ? reserved : ordinary).push({ at: real, weight });
          else if (!reducesRisk) expect(charged.retryAfter).toBeGreaterThanOrEqual(1);
        }
        expect(mostWithin(rule.window * 1000, ordinary)).toBeLessThanOrEqual(rule.limit);
        expect(mostWithin(1000, ordinary)).toBeLessThanOrEqual(rule.burst ?? Number.POSITIVE_INFINITY);
        expect(mostWithin(rule.window * 1000, reserved)).toBeLessThanOrEqual(rule.reserve);
      }),
    );
  });

  it('admits what is asked after the wait that it told', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 3000 }), { minLength: 5, maxLength: 40 }),
        fc.integer({ min: 1, max: 5 }),
        (waits, weight) => {
          const { clock, charge } = open();
          const rule = { limit: 12, window: 7, burst: 6, reserve: 0 };
          for (const wait of waits) {
            clock.advance(wait);
            const { admitted, retryAfter } = charge('a', rule, weight);
            if (admitted) continue;
            clock.advance((retryAfter as number) * 1000);
            expect(charge('a', rule, weight).admitted).toBe(true);
          }
        },
      ),
    );
  });

  it('is exact when many ask at once', async () => {
    const { budgets } = open();
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
