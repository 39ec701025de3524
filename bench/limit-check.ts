/**
 * What one check of a budget costs in memory: charges to one payer, to 10,000 payers in turn, and refusals; and the same
 * of budgets that nodes share, as long as what was borrowed lasts. Nothing is asked of Redis here: a stand-in lends at once.
 *
 * Run: npx tsx bench/limit-check.ts [--checks 2000000]
 */
import { parseArgs } from 'node:util';
import { type BudgetRule, type Budgets, createMemoryBudgets } from '../packages/gateway/src/access/budget.ts';
import { createLedger } from '../packages/gateway/src/access/ledger.ts';
import { createSharedBudgets } from '../packages/gateway/src/access/shared-budgets.ts';
import { systemClock } from '../packages/gateway/src/operations/clock.ts';

const { values } = parseArgs({ options: { checks: { type: 'string', default: '2000000' } } });
const checks = Number(values.checks);
const wide: BudgetRule = { limit: 1_000_000_000, window: 60, burst: 1_000_000_000, reserve: 0 };
const narrow: BudgetRule = { limit: 10, window: 60, burst: 10, reserve: 0 };
const names = Array.from({ length: 10_000 }, (_, n) => `user:${n}`);

const inMemory = () => createMemoryBudgets({ clock: systemClock });

/** Lends a billion to everybody for an hour, and nothing to whoever asks for a rule of ten. */
function withLoan(): Budgets {
  const ledger = createLedger({
    clock: systemClock,
    nodes: () => 2,
    scripts: {
      healthy: true,
      life: async () => ['life', 3_600_000],
      borrow: async (_pool, args) =>
        args[12] === '10'
          ? [2, 'life', 3_600_000, 1, 3_600_000, 0, 60_000]
          : [1, 'life', 3_600_000, 1_000_000_000, 3_600_000, 1_000_000_000, 60_000, 0, 0],
    },
  });
  return createSharedBudgets({ name: 'bench', ledger, clock: systemClock });
}

async function measure(
  name: string,
  rule: BudgetRule,
  payers: readonly string[],
  make: () => Budgets = inMemory,
): Promise<void> {
  const budgets = make();
  for (const payer of payers) await budgets.charge(payer, rule, 1);
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

await measure('one payer, admitted', wide, names.slice(0, 1));
await measure('10,000 payers in turn, admitted', wide, names);
await measure('one payer, refused', narrow, names.slice(0, 1));
await measure('one payer, shared, admitted', wide, names.slice(0, 1), withLoan);
await measure('10,000 payers in turn, shared, admitted', wide, names, withLoan);
