/**
 * One pool of one payer on one node: spends what was lent, borrows more when that is used up, and holds to its own
 * share of the limit while there is nobody to borrow from.
 */
import type { Ledger, Loan, RingRule, Used } from './ledger.ts';
import { SlidingWindow } from './sliding-window.ts';

/** A ring and the window that this node keeps of what it spent itself. */
interface Own {
  readonly rule: RingRule;
  readonly window: SlidingWindow;
}

export interface PoolRule {
  /** Name in Redis. */
  readonly name: string;
  /** The first is the one that views show. */
  readonly rings: readonly RingRule[];
  /** Milliseconds for which a loan is good, without and with units beyond the demand. */
  readonly short: number;
  readonly long: number;
  /** Milliseconds of the longest window. */
  readonly window: number;
}

export interface Outcome {
  readonly admitted: boolean;
  /** Index of the ring that refused; 0 if none did. */
  readonly ring: number;
  /** Milliseconds until it may be tried again; 0 if it was admitted. */
  readonly wait: number;
}

interface Waiting {
  readonly weight: number;
  readonly resolve: (outcome: Outcome) => void;
}

const ADMITTED: Outcome = Object.freeze({ admitted: true, ring: 0, wait: 0 });
/** Charges that may wait for one answer; further ones are held to this node's own share. */
const MOST_WAITING = 10_000;
/** A loan is to last for about so many charges, within the bounds of its rule. */
const CHARGES_AHEAD = 64;
/** Milliseconds for which a refusal is believed: others may give something back. */
const BELIEVED = 250;

export class SharedPool {
  readonly rule: PoolRule;
  readonly #ledger: Ledger;
  readonly #own: readonly Own[];
  readonly #second: SlidingWindow;
  readonly #time: () => number;
  #loan: Loan | null = null;
  /** Spent without asking and not yet reported, by parts of the first ring, oldest first. */
  #debts: Used[] = [];
  #waiting: Waiting[] = [];
  #busy = false;
  #refused: { until: number; least: number; outcome: Outcome; at: number } | null = null;
  /** What the last answer said. */
  #told: { left: number; reset: number; at: number } | null = null;

