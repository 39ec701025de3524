/** One-off questions to the venue: they wait for nobody and nobody waits for them. */
import { type ErrorCode, Refusal } from '@countersign/protocol';
import { decide } from '../access/gatekeeper.ts';
import type { Command, Conversation, Phrase } from '../dialects/dialect.ts';
import type { Principal } from '../session/principal.ts';
import type { ConnectionServices } from './services.ts';

export type Query = Extract<Command, { kind: 'query' }>;

/** What asking needs of the connection. */
export interface Asker {
  /** Who may act now. */
  readonly principal: Principal | null;
  say(words: (conversation: Conversation) => string[]): void;
  refuse(phrase: Phrase, code: ErrorCode, message?: string): void;
}

export class Queries {
  readonly #asker: Asker;
  readonly #services: Pick<ConnectionServices, 'query' | 'fault' | 'limits'>;
  #underWay = 0;

  constructor(asker: Asker, services: Pick<ConnectionServices, 'query' | 'fault' | 'limits'>) {
    this.#asker = asker;
    this.#services = services;
  }

  ask(command: Query): void {
    const { query, args, phrase } = command;
    const who = this.#asker.principal;
    const code = refusalOf(who, command);
    if (code !== null) return this.#asker.refuse(phrase, code);
    if (this.#underWay >= this.#services.limits.queriesInFlight) {
      return this.#asker.refuse(phrase, 'rate_limited');
    }
    this.#underWay += 1;
    this.#services
      .query(query, args, who)
      .then((payload) => {
        // Decided again: a private answer is for whoever asked, and only while they may still see it (R65).
        const now = this.#asker.principal;
        const lost =
          refusalOf(now, command) ?? (command.private && now?.userId !== who?.userId ? 'forbidden' : null);
        if (lost !== null) this.#asker.refuse(phrase, lost);
        else this.#asker.say((talk) => talk.answered(phrase, query, payload));
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
}

function refusalOf(who: Principal | null, { query, private: isPrivate }: Query): ErrorCode | null {
  const { allowed, code } = decide(who, { do: 'query', query, private: isPrivate });
  return allowed ? null : (code ?? 'forbidden');
}
