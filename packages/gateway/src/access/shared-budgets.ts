/**
 * Budgets that several nodes share: one for each payer, kept in Redis, spent from memory. A node borrows a little at
 * a time, so that most charges ask nobody; docs/guides/limits.md says what is promised and what is not.
 */
import type { Clock } from '../operations/clock.ts';
import type { MaybePromise } from '../session/maybe-promise.ts';
import type { BudgetRule, Budgets, Charged } from './budget.ts';
import type { Ledger } from './ledger.ts';
import { type Outcome, type PoolRule, SharedPool } from './shared-pool.ts';

const SECOND = 1000;
const WINDOW_PARTS = 60;
const BURST_PARTS = 10;
/** Loans are good for a twentieth of the window and no less than this, in milliseconds. */
const SHORTEST_LONG = 100;
/** What is borrowed for those who wait is spent as soon as the answer is there. */
const LONGEST_SHORT = 250;
const SETTLE_EVERY = 250;
/** Pools that are looked at in one go, and those that are settled, each with a call to Redis. */
const SETTLE_LOOKED_AT = 5000;
const SETTLE_AT_ONCE = 200;
const SWEEP = 10_000;

class SharedBudget {
  readonly rule: BudgetRule;
  /** Monotonic milliseconds of the last charge. */
  at: number;
  readonly main: SharedPool;
  readonly #make: (part: 'main' | 'reserve') => SharedPool;
  #reserve: SharedPool | null = null;

  constructor(rule: BudgetRule, now: number, make: (part: 'main' | 'reserve') => SharedPool) {
    this.rule = rule;
    this.at = now;
    this.#make = make;
    this.main = make('main');
  }

  get pools(): readonly SharedPool[] {
    return this.#reserve === null ? [this.main] : [this.main, this.#reserve];
  }

  /** Puts its pools among those that are looked after. */
  markUnsettled(active: Set<SharedPool>): void {
    active.add(this.main);
    if (this.#reserve !== null) active.add(this.#reserve);
  }

  charge(weight: number, reducesRisk: boolean): MaybePromise<Charged> {
    const outcome = this.main.take(weight);
    if (outcome instanceof Promise) return outcome.then((one) => this.#afterMain(one, weight, reducesRisk));
    return this.#afterMain(outcome, weight, reducesRisk);
  }

  foresee(weight: number, reducesRisk: boolean): Charged {
    const outcome = this.main.foresee(weight);
    if (outcome.admitted || !reducesRisk) return this.#view(outcome, 'main');
    const saved = (this.#reserve ?? this.#make('reserve')).foresee(weight);
    return this.#view(saved.admitted ? saved : outcome, 'reserve', saved.admitted);
  }

  #afterMain(outcome: Outcome, weight: number, reducesRisk: boolean): MaybePromise<Charged> {
    if (outcome.admitted || !reducesRisk) return this.#view(outcome, 'main');
    this.#reserve ??= this.#make('reserve');
    const saved = this.#reserve.take(weight);
    if (saved instanceof Promise)
      return saved.then((one) => this.#view(one.admitted ? one : outcome, 'reserve', one.admitted));
    return this.#view(saved.admitted ? saved : outcome, 'reserve', saved.admitted);
  }

  /** @param outcome its `wait` is that of the limit and the burst, also where the reserve refused */
  #view({ admitted, ring, wait }: Outcome, from: 'main' | 'reserve', paid = admitted): Charged {
    const { limit, reserve } = this.rule;
    return {
      admitted: paid,
      by: from === 'reserve' ? 'reserve' : ring === 1 ? 'burst' : 'limit',
      limit,
      remaining: this.main.left,
      reset: this.main.reset / SECOND,
      retryAfter: paid ? null : Math.max(1, Math.ceil(wait / SECOND)),
      reserve: this.#reserve === null ? reserve : this.#reserve.left,
    };
  }
}

/**
 * @param name tells these payers from those of other budgets on the same Redis
 * @param maxPayers budgets that this node remembers; Redis remembers all that were charged within their window
 */
export function createSharedBudgets({
  name,
  ledger,
  clock,
  maxPayers = 50_000,
}: {
  name: string;
  ledger: Ledger;
  clock: Pick<Clock, 'monotonic' | 'every'>;
  maxPayers?: number;
}): Budgets & { readonly size: number } {
  const budgets = new Map<string, SharedBudget>();
  /** Pools that have been charged and may have something to give back or to report. */
  const active = new Set<SharedPool>();
  let latest = Number.NEGATIVE_INFINITY;
  const time = (): number => {
    latest = Math.max(latest, clock.monotonic());
    return latest;
  };

  function settle(): void {
    let looked = 0;
    let asked = 0;
    const most = Math.min(SETTLE_LOOKED_AT, active.size);
    for (const pool of active) {
      // To the back of the line, so that each has its turn.
      active.delete(pool);
      if (pool.unsettled) {
        active.add(pool);
        if (pool.settle()) asked += 1;
      }
      looked += 1;
      if (looked >= most || asked >= SETTLE_AT_ONCE) return;
    }
  }

  function forget(payer: string, budget: SharedBudget): void {
    budgets.delete(payer);
    for (const pool of budget.pools) active.delete(pool);
  }

  function sweep(): void {
    const now = time();
    for (const [payer, budget] of budgets) {
      if (now - budget.at > (budget.rule.window + 1) * SECOND * 1.1) forget(payer, budget);
    }
  }

  const stops = [clock.every(SETTLE_EVERY, settle), clock.every(SWEEP, sweep)];

  function make(payer: string, rule: BudgetRule, now: number): SharedBudget {
    return new SharedBudget(rule, now, (part) => {
      const pool = part === 'main' ? mainPool(rule) : reservePool(rule);
      return new SharedPool({ ...pool, name: `${name}:${part}:${payer}` }, ledger, time);
    });
  }

  return {
    charge(payer, rule, weight, reducesRisk = false) {
      const now = time();
      let budget = budgets.get(payer);
      if (budget === undefined) {
        if (budgets.size >= maxPayers) forgetOldest();
        budget = make(payer, rule, now);
        budgets.set(payer, budget);
      }
      budget.at = now;
      const charged = budget.charge(weight, reducesRisk);
      budget.markUnsettled(active);
      return charged;
    },
    foresee(payer, rule, weight, reducesRisk = false) {
      return (budgets.get(payer) ?? make(payer, rule, time())).foresee(weight, reducesRisk);
    },
    get size() {
      return budgets.size;
    },
    close() {
      for (const stop of stops) stop();
      budgets.clear();
      active.clear();
    },
  };

  function forgetOldest(): void {
    const oldest = budgets.entries().next();
    if (!oldest.done) forget(...oldest.value);
  }
}

const poolRule = (rings: PoolRule['rings'], window: number): PoolRule => {
  const long = Math.max(SHORTEST_LONG, window / 20);
  return { name: '', rings, window, long, short: Math.min(long, LONGEST_SHORT) };
};

function mainPool({ limit, burst, window }: BudgetRule): PoolRule {
  const length = window * SECOND;
  const rings = [{ name: 'w', part: length / WINDOW_PARTS, parts: WINDOW_PARTS + 1, capacity: limit }];
  if (burst !== null)
    rings.push({ name: 'b', part: SECOND / BURST_PARTS, parts: BURST_PARTS + 1, capacity: burst });
  return poolRule(rings, length);
}

function reservePool({ reserve, window }: BudgetRule): PoolRule {
  const length = window * SECOND;
  return poolRule(
    [{ name: 'w', part: length / WINDOW_PARTS, parts: WINDOW_PARTS + 1, capacity: reserve }],
    length,
  );
}
