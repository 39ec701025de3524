/**
 * A live connection, whatever door it came through: who is behind it, until when, and what it holds. The one
 * place where identity, access and streams meet. It knows nothing of frames; its dialect knows nothing of
 * principals.
 */
import { CLOSE, type CloseCode, type ErrorCode } from '@countersign/protocol';
import type { Conversation, Dialect, Phrase } from '../dialects/dialect.ts';
import type { Credential, Principal } from '../session/principal.ts';
import type { CutReason } from '../streams/hub.ts';
import type { JsonObject } from '../streams/publication.ts';
import { Access } from './access.ts';
import { CommandQueue } from './command-queue.ts';
import { Commands } from './commands.ts';
import { Holdings } from './holdings.ts';
import type { Host } from './host.ts';
import type { MessagePace } from './message-rates.ts';
import { Meter } from './meter.ts';
import { Probation } from './probation.ts';
import { Queries } from './queries.ts';
import type { ConnectionServices, Peer, Proof } from './services.ts';
import { Subscriptions } from './subscriptions.ts';
import type { Transport } from './transport.ts';

const CUT: Readonly<Record<CutReason, CloseCode>> = {
  slow: CLOSE.slow,
  gap: CLOSE.slow,
  fault: CLOSE.internal,
};

export class Connection {
  readonly peer: Peer;
  readonly openedAt: number;
  readonly #services: ConnectionServices;
  readonly #transport: Transport;
  readonly #holdings: Holdings;
  readonly #access: Access;
  readonly #commands: Commands;
  readonly #queue: CommandQueue;
  readonly #pace: MessagePace;
  readonly #probation: Probation;
  readonly #meter: Meter;
  /** Null until a message has shown which dialect the peer speaks; the first of the list answers until then. */
  #dialect: Dialect | null;
  #conversation: Conversation;
  /** The peer has done what a new connection must do in time. */
  #settled = false;
  #closed = false;

