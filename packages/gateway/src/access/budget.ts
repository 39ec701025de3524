/**
 * One budget per payer, whatever door the work came through. Kept in this process; the interface allows for one
 * that several nodes share.
 */
import type { Clock } from '../operations/clock.ts';
import type { MaybePromise } from '../session/maybe-promise.ts';
import { SlidingWindow } from './sliding-window.ts';

/** How much weight a payer may spend. Frozen parts of the configuration: one object per tier. */
export interface BudgetRule {
  /** Weight in any span of `window` seconds. */
  readonly limit: number;
  /** Seconds. */
  readonly window: number;
  /** Weight in any second; null = only `limit` counts. */
  readonly burst: number | null;
  /** Weight on top of `limit`, in any window, for calls that reduce risk. */
  readonly reserve: number;
}

export interface BudgetView {
  readonly limit: number;
  /** What is left of `limit` now; a burst may be refused all the same. */
  readonly remaining: number;
  /** Seconds until all of the limit is there again if nothing more is asked. */
  readonly reset: number;
  /** Seconds after which the refused call may be tried again, at least 1; null if it was not refused. */
  readonly retryAfter: number | null;
  /** What is left of the reserve. */
  readonly reserve: number;
}

export interface Charged extends BudgetView {
  readonly admitted: boolean;
  /** What the weight was taken from, or what refused it: `limit`, `burst`, `reserve`. */
  readonly by: 'limit' | 'burst' | 'reserve';
}

export interface Budgets {
  /**
   * Takes `weight` from a payer's budget, all or nothing.
   *
   * @param rule the same one for each charge to a payer
   * @param weight whole number; 0 only looks
   * @param reducesRisk may be paid from the reserve once the limit or the burst is used up
   */
  charge(payer: string, rule: BudgetRule, weight: number, reducesRisk?: boolean): MaybePromise<Charged>;
  /** What a charge would answer now, without taking anything or remembering the payer. */
  foresee(payer: string, rule: BudgetRule, weight: number, reducesRisk?: boolean): MaybePromise<Charged>;
  /** Idempotent. */
  close(): void;
}

/** A part of a second or so for the usual minute: what is given back late is under two hundredths of the window. */
const WINDOW_PARTS = 60;
const BURST_PARTS = 10;
const SECOND = 1000;
const SWEEP = 10_000;

class Budget {
  readonly rule: BudgetRule;
  /** Monotonic milliseconds of the last charge. */
  at: number;
  readonly #window: SlidingWindow;
  readonly #burst: SlidingWindow;
  #reserve: SlidingWindow | null = null;

  constructor(rule: BudgetRule, now: number) {
    this.rule = rule;
    this.at = now;
    this.#window = new SlidingWindow(rule.window * SECOND, WINDOW_PARTS, now);
    this.#burst = new SlidingWindow(SECOND, BURST_PARTS, now);
  }

  charge(weight: number, reducesRisk: boolean, now: number, take: boolean): Charged {
    const { limit, burst, reserve, window } = this.rule;
    const used = this.#window.used(now);
    const within = used + weight <= limit;
    const calm = burst === null || this.#burst.used(now) + weight <= burst;
    const saved = this.#reserve === null ? reserve : Math.max(0, reserve - this.#reserve.used(now));
    let by: Charged['by'] = within ? (calm ? 'limit' : 'burst') : 'limit';
    let admitted = within && calm;
    if (admitted) {
      if (take && weight > 0) {
        this.#window.add(weight);
        if (burst !== null) this.#burst.add(weight);
      }
    } else if (reducesRisk) {
      by = 'reserve';
      admitted = weight <= saved;
      if (admitted && take) {
        this.#reserve ??= new SlidingWindow(window * SECOND, WINDOW_PARTS, now);
        this.#reserve.used(now);
        this.#reserve.add(weight);
      }
    }
    const spent = by !== 'reserve' && admitted && take ? weight : 0;
    return {
      admitted,
      by,
      limit,
      remaining: Math.max(0, limit - used - spent),
      reset: used + spent === 0 ? 0 : this.#window.timeUntil(0, now) / SECOND,
      retryAfter: admitted ? null : this.#wait(weight, now),
      reserve: by === 'reserve' && admitted && take ? saved - weight : saved,
    };
  }

  #wait(weight: number, now: number): number {
    const { limit, burst, window } = this.rule;
    if (weight > limit || (burst !== null && weight > burst)) return Math.ceil(window);
    const ms = Math.max(
      this.#window.timeUntil(limit - weight, now),
      burst === null ? 0 : this.#burst.timeUntil(burst - weight, now),
    );
    return Math.max(1, Math.ceil(ms / SECOND));
  }
}

/**
 * @param maxPayers budgets kept; beyond that the one that was made first is forgotten and starts afresh. Users and
 *   addresses belong into budgets of their own, so that strangers from many addresses cannot push out a user.
 */
export function createMemoryBudgets({
  clock,
  maxPayers = 50_000,
}: {
  clock: Pick<Clock, 'monotonic' | 'every'>;
  maxPayers?: number;
}): Budgets & { readonly size: number } {
  const budgets = new Map<string, Budget>();
  let latest = Number.NEGATIVE_INFINITY;
  /** A clock that falls behind must not be worth anything. */
  const time = (): number => {
    latest = Math.max(latest, clock.monotonic());
    return latest;
  };

  // A budget that nobody touched for its whole window is like a new one.
  const stop = clock.every(SWEEP, () => {
    const now = time();
    for (const [payer, { at, rule }] of budgets) {
      if (now - at > (rule.window + 1) * SECOND * 1.1) budgets.delete(payer);
    }
  });

  function open(payer: string, rule: BudgetRule, now: number): Budget {
    const known = budgets.get(payer);
    if (known !== undefined) return known;
    if (budgets.size >= maxPayers) {
      const oldest = budgets.keys().next();
      if (!oldest.done) budgets.delete(oldest.value);
    }
    const made = new Budget(rule, now);
    budgets.set(payer, made);
    return made;
  }

  return {
    charge(payer, rule, weight, reducesRisk = false) {
      const now = time();
      const budget = open(payer, rule, now);
      budget.at = now;
      return budget.charge(weight, reducesRisk, now, true);
    },
    foresee(payer, rule, weight, reducesRisk = false) {
      const now = time();
      const budget = budgets.get(payer) ?? new Budget(rule, now);
      return budget.charge(weight, reducesRisk, now, false);
    },
    get size() {
      return budgets.size;
    },
    close() {
      stop();
      budgets.clear();
    },
  };
}
