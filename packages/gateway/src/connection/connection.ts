/**
 * A live connection, whatever door it came through: who is behind it, until when, and what it holds. The one
 * place where identity, access and streams meet. It knows nothing of frames; its dialect knows nothing of
 * principals.
 */
import { CLOSE, type CloseCode, type ErrorCode, Refusal } from '@countersign/protocol';
import { decide } from '../access/gatekeeper.ts';
import type { Command, Conversation, Dialect, Phrase } from '../dialects/dialect.ts';
import type { Authentication, Credential, Principal } from '../session/principal.ts';
import type { CutReason } from '../streams/hub.ts';
import type { JsonObject } from '../streams/publication.ts';
import { Holdings } from './holdings.ts';
import { MessageLimit } from './message-limit.ts';
import type { ConnectionServices, Peer } from './services.ts';
import { Standing } from './standing.ts';
import { type Subscribe, Subscriptions } from './subscriptions.ts';
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
  readonly #standing: Standing;
  readonly #holdings: Holdings;
  readonly #subscriptions: Subscriptions;
  readonly #limit: MessageLimit;
  /** Null until a message has shown which dialect the peer speaks; the first of the list answers until then. */
  #dialect: Dialect | null = null;
  #conversation: Conversation;
  /** The peer has done what a new connection must do in time. */
  #settled: boolean;
  readonly #queue: (Command | (() => Promise<void>))[] = [];
  #busy = false;
  /** Private wants that wait for a login which is on its way. */
  #waiting: Subscribe[] = [];
  #cancelWait: (() => void) | null = null;
  #queries = 0;
  #closed = false;

  constructor(peer: Peer, transport: Transport, services: ConnectionServices, proof: Authentication | null) {
    this.peer = peer;
    this.#transport = transport;
    this.#services = services;
    this.#standing = new Standing(proof);
    this.#settled = proof !== null;
    this.#conversation = services.dialects[0].open(peer.id);
    this.openedAt = services.clock.monotonic();
    this.#limit = new MessageLimit(
      services.limits.messagesPerSecond,
      services.limits.messageBurst,
      this.openedAt,
    );
    this.#holdings = new Holdings(services.hub, transport.outbox, (reason) => this.close(CUT[reason]));
    const connection = this;
    this.#subscriptions = new Subscriptions(this.#holdings, {
      outbox: transport.outbox,
      most: services.limits.subscriptionsPerConnection,
      knows: services.knows,
      get closed() {
        return connection.#closed;
      },
      get conversation() {
        return connection.#conversation;
      },
      say: (words) => this.#say(words),
      refuse: (phrase, code) => this.#refuse(phrase, code),
    });
    if (proof !== null) services.identityChanged(this);
  }

  /** Who may act now; null once the proof has expired. */
  get principal(): Principal | null {
    return this.#standing.current?.principal ?? null;
  }

  /** What the connection stands or falls with. */
  get credential(): Credential | null {
    return this.#standing.proof?.principal.credential ?? null;
  }

  /** The user that this connection belongs to, expired or not. */
  get userId(): number | null {
    return this.#standing.userId;
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
    this.#cancelWait?.();
    this.#waiting = [];
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
    for (let due = this.#due(now); due !== null && !this.#closed; due = this.#due(now)) {
      if (due === 'over') return this.end();
      if (due === 'lapsed') this.#holdings.pause(now);
      else {
        const notice = this.#conversation.expired();
        if (notice !== null) this.#transport.send(notice);
      }
    }
  }

  #due(now: number): ReturnType<Standing['due']> {
    return this.#standing.due(now, this.#services.limits.leeway);
  }

  // ---------------------------------------------------------------------------------- what happens to access

  /** A REST refresh gave the session behind this connection a newer access token: the connection lives on with it. */
  extend(expiresAt: number): void {
    this.#enqueue(async () => {
      const { proof } = this.#standing;
      if (proof?.expiresAt == null || expiresAt <= proof.expiresAt) return;
      await this.#adopt({ ...proof, expiresAt }, false);
    });
  }

  /** The credential, session or user behind the connection has been ended: nothing private leaves any more. */
  end(): void {
    this.#holdings.leavePrivate();
    this.close(CLOSE.goodbye);
  }

  /** Permissions, tier or accounts have changed: what is not allowed any more stops here and now (R54). */
  reconsider(principal: Principal): void {
    const proof = this.#standing.replacePrincipal(principal);
    if (proof === null || this.#closed) return;
    this.#holdings.renew(proof);
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
  #enqueue(work: Command | (() => Promise<void>)): void {
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

  #failed(work: Command | (() => Promise<void>), error: unknown): void {
    const refusal = error instanceof Refusal;
    if (!refusal) this.#services.fault('connection.command', error);
    if (typeof work !== 'function') this.#refuse(work.phrase, refusal ? error.code : 'internal');
  }

  #carryOut(command: Command): Promise<void> | undefined {
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
        return void this.#query(command);
      case 'ping':
        return void this.#say((talk) => talk.pong(command.phrase));
      case 'invalid':
        return void this.#refuse(command.phrase, command.code, command.message);
    }
  }

  async #login(token: string | null, phrase: Phrase): Promise<void> {
    const proof = await this.#verify(token, phrase);
    if (proof === null) return;
    await this.#adopt(proof, false, phrase);
    this.#queue.unshift(...this.#waiting);
    this.#waiting = [];
    this.#cancelWait?.();
    this.#cancelWait = null;
  }

  /** Verifies a token and sees to it that the subject of a connection never changes (R51). Answers refusals itself. */
  async #verify(token: string | null, phrase: Phrase): Promise<Authentication | null> {
    try {
      if (token === null) throw new Refusal('unauthorized', 'no token');
      const proof = await this.#services.authenticate(token, this.peer);
      if (this.#closed) return null;
      if (this.userId === null || this.userId === proof.principal.userId) return proof;
      this.#refuse(phrase, 'forbidden', 'This connection belongs to another user: open a new one.');
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.#services.refused(this, error);
      this.#refuse(phrase, error.code);
    }
    return null;
  }

  /** Takes a proof into effect, at once and whole; `phrase` is the login to answer, if there was one. */
  async #adopt(proof: Authentication, perRequest: boolean, phrase?: Phrase): Promise<void> {
    this.#standing.adopt(proof, perRequest);
    this.#settled = true;
    this.#services.identityChanged(this);
    // Filed first, looked up after: a revocation that came in between is not missed.
    if (this.#services.ended(proof.principal)) return this.end();
    this.#holdings.renew(proof);
    if (phrase !== undefined) this.#say((talk) => talk.loggedIn(phrase, proof));
    await this.#subscriptions.resume(this.#conversation.encoder);
  }

  #logout(phrase: Phrase): void {
    this.#holdings.leavePrivate();
    this.#standing.clear();
    this.#services.identityChanged(this);
    this.#say((talk) => talk.loggedOut(phrase));
  }

  async #subscribe(command: Subscribe): Promise<void> {
    if (this.#dialect?.settlesBy === 'request') this.#settled = true;
    let by = this.#standing.current;
    if (command.token !== undefined) {
      by = await this.#verify(command.token, command.phrase);
      if (by === null) return;
      if (this.#standing.proof === null) await this.#adopt(by, true);
    }
    const mayHold = this.#dialect?.holdsPrivate === true && this.#standing.proof === null;
    const waiting = await this.#subscriptions.subscribe(command, by, mayHold);
    if (this.#holdings.size > 0) this.#settled = true;
    if (waiting.length > 0) this.#hold({ ...command, wants: waiting });
  }

  /** Keeps private wants for a moment: python-ethgas may subscribe before its login (wire facts 5.4). */
  #hold(command: Subscribe): void {
    this.#waiting.push(command);
    this.#cancelWait ??= this.#services.clock.after(this.#services.limits.privateHold, () => {
      this.#cancelWait = null;
      for (const { wants } of this.#waiting.splice(0)) {
        for (const want of wants) this.#refuse(want.phrase, 'unauthorized');
      }
    });
  }

  async #unsubscribe({ wants, token, phrase }: Extract<Command, { kind: 'unsubscribe' }>): Promise<void> {
    if (token !== undefined && (await this.#verify(token, phrase)) === null) return;
    this.#subscriptions.unsubscribe(wants, phrase);
  }

  /** A query waits for nobody and nobody waits for it: the venue may be slow. */
  #query({ query, args, phrase, private: isPrivate }: Extract<Command, { kind: 'query' }>): void {
    const verdict = decide(this.principal, { do: 'query', query, private: isPrivate });
    if (!verdict.allowed) return this.#refuse(phrase, verdict.code ?? 'forbidden');
    if (this.#queries >= this.#services.limits.queriesInFlight) return this.#refuse(phrase, 'rate_limited');
    this.#queries += 1;
    const asker = this.userId;
    this.#services
      .query(query, args, this.principal)
      .then((payload) => {
        // A private answer is for whoever asked, and only while they may still see it.
        const lost = isPrivate && (this.principal === null || this.userId !== asker);
        if (lost) this.#refuse(phrase, 'unauthorized');
        else this.#say((talk) => talk.answered(phrase, query, payload));
      })
      .catch((error: unknown) => {
        if (error instanceof Refusal) return this.#refuse(phrase, error.code, error.message);
        this.#services.fault('connection.query', error);
        this.#refuse(phrase, 'internal');
      })
      .finally(() => {
        this.#queries -= 1;
      });
  }

  // ---------------------------------------------------------------------------------- answers

  #say(words: (conversation: Conversation) => string[]): void {
    if (this.#closed) return;
    for (const text of words(this.#conversation)) this.#transport.send(text);
  }

  #refuse(phrase: Phrase, code: ErrorCode, message?: string): void {
    this.#say((talk) => talk.refused(phrase, code, message));
  }
}
