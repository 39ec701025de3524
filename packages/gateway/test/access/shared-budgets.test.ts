import { afterAll, beforeAll, describe } from 'vitest';
import { createLedger } from '../../src/access/ledger.ts';
import { createSharedBudgets } from '../../src/access/shared-budgets.ts';
import { budgetContract } from './budget-contract.ts';
import { openTestRedis, redisBin, type TestRedis } from './redis-kit.ts';

describe.skipIf(redisBin === null)('budgets on Redis', () => {
  let redis: TestRedis;
  let lives = 0;
  beforeAll(async () => {
    redis = await openTestRedis();
  });
  afterAll(() => redis.close());

  budgetContract('one budget for all nodes, asked by one of them', {
    async make(given, maxPayers) {
      lives += 1;
      const name = String(lives);
      const start = Date.now();
      // The clock of the node may fall behind; that of Redis is right.
      let latest = 0;
      const monotonic = () => {
        latest = Math.max(latest, given.monotonic());
        return given.monotonic();
      };
      const clock = { ...given, monotonic };
      const scripts = redis.scripts(() => start + latest);
      const ledger = createLedger({ scripts, clock, nodes: () => 1 });
      return createSharedBudgets({ name, ledger, clock, ...(maxPayers === undefined ? {} : { maxPayers }) });
    },
    late: 5,
    runs: 30,
  });
});
