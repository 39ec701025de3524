/**
 * What one check of a budget costs in memory: charges to one payer, to 10,000 payers in turn, and refusals.
 *
 * Run: npx tsx bench/limit-check.ts [--checks 2000000]
 */
import { parseArgs } from 'node:util';
import { type BudgetRule, createMemoryBudgets } from '../packages/gateway/src/access/budget.ts';
import { systemClock } from '../packages/gateway/src/operations/clock.ts';

const { values } = parseArgs({ options: { checks: { type: 'string', default: '2000000' } } });
const checks = Number(values.checks);
const wide: BudgetRule = { limit: 1_000_000_000, window: 60, burst: 1_000_000_000, reserve: 0 };
const narrow: BudgetRule = { limit: 10, window: 60, burst: 10, reserve: 0 };
const names = Array.from({ length: 10_000 }, (_, n) => `user:${n}`);

function measure(name: string, rule: BudgetRule, payers: readonly string[]): void {
  const budgets = createMemoryBudgets({ clock: systemClock });
  const run = (count: number) => {
    const begun = performance.now();
    for (let n = 0; n < count; n += 1) budgets.charge(payers[n % payers.length] as string, rule, 1);
    return ((performance.now() - begun) * 1000) / count;
  };
  run(checks / 10);
  const rounds = Array.from({ length: 5 }, () => run(checks)).sort((a, b) => a - b);
  budgets.close();
  process.stdout.write(
    `${JSON.stringify({ bench: 'limit-check', name, checks, microseconds: Number((rounds[2] as number).toFixed(3)) })}\n`,
  );
}

measure('one payer, admitted', wide, names.slice(0, 1));
measure('10,000 payers in turn, admitted', wide, names);
measure('one payer, refused', narrow, names.slice(0, 1));
