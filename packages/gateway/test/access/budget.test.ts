import { createMemoryBudgets } from '../../src/access/budget.ts';
import { budgetContract } from './budget-contract.ts';

budgetContract('a budget in memory', {
  make: async (clock, maxPayers) =>
    createMemoryBudgets({ clock, ...(maxPayers === undefined ? {} : { maxPayers }) }),
  late: 0,
  runs: 100,
});
