/** One-off questions to the venue: they wait for nobody and nobody waits for them. */
import { type ErrorCode, Refusal } from '@countersign/protocol';
import { type Action, decide } from '../access/gatekeeper.ts';
import type { Command, Conversation, Phrase } from '../dialects/dialect.ts';
import type { Principal } from '../session/principal.ts';
import type { ConnectionServices } from './services.ts';

export type Query = Extract<Command, { kind: 'query' | 'request' }>;

/** What asking needs of the connection. */
export interface Asker {
  /** Who may act now. */
  readonly principal: Principal | null;
  say(words: (conversation: Conversation) => string[]): void;
  refuse(phrase: Phrase, code: ErrorCode, message?: string): void;
}

type Services = Pick<ConnectionServices, 'query' | 'request' | 'permissionFor' | 'fault' | 'limits'>;

export class Queries {
  readonly #asker: Asker;
  readonly #services: Services;
  #underWay = 0;

  constructor(asker: Asker, services: Services) {
    this.#asker = asker;
    this.#services = services;
  }

  ask(command: Query): void {
    const { args, phrase } = command;
    const who = this.#asker.principal;
    const code = this.#refusalOf(who, command);
    if (code !== null) return this.#asker.refuse(phrase, code);
    if (this.#underWay >= this.#services.limits.queriesInFlight) {
      return this.#asker.refuse(phrase, 'rate_limited');
    }
    this.#underWay += 1;
    const name = command.kind === 'query' ? command.query : command.request;
    const isPrivate = command.kind === 'request' || command.private;
    const answer =
      command.kind === 'query'
        ? this.#services.query(name, args, who)
        : this.#services.request(name, args, who);
    answer
      .then((payload) => {
        // Decided again: a private answer is for whoever asked, and only while they may still see it (R65).
        const now = this.#asker.principal;
        const lost =
          this.#refusalOf(now, command) ?? (isPrivate && now?.userId !== who?.userId ? 'forbidden' : null);
        if (lost !== null) this.#asker.refuse(phrase, lost);
        else this.#asker.say((talk) => talk.answered(phrase, name, payload));
      })
      .catch((error: unknown) => {
        if (error instanceof Refusal) return this.#asker.refuse(phrase, error.code, error.message);
        this.#services.fault('connection.query', error);
        this.#asker.refuse(phrase, 'internal');
      })
      .finally(() => {
        this.#underWay -= 1;
      });
  }

  #refusalOf(who: Principal | null, command: Query): ErrorCode | null {
    let action: Action;
    if (command.kind === 'query') action = { do: 'query', query: command.query, private: command.private };
    else {
      const permission = this.#services.permissionFor(command.request);
      if (permission === undefined) return 'not_found';
      action = { do: 'call', permission };
    }
    const { allowed, code } = decide(who, action);
    return allowed ? null : (code ?? 'forbidden');
  }
}
