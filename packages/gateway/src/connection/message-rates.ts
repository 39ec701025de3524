/** How often all connections of one payer may speak together, where the tier has a rate for that. */
import type { Clock } from '../operations/clock.ts';
import type { Principal } from '../session/principal.ts';
import { MessageLimit } from './message-limit.ts';

export interface MessageRate {
  /** Messages per second on average, and at once. */
  readonly perSecond: number;
  readonly burst: number;
}

/** @returns null where each connection has the rate of anonymous ones for itself */
export type RateOf = (who: Principal) => (MessageRate & { readonly payer: string }) | null;

interface Shared {
  limit: MessageLimit;
  holders: number;
}

/** One per node. Keeps a bucket for each payer that speaks, and after the last connection until it would be full. */
export class MessageRates {
  readonly #rateOf: RateOf;
  readonly #clock: Pick<Clock, 'after'>;
  readonly #shared = new Map<string, Shared>();

  constructor(rateOf: RateOf, clock: Pick<Clock, 'after'>) {
    this.#rateOf = rateOf;
    this.#clock = clock;
  }

  /** The pace of one connection, whoever speaks on it. @param own its rate while nobody's tier has one */
  open(own: MessageRate, now: number): MessagePace {
    return new MessagePace(own, now, (who) => this.#join(who));
  }

  #join(who: Principal): Membership | null {
    const rate = this.#rateOf(who);
    if (rate === null) return null;
    const { payer, perSecond, burst } = rate;
    const shared = this.#shared.get(payer) ?? { limit: new MessageLimit(perSecond, burst, null), holders: 0 };
    this.#shared.set(payer, shared);
    shared.holders += 1;
    return {
      rate,
      limit: shared.limit,
      leave: () => {
        shared.holders -= 1;
        // Whoever hangs up and comes back finds what was left.
        this.#clock.after((burst / perSecond) * 1000, () => {
          if (shared.holders === 0 && this.#shared.get(payer) === shared) this.#shared.delete(payer);
        });
      },
    };
  }
}

interface Membership {
  rate: MessageRate;
  limit: MessageLimit;
  leave(): void;
}

export class MessagePace {
  readonly #join: (who: Principal) => Membership | null;
  /** What this connection may send by itself. */
  readonly #own: MessageLimit;
  #who: Principal | null = null;
  #member: Membership | null = null;
  /** What this connection may have refused before it is cut: the fault of one is not that of the others. */
  #refusals: MessageLimit | null = null;

  constructor(own: MessageRate, now: number, join: (who: Principal) => Membership | null) {
    this.#own = new MessageLimit(own.perSecond, own.burst, now);
    this.#join = join;
  }

  /**
   * Counts one message.
   *
   * @param who whose connection it is; another tier counts from the next message on
   * @returns `pass`, `refuse` (answer with 429), or `cut`: the peer does not listen to refusals
   */
  take(now: number, who: Principal | null): 'pass' | 'refuse' | 'cut' {
    if (who !== this.#who) this.#change(who, now);
    if (this.#member === null || this.#refusals === null) return this.#own.take(now);
    if (this.#member.limit.pass(now)) return 'pass';
    return this.#refusals.take(now) === 'pass' ? 'refuse' : 'cut';
  }

  /** Idempotent. */
  close(): void {
    this.#member?.leave();
    this.#member = null;
  }

  #change(who: Principal | null, now: number): void {
    this.close();
    this.#who = who;
    const member = who === null ? null : this.#join(who);
    this.#member = member;
    this.#refusals = member && new MessageLimit(member.rate.perSecond, member.rate.burst, now);
  }
}