  /** @param proof what the peer brought along when it connected */
  constructor(peer: Peer, transport: Transport, services: ConnectionServices, proof: Proof | null) {
    this.peer = peer;
    this.#transport = transport;
    this.#services = services;
    const { limits, clock, hub } = services;
    this.#dialect = services.dialects.length === 1 ? services.dialects[0] : null;
    this.#conversation = services.dialects[0].open(peer.id);
    this.openedAt = clock.monotonic();
    this.#pace = services.messageRates.open(
      { perSecond: limits.messagesPerSecond, burst: limits.messageBurst },
      this.openedAt,
    );
    this.#probation = new Probation(limits.probation);
    this.#meter = new Meter(services.meter, peer.source, peer.showsLimits === true);
    const host = this.#host();
    const holdings = new Holdings(hub, transport.outbox, host.cut);
    const most = () => this.#mostStreams();
    const subscriptions = new Subscriptions(holdings, host, {
      knows: services.knows,
      most,
      userId: () => this.userId,
      missing: () => this.#access.missing,
    });
    const queries = new Queries(host, services, {
      principal: () => this.principal,
      missing: () => this.#access.missing,
    });
    const settle = () => {
      this.#settled = true;
    };
    this.#holdings = holdings;
    this.#queue = new CommandQueue({
      most: limits.messageBurst,
      carryOut: (command) => this.#commands.carryOut(command),
      failed: (work, error) => this.#commands.failed(work, error),
      overrun: () => this.close(CLOSE.policy),
    });
    this.#access = new Access({
      peer,
      services,
      host,
      holdings,
      subscriptions,
      enqueue: (work) => this.#queue.add(work),
      identityChanged: () => {
        if (this.#access.owner !== null) {
          settle();
          this.#probation.pass();
        }
        services.identityChanged(this);
      },
      refused: (refusal) => services.refused(this, refusal),
    });
    this.#commands = new Commands({
      peer,
      services,
      host,
      access: this.#access,
      holdings,
      subscriptions,
      queries,
      meter: this.#meter,
      queue: this.#queue,
      settle,
      joined: () => this.#probation.pass(),
      wasted: () => this.#wasted(0),
    });
    if (proof !== null) this.#queue.add(() => this.#access.adopt(proof, false));
  }

  /** Who may act now; null once the proof has expired. */
  get principal(): Principal | null {
    return this.#access.principal;
  }

  /** What the connection stands or falls with. */
  get credential(): Credential | null {
    return this.#access.credential;
  }

  /** Who is here on a proof whose time has not run out, whether or not access can be confirmed just now. */
  get present(): Principal | null {
    return this.#access.present;
  }

  /** The user that is signed in here, expired or not. */
  get userId(): number | null {
    return this.#access.owner?.userId ?? null;
  }

  get dialect(): string | null {
    return this.#dialect?.name ?? null;
  }

  get closed(): boolean {
    return this.#closed;
  }

  get subscriptions(): number {
    return this.#holdings.size;
  }

  // ---------------------------------------------------------------------------------- what the door says

  /** Takes one text message. Never throws. */
  receive(text: string): void {
    if (this.#closed) return;
    if (this.#dialect === null) this.#recognise(text);
    const isNew = !this.#probation.passed;
    const bytes = isNew ? Buffer.byteLength(text) : 0;
    const passed = this.#pace.take(this.#services.clock.monotonic(), this.#access.owner);
    if (passed === 'cut' || !this.#probation.received(bytes)) return this.close(CLOSE.policy);
    const { encoder } = this.#conversation;
    const commands = this.#conversation.parse(text);
    for (const command of commands) {
      if (passed === 'refuse') this.#refuse(command.phrase, 'rate_limited');
      else this.#queue.add(command);
    }
    // Behind its commands: whether they led anywhere is known when they have been carried out.
    if (isNew && !this.#commands.mayWait(commands)) this.#queue.add(() => this.#wasted(bytes));
    if (this.#conversation.encoder !== encoder) this.#holdings.setEncoder(this.#conversation.encoder);
  }

  /** The door has lost the peer, or has closed it: gives everything back. Idempotent. */
  gone(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#commands.release();
    this.#queue.close();
    this.#pace.close();
    this.#holdings.leaveAll();
    this.#services.identityChanged(this);
  }

  close(code: CloseCode): void {
    if (this.#closed) return;
    this.#notify(this.#conversation.closing(code));
    this.gone();
    this.#transport.close(code);
  }

  // ---------------------------------------------------------------------------------- what time does

  /** Called a few times a second: expiry, access that cannot be confirmed, and a peer that did nothing yet (R57). */
  tick(monotonic: number): void {
    const { idleSeconds } = this.#dialect ?? this.#services.dialects[0];
    if (!this.#settled && monotonic - this.openedAt > idleSeconds * 1000) return this.close(CLOSE.idle);
    this.#access.expire();
    if (!this.#closed) this.#access.follow();
  }

  // ---------------------------------------------------------------------------------- what happens to access

  /** A REST refresh gave a session a newer access token: if the connection stands on that session, it lives on. */
  extend(sid: string, expiresAt: number): void {
    this.#access.extend(sid, expiresAt);
  }

  /** The credential, session or user behind the connection has been ended: nothing private leaves any more. */
  end(): void {
    this.#access.end();
  }

  /** Permissions, tier or accounts have changed: what is not allowed any more stops here and now (R54). */
  reconsider(principal: Principal): void {
    if (!this.#closed) this.#access.reconsider(principal);
  }

  // ---------------------------------------------------------------------------------- what the parts need

  #host(): Host {
    const connection = this;
    return {
      outbox: this.#transport.outbox,
      get closed() {
        return connection.#closed;
      },
      get dialect() {
        return connection.#dialect;
      },
      get conversation() {
        return connection.#conversation;
      },
      say: (words) => this.#say(words),
      refuse: (phrase, code, message) => this.#refuse(phrase, code, message),
      notify: (text) => this.#notify(text),
      cut: (reason) => this.close(CUT[reason]),
      close: (code) => this.close(code),
    };
  }

  #mostStreams(): number {
    const { limits, roomFor } = this.#services;
    const { owner } = this.#access;
    if (owner === null) return Math.min(limits.subscriptionsPerConnection, limits.anonymousSubscriptions);
    return Math.min(limits.subscriptionsPerConnection, this.#holdings.size + roomFor(owner).subscriptions);
  }

  /** A message has led nowhere, unless the peer has come in meanwhile (R57). */
  #wasted(bytes: number): undefined {
    if (!this.#probation.wasted(bytes)) this.close(CLOSE.policy);
  }

  #recognise(text: string): void {
    let message: unknown;
    try {
      message = JSON.parse(text);
    } catch {
      return;
    }
    if (typeof message !== 'object' || message === null || Array.isArray(message)) return;
    const dialect = this.#services.dialects.find((candidate) => candidate.speaks(message as JsonObject));
    if (dialect === undefined) return;
    this.#dialect = dialect;
    this.#conversation = dialect.open(this.peer.id);
  }

  #say(words: (conversation: Conversation) => string[], limited = false): void {
    if (this.#closed) return;
    const answers = words(this.#conversation);
    for (const text of this.#meter.show(this.#conversation, answers, limited)) this.#transport.send(text);
  }

  #refuse(phrase: Phrase, code: ErrorCode, message?: string): void {
    if (this.#closed) return;
    this.#services.commandRefused(this, code);
    this.#say((talk) => talk.refused(phrase, code, message), code === 'rate_limited');
  }

  #notify(text: string | null): void {
    if (text !== null && !this.#closed) this.#transport.send(text);
  }
}
