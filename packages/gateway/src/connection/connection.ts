/**
 * A live connection, whatever door it came through: who is behind it, until when, and what it holds. The one
 * place where identity, access and streams meet. It knows nothing of frames; its dialect knows nothing of
 * principals.
 */
import { CLOSE, type CloseCode, type ErrorCode, Refusal } from '@countersign/protocol';
import type { Command, Conversation, Dialect, Phrase, Want } from '../dialects/dialect.ts';
import type { Credential, Principal } from '../session/principal.ts';
import type { CutReason } from '../streams/hub.ts';
import type { JsonObject } from '../streams/publication.ts';
import { Holdings } from './holdings.ts';
import { MessageLimit } from './message-limit.ts';
import { Meter } from './meter.ts';
import { Queries } from './queries.ts';
import type { ConnectionServices, Peer, Proof } from './services.ts';
import { Standing } from './standing.ts';
import { type Subscribe, Subscriptions } from './subscriptions.ts';
import type { Transport } from './transport.ts';
import { WaitingRoom } from './waiting-room.ts';

const CUT: Readonly<Record<CutReason, CloseCode>> = {
  slow: CLOSE.slow,
  gap: CLOSE.slow,
  fault: CLOSE.internal,
};

/** Changes of access that may overtake one login; a busier log than that is a reason to come back later. */
const MOST_LOOKUPS = 10;

/** A command, or something of our own that has to take its turn among them. */
type Work = Command | (() => Promise<void>);

export class Connection {
  readonly peer: Peer;
  readonly openedAt: number;
  readonly #services: ConnectionServices;
  readonly #transport: Transport;
  readonly #standing = new Standing();
  readonly #holdings: Holdings;
  readonly #subscriptions: Subscriptions;
  readonly #queries: Queries;
  readonly #waiting: WaitingRoom;
  readonly #limit: MessageLimit;
  readonly #meter: Meter;
  /** Null until a message has shown which dialect the peer speaks; the first of the list answers until then. */
  #dialect: Dialect | null;
  #conversation: Conversation;
  /** The peer has done what a new connection must do in time. */
  #settled = false;
  readonly #queue: Work[] = [];
  #busy = false;
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
    this.#limit = new MessageLimit(limits.messagesPerSecond, limits.messageBurst, this.openedAt);
    this.#meter = new Meter(services.meter, peer.source, peer.showsLimits === true);
    const cut = (reason: CutReason) => this.close(CUT[reason]);
    this.#holdings = new Holdings(hub, transport.outbox, cut);
    this.#waiting = new WaitingRoom(clock, limits.subscriptionsPerConnection);
    const connection = this;
    const host = {
      outbox: transport.outbox,
      get most() {
        const who = connection.#standing.proof?.principal;
        const room = who === undefined ? Number.POSITIVE_INFINITY : services.roomFor(who).subscriptions;
        return Math.min(limits.subscriptionsPerConnection, connection.#holdings.size + room);
      },
      knows: services.knows,
      cut,
      get closed() {
        return connection.#closed;
      },
      get conversation() {
        return connection.#conversation;
      },
      get userId() {
        return connection.userId;
      },
      get principal() {
        return connection.principal;
      },
      say: (words: (conversation: Conversation) => string[]) => this.#say(words),
      refuse: (phrase: Phrase, code: ErrorCode, message?: string) => this.#refuse(phrase, code, message),
    };
    this.#subscriptions = new Subscriptions(this.#holdings, host);
    this.#queries = new Queries(host, services);
    if (proof !== null) this.#enqueue(() => this.#adopt(proof, false));
  }

  /** Who may act now; null once the proof has expired. */
  get principal(): Principal | null {
    return this.#standing.current?.principal ?? null;
  }

  /** What the connection stands or falls with. */
  get credential(): Credential | null {
    return this.#standing.proof?.principal.credential ?? null;
  }

