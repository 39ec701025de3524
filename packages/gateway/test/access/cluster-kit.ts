/** Several nodes on one Redis, and the network between them, in time that the test moves. */
import { createFakeClock } from '@countersign/testkit';
import type { BudgetRule, Budgets, Charged } from '../../src/access/budget.ts';
import { createLedger, type Ledger, type Scripts } from '../../src/access/ledger.ts';
import { createSharedBudgets } from '../../src/access/shared-budgets.ts';
import type { TestRedis } from './redis-kit.ts';

/** Milliseconds by which time moves. */
export const STEP = 10;

export interface Network {
  /** Milliseconds that a request and its answer take on the way. */
  there: number;
  back: number;
  cut: boolean;
}

export class Cluster {
  readonly clock = createFakeClock();
  readonly admitted: { at: number; weight: number; by: string }[] = [];
  readonly network: Network[] = [];
  readonly budgets: Budgets[] = [];
  readonly #ledgers: Ledger[] = [];
  readonly #redis: TestRedis;
  readonly #start = Date.now();
  readonly #rule: BudgetRule;
  readonly #name: string;
  /** Calls that Redis has not answered in this moment. */
  readonly #open = new Set<Promise<unknown>>();
  asked = 0;

  constructor(redis: TestRedis, name: string, rule: BudgetRule, nodes: number) {
    this.#redis = redis;
    this.#rule = rule;
    this.#name = name;
    for (let n = 0; n < nodes; n += 1) this.#add(n, nodes);
  }

  #add(n: number, nodes: number): void {
    const network: Network = { there: 0, back: 0, cut: false };
    // Each node counts from a moment of its own.
    const origin = n * 123_456.7;
    const clock = { ...this.clock, monotonic: () => origin + this.clock.monotonic() };
    const real = this.#redis.scripts(() => this.#start + this.clock.monotonic());
    const carry =
      <A extends unknown[]>(call: (...args: A) => Promise<unknown>) =>
      (...args: A): Promise<unknown> =>
        new Promise((resolve) => {
          this.asked += 1;
          if (network.cut) return;
          const { there, back } = network;
          this.#after(there, () => {
            const answered = call(...args);
            this.#open.add(answered);
            void answered.then((answer) => {
              this.#open.delete(answered);
              if (!network.cut) this.#after(back, () => resolve(answer));
            });
          });
        });
    const scripts: Scripts = { healthy: true, borrow: carry(real.borrow), life: carry(real.life) };
    const ledger = createLedger({ scripts, clock, nodes: () => nodes });
    this.network.push(network);
    this.#ledgers.push(ledger);
    this.budgets.push(createSharedBudgets({ name: this.#name, ledger, clock }));
  }

  #after(ms: number, task: () => void): void {
    if (ms === 0) task();
    else this.clock.after(ms, task);
  }

  charge(node: number, weight: number, reducesRisk = false): Promise<Charged> {
    const charged = (this.budgets[node] as Budgets).charge('payer', this.#rule, weight, reducesRisk);
    return Promise.resolve(charged).then((one) => {
      if (one.admitted) this.admitted.push({ at: this.clock.monotonic(), weight, by: one.by });
      return one;
    });
  }

  /** Charges one unit so often. @returns how many were admitted */
  async spend(node: number, times: number): Promise<number> {
    const before = this.admitted.length;
    for (let n = 0; n < times; n += 1) {
      void this.charge(node, 1);
      await this.settle();
    }
    return this.admitted.length - before;
  }

  /** Lets everything happen that happens in this moment. */
  async settle(): Promise<void> {
    do {
      await Promise.all(this.#open);
      await new Promise(setImmediate);
    } while (this.#open.size > 0);
  }

  async pass(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += STEP) {
      this.clock.advance(STEP);
      await this.settle();
    }
  }

  spent(by: 'ordinary' | 'reserve') {
    return this.admitted.filter((one) => (one.by === 'reserve') === (by === 'reserve'));
  }

  close(): void {
    for (const budgets of this.budgets) budgets.close();
    for (const ledger of this.#ledgers) ledger.close();
  }
}