  /** @param time monotonic milliseconds that never run backwards */
  constructor(rule: PoolRule, ledger: Ledger, time: () => number) {
    this.rule = rule;
    this.#ledger = ledger;
    this.#time = time;
    const now = time();
    this.#own = rule.rings.map((ring) => ({
      rule: ring,
      window: new SlidingWindow(ring.part * (ring.parts - 1), ring.parts - 1, now),
    }));
    this.#second = new SlidingWindow(1000, 10, now);
  }

  /** Takes `weight`, whole or not at all. */
  take(weight: number): Outcome | Promise<Outcome> {
    const now = this.#time();
    if (weight === 0) return ADMITTED;
    const { rings } = this.rule;
    const tooMuch = rings.findIndex(({ capacity }) => weight > capacity);
    if (tooMuch >= 0) return { admitted: false, ring: tooMuch, wait: this.rule.window };
    // Nobody overtakes those who wait.
    if (this.#waiting.length === 0 && this.#inHand(now) >= weight) return this.#spend(weight, now);
    if (!this.#ledger.usable(this.#keep)) {
      if (this.#waiting.length === 0) return this.#local(weight, now);
    } else if (this.#refused !== null && now < this.#refused.until && weight >= this.#refused.least) {
      const { outcome, at } = this.#refused;
      return { ...outcome, wait: Math.max(1, outcome.wait - (now - at)) };
    }
    if (this.#waiting.length >= MOST_WAITING) return this.#local(weight, now);
    return new Promise((resolve) => {
      this.#waiting.push({ weight, resolve });
      void this.#serve();
    });
  }

  /** What {@link take} would answer as far as this node knows. */
  foresee(weight: number): Outcome {
    const now = this.#time();
    const tooMuch = this.rule.rings.findIndex(({ capacity }) => weight > capacity);
    if (tooMuch >= 0) return { admitted: false, ring: tooMuch, wait: this.rule.window };
    if (weight === 0 || this.#inHand(now) >= weight) return ADMITTED;
    if (!this.#ledger.usable(this.#keep)) return this.#short(weight, now) ?? ADMITTED;
    if (this.#refused !== null && now < this.#refused.until && weight >= this.#refused.least)
      return this.#refused.outcome;
    return weight <= this.left ? ADMITTED : { admitted: false, ring: 0, wait: this.#until(weight, now) };
  }

  /** What is left as far as this node knows: it is told by Redis whenever it borrows. */
  get left(): number {
    const now = this.#time();
    const first = this.#own[0] as Own;
    const hand = this.#inHand(now);
    const unspent = first.rule.capacity - first.window.used(now);
    if (!this.#ledger.usable(this.#keep))
      return Math.max(0, hand, this.#share(first.rule) - first.window.used(now));
    const told = this.#told;
    if (told === null || now - told.at >= this.rule.window) return Math.max(0, unspent);
    return Math.max(0, Math.min(unspent, told.left + hand));
  }

  /** Milliseconds until all of it is there again, as far as this node knows. */
  get reset(): number {
    const now = this.#time();
    const own = (this.#own[0] as Own).window.timeUntil(0, now);
    return this.#told === null ? own : Math.max(own, this.#told.reset - (now - this.#told.at), 0);
  }

  /** True if there is something to give back or to report. */
  get unsettled(): boolean {
    return this.#debts.length > 0 || (this.#loan !== null && this.#loan.left > 0);
  }

  /** Gives back a loan that is over, and reports what was spent without asking. @returns true if that takes a call */
  settle(): boolean {
    if (this.#busy || !this.#ledger.usable(this.#keep)) return false;
    const over = this.#loan !== null && this.#loan.left > 0 && this.#time() >= this.#loan.until;
    if (!over && this.#debts.length === 0) return false;
    void this.#serve(true);
    return true;
  }

  /** The memory that Redis needs: what was lent before it forgot was used, and has left the window. */
  get #keep(): number {
    return this.rule.window + this.rule.long;
  }

  #inHand(now: number): number {
    return this.#loan !== null && now < this.#loan.until ? this.#loan.left : 0;
  }

  #spend(weight: number, now: number): Outcome {
    (this.#loan as Loan).left -= weight;
    this.#count(weight, now);
    return ADMITTED;
  }

  #count(weight: number, now: number): void {
    for (const { window } of this.#own) {
      window.used(now);
      window.add(weight);
    }
    this.#second.used(now);
    this.#second.add(weight);
  }

  /** Of a ring, for this node alone. Never none. */
  #share({ capacity }: RingRule): number {
    return Math.min(capacity, Math.max(1, Math.floor(capacity / this.#ledger.nodes())));
  }

  /** Holds to this node's share: all that it spent counts, whoever it had it from. */
  #local(weight: number, now: number): Outcome {
    const refused = this.#short(weight, now);
    if (refused !== null) return refused;
    this.#count(weight, now);
    const { part } = this.rule.rings[0] as RingRule;
    const last = this.#debts.at(-1);
    if (last !== undefined && Math.floor(last.at / part) === Math.floor(now / part)) {
      last.at = now;
      last.units += weight;
    } else {
      this.#debts.push({ at: now, units: weight });
      this.#dropOldDebts(now);
    }
    return ADMITTED;
  }

  #dropOldDebts(now: number): void {
    const { part } = this.rule.rings[0] as RingRule;
    this.#debts = this.#debts.filter(({ at }) => at > now - this.rule.window - part);
  }

  /** Null if this node's share has room. */
  #short(weight: number, now: number): Outcome | null {
    const ring = this.#own.findIndex(({ rule, window }) => window.used(now) + weight > this.#share(rule));
    if (ring < 0) return null;
    const wait = this.#own.map(({ rule, window }) =>
      weight > this.#share(rule) ? this.rule.window : window.timeUntil(this.#share(rule) - weight, now),
    );
    return { admitted: false, ring, wait: Math.max(1, ...wait) };
  }

  #until(weight: number, now: number): number {
    const { rule, window } = this.#own[0] as Own;
    return Math.max(1, window.timeUntil(rule.capacity - weight, now));
  }

  /** Borrows for whoever waits, one call at a time. @param settle also if nobody does */
  async #serve(settle = false): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    let first = settle;
    while (first || this.#waiting.length > 0) {
      first = false;
      if (!this.#ledger.usable(this.#keep) || !(await this.#borrow())) this.#serveLocally();
    }
    this.#busy = false;
  }

  /** @returns false if it was of no use */
  async #borrow(): Promise<boolean> {
    const now = this.#time();
    const { name: pool, rings, short, long } = this.rule;
    const need = this.#waiting[0]?.weight ?? 0;
    let demand = 0;
    for (const { weight } of this.#waiting) demand += weight;
    const rate = this.#second.used(now) / 1000;
    const good = Math.min(long, Math.max(short, rate > 0 ? CHARGES_AHEAD / rate : 0));
    const back = this.#loan;
    // Whether or not the answer comes: these units may be another node's from now on.
    this.#loan = null;
    this.#dropOldDebts(now);
    const used = this.#debts;
    this.#debts = [];
    try {
      const lent = await this.#ledger.borrow({
        pool,
        rings,
        keep: this.#keep,
        need,
        demand,
        ahead: need === 0 ? 0 : Math.ceil(rate * good),
        short,
        long: good,
        back,
        used,
      });
      if (lent.kind === 'early') {
        this.#debts = [...used, ...this.#debts];
        return false;
      }
      const after = this.#time();
      this.#told = { left: lent.left, reset: lent.reset, at: after };
      if (lent.kind === 'refused') {
        this.#refuse(need, { admitted: false, ring: lent.ring, wait: lent.wait }, after);
        return true;
      }
      this.#loan = lent.loan;
      this.#refused = null;
      // An answer that took longer than the loan lasts is worth no more than none.
      if (after >= lent.loan.until && this.#waiting.length > 0) return false;
      this.#distribute(after);
      return true;
    } catch {
      // Perhaps they were counted. To count them twice is the safe mistake.
      this.#debts = [...used, ...this.#debts];
      return false;
    }
  }

  #refuse(least: number, outcome: Outcome, now: number): void {
    this.#refused = { until: now + Math.min(BELIEVED, outcome.wait), least, outcome, at: now };
    this.#waiting = this.#waiting.filter(({ weight, resolve }) => {
      if (weight < least) return true;
      resolve(outcome);
      return false;
    });
  }

  /** In order. Whoever is left over asks again, and is told by Redis how long to wait. */
  #distribute(now: number): void {
    let served = 0;
    for (const { weight, resolve } of this.#waiting) {
      if (this.#inHand(now) < weight) break;
      resolve(this.#spend(weight, now));
      served += 1;
    }
    this.#waiting.splice(0, served);
  }

  #serveLocally(): void {
    const now = this.#time();
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { weight, resolve } of waiting) {
      resolve(this.#inHand(now) >= weight ? this.#spend(weight, now) : this.#local(weight, now));
    }
  }
}