  /** The user that is signed in here, expired or not. */
  get userId(): number | null {
    return this.#standing.proof?.principal.userId ?? null;
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
    const passed = this.#limit.take(this.#services.clock.monotonic());
    if (passed === 'cut') return this.close(CLOSE.policy);
    const { encoder } = this.#conversation;
    for (const command of this.#conversation.parse(text)) {
      if (passed === 'refuse') this.#refuse(command.phrase, 'rate_limited');
      else this.#enqueue(command);
    }
    if (this.#conversation.encoder !== encoder) this.#holdings.setEncoder(this.#conversation.encoder);
  }

  /** The door has lost the peer, or has closed it: gives everything back. Idempotent. */
  gone(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#waiting.release();
    this.#queue.length = 0;
    this.#holdings.leaveAll();
    this.#services.identityChanged(this);
  }

  close(code: CloseCode): void {
    if (this.#closed) return;
    const last = this.#conversation.closing(code);
    if (last !== null) this.#transport.send(last);
    this.gone();
    this.#transport.close(code);
  }

  // ---------------------------------------------------------------------------------- what time does

  /**
   * Called a few times a second. Tells the peer when its access token expires, stops private streams when the
   * leeway has passed too (R49), and closes a peer that did nothing with its connection (R57).
   */
  tick(now: number, monotonic: number): void {
    const { idleSeconds } = this.#dialect ?? this.#services.dialects[0];
    if (!this.#settled && monotonic - this.openedAt > idleSeconds * 1000) return this.close(CLOSE.idle);
    this.#expire(now);
  }

  #expire(now: number): void {
    for (let due = this.#due(now); due !== null && !this.#closed; due = this.#due(now)) {
      if (due === 'over') return this.end();
      if (due === 'lapsed') {
        if (this.#dialect?.endsWithProof === true) return this.end();
        this.#holdings.pause();
      } else {
        const notice = this.#conversation.expired();
        if (notice !== null) this.#transport.send(notice);
      }
    }
  }

  #due(now: number): ReturnType<Standing['due']> {
    return this.#standing.due(now, this.#services.limits.leeway);
  }

  // ---------------------------------------------------------------------------------- what happens to access

  /** A REST refresh gave a session a newer access token: if the connection stands on that session, it lives on. */
  extend(sid: string, expiresAt: number): void {
    this.#enqueue(async () => {
      const proof = this.#standing.extended(sid, expiresAt);
      if (proof !== null) await this.#adopt({ ...proof, asOf: this.#services.changesApplied() }, true);
    });
  }

  /** The credential, session or user behind the connection has been ended: nothing private leaves any more. */
  end(): void {
    this.#holdings.leavePrivate();
    this.close(CLOSE.goodbye);
  }

  /** Permissions, tier or accounts have changed: what is not allowed any more stops here and now (R54). */
  reconsider(principal: Principal): void {
    if (this.#closed) return;
    this.#standing.replacePrincipal(principal);
    this.#subscriptions.reconsider(principal);
  }

  // ---------------------------------------------------------------------------------- commands, one by one

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

  /** Work takes effect strictly in the order it came: a login that is being verified holds up what follows it. */
  #enqueue(work: Work): void {
    if (this.#closed) return;
    if (this.#queue.length >= this.#services.limits.messageBurst) return this.close(CLOSE.policy);
    this.#queue.push(work);
    if (!this.#busy) this.#next();
  }

  #next(): void {
    while (!this.#closed) {
      const work = this.#queue.shift();
      if (work === undefined) return;
      const doing = typeof work === 'function' ? work() : this.#carryOut(work);
      if (doing === undefined) continue;
      this.#busy = true;
      doing
        .catch((error: unknown) => this.#failed(work, error))
        .finally(() => {
          this.#busy = false;
          this.#next();
        });
      return;
    }
  }

  #failed(work: Work, error: unknown): void {
    const refusal = error instanceof Refusal;
    if (!refusal) this.#services.fault('connection.command', error);
    if (typeof work !== 'function') this.#refuse(work.phrase, refusal ? error.code : 'internal');
  }

  #carryOut(command: Command): Promise<void> | undefined {
    const admitted = this.#meter.charge(command, this.#standing.proof?.principal ?? null);
    if (admitted instanceof Promise) {
      return admitted.then((passed) => (this.#closed ? undefined : this.#perform(command, passed)));
    }
    return this.#perform(command, admitted);
  }

  #perform(command: Command, admitted: boolean): Promise<void> | undefined {
    if (!admitted) return void this.#refuse(command.phrase, 'rate_limited');
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
        return void this.#queries.ask(command);
      case 'ping':
        return void this.#say((talk) => talk.pong(command.phrase));
      case 'invalid':
        return void this.#refuse(command.phrase, command.code, command.message);
    }
  }

  async #login(token: string | null, phrase: Phrase): Promise<void> {
    const proof = await this.#verify(token, phrase);
    if (proof === null) return;
    if (!this.#hasRoom(proof, phrase)) return;
    await this.#adopt(proof, false, phrase);
    const waited = this.#waiting.release();
    if (!this.#closed) {
      this.#queue.unshift(
        ...waited.map((want): Work => ({ kind: 'subscribe', wants: [want], phrase: want.phrase })),
      );
    }
  }

  /** Verifies a token and sees to it that the subject of a connection never changes (R51). Answers refusals itself. */
  async #verify(token: string | null, phrase: Phrase): Promise<Proof | null> {
    try {
      if (token === null) throw new Refusal('unauthorized', 'no token');
      const proof = await this.#services.authenticate(token, this.peer);
      if (this.#closed) return null;
      const { subject } = this.#standing;
      if (subject === null || subject === proof.principal.userId) return proof;
      this.#refuse(phrase, 'forbidden', 'This connection belongs to another user: open a new one.');
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.#services.refused(this, error);
      this.#refuse(phrase, error.code);
    }
    return null;
  }

