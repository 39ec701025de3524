/** What the commands of one connection cost, who pays for them, and what the peer is told of it. */
import type { Charged } from '../access/budget.ts';
import type { Charge, Cost, Limits } from '../access/limits.ts';
import type { Command, Conversation, Want } from '../dialects/dialect.ts';
import type { MaybePromise } from '../session/maybe-promise.ts';
import type { Principal } from '../session/principal.ts';

export interface MeterServices {
  readonly limits: Pick<Limits, 'charge'>;
  readonly weights: { readonly login: number; readonly subscribe: number; readonly unsubscribe: number };
  /** What a query or request of that name costs. */
  costOf(command: Extract<Command, { kind: 'query' | 'request' }>): Cost;
}

export class Meter {
  readonly #services: MeterServices;
  readonly #source: string;
  readonly #asked: boolean;
  #last: Charged | null = null;

  /**
   * @param source the address as limits count it
   * @param asked the peer wants to see its budget, whatever its dialect does by itself
   */
  constructor(services: MeterServices, source: string, asked: boolean) {
    this.#services = services;
    this.#source = source;
    this.#asked = asked;
  }

  /**
   * Takes what a command costs. One that brings a credential of its own is paid by the address: nobody knows yet
   * whose it is, and checking it is the dear part.
   *
   * @param payer whose connection it is, whether or not the proof still lasts
   * @returns false if it is refused
   */
  charge(command: Command, payer: Principal | null): MaybePromise<boolean> {
    const { weights } = this.#services;
    switch (command.kind) {
      case 'login':
        return this.#take('login', payer, { weight: weights.login });
      case 'subscribe':
        return command.token === undefined
          ? this.chargeWants(command.wants, payer)
          : this.#take('login', payer, { weight: weights.login });
      case 'unsubscribe':
        return command.token === undefined
          ? this.#take('public', payer, { weight: weights.unsubscribe })
          : this.#take('login', payer, { weight: weights.login });
      case 'query':
      case 'request':
        return this.#take('public', payer, this.#services.costOf(command));
      case 'ping':
        return this.#take('public', payer, { weight: 0 });
      case 'logout':
      case 'invalid':
        return this.#take('public', payer, { weight: 1 });
    }
  }

  /** Takes what asking for streams costs. */
  chargeWants(wants: readonly Want[], payer: Principal | null): MaybePromise<boolean> {
    return this.#take('public', payer, { weight: this.#services.weights.subscribe * wants.length });
  }

  /**
   * Answers to one command, with what is left where the dialect and the peer will have it.
   *
   * @param limited the answer is a refusal for a limit
   */
  show(conversation: Conversation, answers: readonly string[], limited: boolean): readonly string[] {
    const [first, ...others] = answers;
    if (this.#last === null || first === undefined || conversation.metered === undefined) return answers;
    const { limit, remaining, reset, retryAfter } = this.#last;
    // The venue has limits of its own, and so has each connection: this budget explains only what it refused.
    const ours = limited && retryAfter !== null;
    const allowance = { limit, remaining, reset, retryAfter: ours ? retryAfter : null };
    return [conversation.metered(first, allowance, this.#asked || ours), ...others];
  }

  #take(kind: Charge, payer: Principal | null, cost: Cost): MaybePromise<boolean> {
    const charged = this.#services.limits.charge(kind, this.#source, payer, cost);
    return charged instanceof Promise ? charged.then((one) => this.#note(one)) : this.#note(charged);
  }

  #note(charged: Charged | null): boolean {
    this.#last = charged;
    return charged?.admitted ?? true;
  }
}
