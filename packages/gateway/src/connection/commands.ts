/** What a peer asks for, carried out one by one. */
import { type ErrorCode, Refusal } from '@countersign/protocol';
import type { Command, Phrase, Want } from '../dialects/dialect.ts';
import type { Access } from './access.ts';
import type { CommandQueue, Work } from './command-queue.ts';
import type { Holdings } from './holdings.ts';
import type { Host } from './host.ts';
import type { Meter } from './meter.ts';
import type { Queries } from './queries.ts';
import type { ConnectionServices, Peer } from './services.ts';
import type { Subscribe, Subscriptions } from './subscriptions.ts';
import { WaitingRoom } from './waiting-room.ts';

export interface CommandParts {
  peer: Peer;
  services: ConnectionServices;
  host: Host;
  access: Access;
  holdings: Holdings;
  subscriptions: Subscriptions;
  queries: Queries;
  meter: Meter;
  queue: Pick<CommandQueue, 'addFirst'>;
  /** The peer has done what a new connection must do in time. */
  settle(): void;
  /** It has asked for what everybody may read. */
  joined(): void;
  /** A private want has waited for a login that did not come. */
  wasted(): void;
}

export class Commands {
  readonly #parts: CommandParts;
  readonly #waiting: WaitingRoom;

  constructor(parts: CommandParts) {
    this.#parts = parts;
    const { clock, limits } = parts.services;
    this.#waiting = new WaitingRoom(clock, limits.subscriptionsPerConnection);
  }

  carryOut(command: Command): Promise<void> | undefined {
    const { services, host } = this.#parts;
    if (services.around === undefined) return this.#admit(command);
    const dialect = host.dialect?.name ?? 'none';
    return services.around(command, this.#parts.peer, dialect, () => this.#admit(command));
  }

  #admit(command: Command): Promise<void> | undefined {
    const { meter, access, host } = this.#parts;
    const admitted = meter.charge(command, access.owner);
    if (admitted instanceof Promise) {
      return admitted.then((passed) => (host.closed ? undefined : this.#perform(command, passed)));
    }
    return this.#perform(command, admitted);
  }

  /** True if one of them may be held until a login comes: what it leads to is known later. */
  mayWait(commands: readonly Command[]): boolean {
    const { host, access } = this.#parts;
    if (host.dialect?.holdsPrivate !== true || access.owner !== null) return false;
    return commands.some(
      (command) =>
        command.kind === 'subscribe' && command.wants.some(({ channel }) => channel.audience !== 'public'),
    );
  }

  failed(work: Work, error: unknown): void {
    const refusal = error instanceof Refusal;
    if (!refusal) this.#parts.services.fault('connection.command', error, this.#parts.peer.id);
    if (typeof work !== 'function') this.#refuse(work.phrase, refusal ? error.code : 'internal');
  }

  /** Nobody is there any more to wait for. */
  release(): void {
    this.#waiting.release();
  }

  #perform(command: Command, admitted: boolean): Promise<void> | undefined {
    if (!admitted) return void this.#refuse(command.phrase, 'rate_limited');
    const { host, queries } = this.#parts;
    switch (command.kind) {
      case 'login':
        return this.#login(command.token, command.phrase);
      case 'logout':
        return void this.#logout(command.phrase);
      case 'subscribe':
        return this.#subscribe(command);
      case 'unsubscribe':
        return this.#unsubscribe(command);
      case 'query':
      case 'request':
        return void queries.ask(command);
      case 'ping':
        return void host.say((talk) => talk.pong(command.phrase));
      case 'invalid':
        return void this.#refuse(command.phrase, command.code, command.message);
    }
  }

  async #login(token: string | null, phrase: Phrase): Promise<void> {
    const { access, queue } = this.#parts;
    const proof = await access.verify(token, phrase);
    if (proof === null) return;
    if (!access.hasRoom(proof, phrase)) return;
    await access.adopt(proof, false, phrase);
    const waited = this.#waiting.release();
    queue.addFirst(waited.map((want) => ({ kind: 'subscribe', wants: [want], phrase: want.phrase })));
  }

  #logout(phrase: Phrase): void {
    this.#parts.access.logOut();
    this.#parts.host.say((talk) => talk.loggedOut(phrase));
  }

  async #subscribe(command: Subscribe): Promise<void> {
    const { host, access, meter, holdings, subscriptions } = this.#parts;
    if (host.dialect?.settlesBy === 'request') this.#parts.settle();
    let by = access.principal;
    if (command.token !== undefined) {
      const proof = await access.verify(command.token, command.phrase);
      if (proof === null) return;
      const admitted = await meter.chargeWants(command.wants, proof.principal);
      if (host.closed || !access.hasRoom(proof, command.phrase)) return;
      await access.adopt(proof, true);
      if (!admitted) return this.#refuse(command.phrase, 'rate_limited');
      by = access.bearer;
    }
    if (host.closed) return;
    const mayHold = host.dialect?.holdsPrivate === true && access.owner === null;
    await subscriptions.subscribe(command, by, mayHold ? (want) => this.#hold(want) : null);
    if (holdings.size > 0) this.#parts.settle();
    // Also where the venue has nothing to show there yet.
    if (command.wants.some(({ channel }) => channel.audience === 'public')) this.#parts.joined();
  }

  #hold(want: Want): boolean {
    return this.#waiting.hold(want, this.#parts.services.limits.privateHold, () => {
      this.#refuse(want.phrase, 'unauthorized');
      this.#parts.wasted();
    });
  }

  async #unsubscribe({ wants, token, phrase }: Extract<Command, { kind: 'unsubscribe' }>): Promise<void> {
    const { access, subscriptions } = this.#parts;
    if (token !== undefined && (await access.verify(token, phrase)) === null) return;
    const named = (waiting: Want) =>
      wants.some(({ channel, key }) => waiting.channel === channel && (key === null || waiting.key === key));
    for (const want of this.#waiting.release(named)) this.#refuse(want.phrase, 'unauthorized');
    subscriptions.unsubscribe(wants, phrase);
  }

  #refuse(phrase: Phrase, code: ErrorCode, message?: string): void {
    this.#parts.host.refuse(phrase, code, message);
  }
}