  /** False, and said so, if the user has as many connections as they may. */
  #hasRoom({ principal }: Proof, phrase: Phrase): boolean {
    if (this.userId === principal.userId || this.#services.roomFor(principal).connections > 0) return true;
    this.#refuse(phrase, 'too_many_connections');
    return false;
  }

  /** Takes a proof into effect, at once and whole; `phrase` is the login to answer, if there was one. */
  async #adopt(proof: Proof, perRequest: boolean, phrase?: Phrase): Promise<void> {
    this.#standing.adopt(proof, perRequest);
    this.#settled = true;
    this.#services.identityChanged(this);
    // Filed first, looked up after: a change of access that came in between is not missed.
    if (this.#services.changesApplied() !== proof.asOf) {
      this.#holdings.pause();
      if (!(await this.#confirm(proof.principal))) return;
    }
    const { principal } = this.#standing.proof ?? proof;
    this.#subscriptions.reconsider(principal);
    if (phrase !== undefined) this.#say((talk) => talk.loggedIn(phrase, { ...proof, principal }));
    // Verifying may have taken longer than the token had left.
    this.#expire(this.#services.clock.now());
    if (this.#closed || !this.#standing.lasts) return;
    try {
      await this.#subscriptions.resume(this.#conversation.encoder);
    } catch (error) {
      // Half of the streams would go on without a word about the others.
      if (!(error instanceof Refusal)) this.#services.fault('connection.resume', error);
      this.close(CLOSE.overload);
    }
  }

  /** Asks again who is behind a credential. False if nobody is any more: the connection has ended then. */
  async #confirm({ userId, credential }: Principal): Promise<boolean> {
    let principal: Principal | null | undefined;
    // An answer that a further change has overtaken is no answer.
    for (let asOf = -1, asked = 0; asOf !== this.#services.changesApplied(); asked += 1) {
      asOf = this.#services.changesApplied();
      principal = undefined;
      if (asked === MOST_LOOKUPS) break;
      principal = await this.#services.principal(userId, credential, this.peer).catch(() => undefined);
      if (this.#closed) return false;
    }
    if (principal === undefined) this.close(CLOSE.overload);
    else if (principal === null) this.end();
    else this.#standing.replacePrincipal(principal);
    return !this.#closed;
  }

  #logout(phrase: Phrase): void {
    this.#holdings.leavePrivate();
    this.#standing.clear();
    this.#services.identityChanged(this);
    this.#say((talk) => talk.loggedOut(phrase));
  }

  async #subscribe(command: Subscribe): Promise<void> {
    if (this.#dialect?.settlesBy === 'request') this.#settled = true;
    let by = this.principal;
    if (command.token !== undefined) {
      const proof = await this.#verify(command.token, command.phrase);
      if (proof === null) return;
      const admitted = await this.#meter.chargeWants(command.wants, proof.principal);
      if (this.#closed || !this.#hasRoom(proof, command.phrase)) return;
      await this.#adopt(proof, true);
      if (!admitted) return this.#refuse(command.phrase, 'rate_limited');
      by = this.#standing.lasts ? (this.#standing.proof?.principal ?? null) : null;
    }
    if (this.#closed) return;
    const mayHold = this.#dialect?.holdsPrivate === true && this.#standing.proof === null;
    await this.#subscriptions.subscribe(command, by, mayHold ? (want) => this.#hold(want) : null);
    if (this.#holdings.size > 0) this.#settled = true;
  }

  #hold(want: Want): boolean {
    return this.#waiting.hold(want, this.#services.limits.privateHold, () =>
      this.#refuse(want.phrase, 'unauthorized'),
    );
  }

  async #unsubscribe({ wants, token, phrase }: Extract<Command, { kind: 'unsubscribe' }>): Promise<void> {
    if (token !== undefined && (await this.#verify(token, phrase)) === null) return;
    const named = (waiting: Want) =>
      wants.some(({ channel, key }) => waiting.channel === channel && (key === null || waiting.key === key));
    for (const want of this.#waiting.release(named)) this.#refuse(want.phrase, 'unauthorized');
    this.#subscriptions.unsubscribe(wants, phrase);
  }

  // ---------------------------------------------------------------------------------- answers

  #say(words: (conversation: Conversation) => string[], limited = false): void {
    if (this.#closed) return;
    const answers = words(this.#conversation);
    for (const text of this.#meter.show(this.#conversation, answers, limited)) this.#transport.send(text);
  }

  #refuse(phrase: Phrase, code: ErrorCode, message?: string): void {
    this.#say((talk) => talk.refused(phrase, code, message), code === 'rate_limited');
  }
}
