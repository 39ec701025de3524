/** One-off questions to the venue: they wait for nobody and nobody waits for them. */
import { type ErrorCode, Refusal } from '@countersign/protocol';
import { type Action, decide } from '../access/gatekeeper.ts';
import type { Command } from '../dialects/dialect.ts';
import type { Principal } from '../session/principal.ts';
import type { Host } from './host.ts';
import type { ConnectionServices } from './services.ts';

export type Query = Extract<Command, { kind: 'query' | 'request' }>;

/** Who asks, at any moment. */
export interface Asker {
  /** Who may act now. */
  principal(): Principal | null;
  /** What is said to whoever needs a principal where there is none. */
  missing(): ErrorCode;
}

type Services = Pick<ConnectionServices, 'query' | 'request' | 'permissionFor' | 'fault' | 'limits'>;

export class Queries {
  readonly #host: Pick<Host, 'say' | 'refuse'>;
  readonly #services: Services;
  readonly #asker: Asker;
  #underWay = 0;

  constructor(host: Pick<Host, 'say' | 'refuse'>, services: Services, asker: Asker) {
    this.#host = host;
    this.#services = services;
    this.#asker = asker;
  }

  ask(command: Query): void {
    const { args, phrase } = command;
    const who = this.#asker.principal();
    const code = this.#refusalOf(who, command);
    if (code !== null) return this.#host.refuse(phrase, code);
    if (this.#underWay >= this.#services.limits.queriesInFlight) {
      return this.#host.refuse(phrase, 'rate_limited');
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
        const now = this.#asker.principal();
        const lost =
          this.#refusalOf(now, command) ?? (isPrivate && now?.userId !== who?.userId ? 'forbidden' : null);
        if (lost !== null) this.#host.refuse(phrase, lost);
        else this.#host.say((talk) => talk.answered(phrase, name, payload));
      })
      .catch((error: unknown) => {
        if (error instanceof Refusal) return this.#host.refuse(phrase, error.code, error.message);
        this.#services.fault('connection.query', error);
        this.#host.refuse(phrase, 'internal');
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
    if (allowed) return null;
    return code === 'unauthorized' ? this.#asker.missing() : (code ?? 'forbidden');
  }
}
