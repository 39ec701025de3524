/**
 * The way from a node to the budgets that all nodes share. It borrows from them with one script call, and knows
 * when not to ask: while Redis is away or slow, and while what it remembers is not yet a whole window.
 */
import type { Clock } from '../operations/clock.ts';
import { inTime } from '../operations/in-time.ts';

/** One ring of a pool (see borrow.lua). */
export interface RingRule {
  readonly name: string;
  /** Milliseconds of a part. */
  readonly part: number;
  /** Parts that count, the one under way included. */
  readonly parts: number;
  readonly capacity: number;
}

/** Units that were lent, and where they stand. */
export interface Loan {
  readonly life: string;
  left: number;
  /** Monotonic milliseconds after which they may not be used. */
  readonly until: number;
  /** The part in each ring. */
  readonly where: readonly number[];
}

export interface Used {
  /** Monotonic milliseconds. */
  at: number;
  units: number;
}

export interface Wish {
  readonly pool: string;
  readonly rings: readonly RingRule[];
  /** Milliseconds that must be remembered before anything may be lent. */
  readonly keep: number;
  readonly need: number;
  readonly demand: number;
  readonly ahead: number;
  /** Milliseconds for which a loan is good, without and with units beyond the demand. */
  readonly short: number;
  readonly long: number;
  readonly back: Loan | null;
  /** Used without asking, to be counted now. */
  readonly used: readonly Used[];
}

export type Lent =
  /** Nothing is lent before the memory is whole: what was to be given back or counted was not looked at. */
  | { readonly kind: 'early' }
  | { readonly kind: 'lent'; readonly loan: Loan; readonly left: number; readonly reset: number }
  | {
      readonly kind: 'refused';
      /** Index of the ring that was short. */
      readonly ring: number;
      /** Milliseconds until there is enough, if nobody asks meanwhile. */
      readonly wait: number;
      readonly left: number;
      readonly reset: number;
    };

export interface Ledger {
  /** True if it makes sense to ask now. */
  usable(keep: number): boolean;
  /** @throws if no answer came in time. Whether the wish was carried out is not known then */
  borrow(wish: Wish): Promise<Lent>;
  /** How many nodes share the budgets, at least 1. */
  nodes(): number;
  /** Idempotent. */
  close(): void;
}

/** Runs the scripts. A rejection, an error answer and silence mean the same here: not to be relied on now. */
export interface Scripts {
  /** False while it is known that nothing would be answered. */
  readonly healthy: boolean;
  /** @param args of borrow.lua from the second on */
  borrow(pool: string, args: readonly string[]): Promise<unknown>;
  /** Answers `[name of the life, age in milliseconds]`. */
  life(): Promise<unknown>;
}

/** Milliseconds between tries while Redis does not answer. */
const PROBE = 500;
/** Milliseconds that an answer may take. On one network it takes less than one. */
const PATIENCE = 150;

/** @param told when sharing stops or begins again: for the log */
export function createLedger({
  scripts,
  clock,
  nodes,
  told = () => {},
}: {
  scripts: Scripts;
  clock: Pick<Clock, 'monotonic' | 'after' | 'every'>;
  nodes: () => number;
  told?: (state: 'shared' | 'local', why: string) => void;
}): Ledger {
  let suspended = false;
  let probing = false;
  let life = '';
  /** Monotonic milliseconds before which the present life did not begin. Never early: an answer is late, not early. */
  let began = Number.NEGATIVE_INFINITY;

  function noteLife(name: string, age: number): void {
    if (name === life) return;
    life = name;
    began = clock.monotonic() - age;
  }

  function suspend(error: unknown): void {
    if (suspended) return;
    suspended = true;
    told('local', error instanceof Error ? error.message : String(error));
  }

  async function probe(): Promise<void> {
    if (!suspended || probing || !scripts.healthy) return;
    probing = true;
    try {
      const [name, age] = (await inTime(clock, scripts.life(), PATIENCE)) as [string, number];
      noteLife(name, age);
      suspended = false;
      told('shared', 'answers again');
    } catch {
      // The next try comes by itself.
    } finally {
      probing = false;
    }
  }

  const stop = clock.every(PROBE, () => void probe());

  return {
    usable(keep) {
      if (suspended) return false;
      if (!scripts.healthy) {
        suspend(new Error('not connected'));
        return false;
      }
      return clock.monotonic() >= began + keep;
    },
    async borrow({ pool, rings, keep, need, demand, ahead, short, long, back, used }) {
      const sent = clock.monotonic();
      const args: (string | number)[] = [keep, need, demand, ahead, short, long];
      args.push(back?.life ?? '', back?.left ?? 0, rings.length);
      for (const [index, { name, part, parts, capacity }] of rings.entries())
        args.push(name, part, parts, capacity, back?.where[index] ?? 0);
      for (const { at, units } of used) args.push(Math.max(0, Math.floor(sent - at)), units);
      try {
        const asked = scripts.borrow(pool, args.map(String));
        const answer = (await inTime(clock, asked, Math.min(PATIENCE, short))) as [
          number,
          string,
          ...number[],
        ];
        const [kind, name, age = 0, a = 0, b = 0, c = 0, d = 0, ...where] = answer;
        noteLife(name, age);
        if (kind === 0) return { kind: 'early' };
        if (kind === 2) return { kind: 'refused', ring: a - 1, wait: b, left: c, reset: d };
        // From when it was sent: Redis counted it later than that, so it ends here before it ends there.
        return { kind: 'lent', loan: { life: name, left: a, until: sent + b, where }, left: c, reset: d };
      } catch (error) {
        suspend(error);
        throw error;
      }
    },
    nodes: () => Math.max(1, nodes()),
    close: stop,
  };
}
