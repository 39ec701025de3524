/**
 * A live connection, whatever door it came through: who is behind it, until when, and what it holds. The one
 * place where identity, access and streams meet. It knows nothing of frames; its dialect knows nothing of
 * principals.
 */
import { CLOSE, type CloseCode, type ErrorCode, Refusal } from '@countersign/protocol';
import { decide, streamKeys } from '../access/gatekeeper.ts';
import type { Command, Conversation, Dialect, Joined, Phrase, Want } from '../dialects/dialect.ts';
import type { Clock } from '../operations/clock.ts';
import type { Authentication, Credential, Principal } from '../session/principal.ts';
import type { Hub } from '../streams/hub.ts';
import type { JsonObject } from '../streams/publication.ts';
import { Holdings, type Opened } from './holdings.ts';
import { MessageLimit } from './message-limit.ts';
import type { Transport } from './transport.ts';

/** What a connection needs of the rest of the gateway. */
export interface ConnectionServices {
  readonly hub: Hub;
  readonly clock: Clock;
  /** The first one answers a peer whose dialect is not known yet. */
  readonly dialects: readonly [Dialect, ...Dialect[]];
  readonly limits: {
    messagesPerSecond: number;
    messageBurst: number;
    subscriptionsPerConnection: number;
    /** Milliseconds that a private subscription waits for a login. */
    privateHold: number;
    /** Milliseconds before the true expiry at which the peer is told: the leeway on access tokens. */
    leeway: number;
    /** Queries of one connection that may be under way at once. */
    queriesInFlight: number;
  };
  /** Verifies a token that came in a message. Throws `Refusal`. */
  authenticate(token: string, source: string): Authentication | Promise<Authentication>;
  /** True once the credential or its user has been ended: checked again after each login took effect. */
  ended(principal: Principal): boolean;
  /** Answers a query from the venue. Throws `Refusal`. */
  query(name: string, args: JsonObject, who: Principal | null): Promise<JsonObject>;
  /** True if a stream of this public channel may be joined: the venue serves that product or market. */
  knows(channel: string, key: string): boolean;
  /** Told of every change of identity, so that a revocation finds its connections. */
  identityChanged(connection: Connection): void;
  /** Log line about a fault; never contains what the peer sent. */
  fault(event: string, error: unknown): void;
}

export class Connection {
  readonly id: string;
  readonly source: string;
  readonly openedAt: number;
  readonly #services: ConnectionServices;
  readonly #transport: Transport;
  readonly #holdings: Holdings;
  readonly #limit: MessageLimit;
  #conversation: Conversation;
  /** Null until a message has shown which one the peer speaks; the first of the list answers until then. */
  #dialect: Dialect | null = null;
  /** Who the connection belongs to. Kept after it expired, so that the subject cannot change. */
  #proof: Authentication | null = null;
  /** The proof came inside a request and counts for that request alone (wire facts coinbase C5). */
  #perRequest = false;
  /** Private streams have been stopped because the proof expired. */
  #lapsed = false;
  #toldExpired = false;
  /** Has done what a new connection must do in time. */
  #settled = false;
  readonly #queue: (Command | (() => Promise<void>))[] = [];
  #busy = false;
  #waiting: Extract<Command, { kind: 'subscribe' }>[] = [];
  #cancelHold: (() => void) | null = null;
  #queries = 0;
  #closed = false;

  constructor(
    id: string,
    source: string,
    transport: Transport,
    services: ConnectionServices,
    proof: Authentication | null,
  ) {
    this.id = id;
    this.source = source;
    this.#transport = transport;
    this.#services = services;
    this.#conversation = services.dialects[0].open(id);
    this.#proof = proof;
    this.#settled = proof !== null;
    this.openedAt = services.clock.monotonic();
    this.#limit = new MessageLimit(services.limits.messagesPerSecond, services.limits.messageBurst, this.openedAt);
    this.#holdings = new Holdings(services.hub, transport.outbox, () => this.close(CLOSE.slow));
    if (proof !== null) services.identityChanged(this);
  }

  /** Who may act now; null once the proof has expired. */
  get principal(): Principal | null {
    return this.#standing?.principal ?? null;
  }

  /** The proof that a request without one of its own can stand on. */
  get #standing(): Authentication | null {
    return this.#lapsed || this.#perRequest ? null : this.#proof;
  }

  get credential(): Credential | null {
    return this.#proof?.principal.credential ?? null;
  }

  /** The user that this connection belongs to, expired or not. */
  get userId(): number | null {
    return this.#proof?.principal.userId ?? null;
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

  // -------------------------------------------------------------------------------------- what the door says

  /** Takes one text message. Never throws. */
  receive(text: string): void {
    if (this.#closed) return;
    if (this.#dialect === null) this.#recognise(text);
    const conversation = this.#conversation;
    const passed = this.#limit.take(this.#services.clock.monotonic());
    if (passed === 'cut') return this.close(CLOSE.policy);
    const encoder = conversation.encoder;
    for (const command of conversation.parse(text)) {
      if (passed === 'refuse') this.#refuse(command.phrase, 'rate_limited');
      else this.#enqueue(command);
    }
    if (conversation.encoder !== encoder) this.#holdings.setEncoder(conversation.encoder);
  }

  /** The door has lost the peer, or has closed it: give everything back. Idempotent. */
  gone(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#cancelHold?.();
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

  // -------------------------------------------------------------------------------------- what time does

  /**
   * Called a few times a second. Tells the peer when its access token expires, stops private streams when
   * the leeway has passed too (R49), and closes a peer that did nothing with its connection (R57).
   */
  tick(now: number, monotonic: number): void {
    if (this.#closed) return;
    const expiresAt = this.#proof?.expiresAt ?? null;
    if (expiresAt !== null && !this.#toldExpired && now >= expiresAt - this.#services.limits.leeway) {
      this.#toldExpired = true;
      const notice = this.#conversation.expired();
      if (notice !== null) this.#transport.send(notice);
    }
    if (expiresAt !== null && !this.#lapsed && now >= expiresAt) {
      this.#lapsed = true;
      this.#holdings.pause(now);
    }
    const { idleSeconds } = this.#dialect ?? this.#services.dialects[0];
    if (!this.#settled && monotonic - this.openedAt > idleSeconds * 1000) this.close(CLOSE.idle);
  }

  /** A REST refresh gave the session behind this connection a newer access token: the connection lives on with it. */
  extend(expiresAt: number): void {
    if (this.#closed || this.#proof?.expiresAt == null || expiresAt <= this.#proof.expiresAt) return;
    this.#enqueue(async () => {
      if (this.#proof !== null) await this.#adopt({ principal: this.#proof.principal, expiresAt });
    });
  }

  /** The credential, the session or the user behind the connection has been ended: nothing private leaves any more. */
  end(): void {
    this.#holdings.leavePrivate();
    this.close(CLOSE.goodbye);
  }

  /** Permissions, tier or accounts have changed: streams that are not allowed any more stop here and now (R54). */
  reconsider(principal: Principal): void {
    if (this.#proof === null || this.#closed) return;
    this.#proof = { principal, expiresAt: this.#proof.expiresAt };
    this.#holdings.renew(this.#proof);
    for (const { channel, keys } of this.#holdings.list().values()) {
      if (channel.audience === 'public' || decide(principal, { do: 'join', channel }).allowed) continue;
      for (const key of keys) for (const held of this.#holdings.keys(channel, key)) this.#holdings.leave(channel, held);
    }
  }

  // -------------------------------------------------------------------------------------- commands, one by one

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
    this.#conversation = dialect.open(this.id);
  }

  /** Work takes effect strictly in the order it came: a login that is being verified holds up what follows it. */
  #enqueue(work: Command | (() => Promise<void>)): void {
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
        .catch((error: unknown) => {
          this.#services.fault('connection.command', error);
          if (typeof work !== 'function') this.#refuse(work.phrase, 'internal');
        })
        .finally(() => {
          this.#busy = false;
          this.#next();
        });
      return;
    }
  }

  #carryOut(command: Command): Promise<void> | undefined {
    switch (command.kind) {
      case 'login':
        return this.#login(command.token, command.phrase);
      case 'logout':
        return this.#logout(command.phrase);
      case 'subscribe':
        return this.#subscribe(command);
      case 'unsubscribe':
        return this.#unsubscribe(command);
      case 'query':
        this.#query(command);
        return undefined;
      case 'ping':
        this.#say((talk) => talk.pong(command.phrase));
        return undefined;
      case 'invalid':
        this.#refuse(command.phrase, command.code, command.message);
        return undefined;
    }
  }

  async #login(token: string | null, phrase: Phrase): Promise<void> {
    const proof = await this.#verify(token, phrase);
    if (proof === null) return;
    this.#perRequest = false;
    await this.#adopt(proof, phrase);
    this.#queue.unshift(...this.#waiting);
    this.#waiting = [];
    this.#cancelHold?.();
    this.#cancelHold = null;
  }

  /** Verifies a token and sees to it that the subject of a connection never changes (R51). Answers refusals itself. */
  async #verify(token: string | null, phrase: Phrase): Promise<Authentication | null> {
    if (token === null) {
      this.#refuse(phrase, 'unauthorized');
      return null;
    }
    try {
      const proof = await this.#services.authenticate(token, this.source);
      if (this.#closed) return null;
      if (this.#proof !== null && this.#proof.principal.userId !== proof.principal.userId) {
        this.#refuse(phrase, 'forbidden', 'This connection belongs to another user: open a new one.');
        return null;
      }
      return proof;
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.#refuse(phrase, error.code);
      return null;
    }
  }

  /** Takes a proof into effect, atomically; `phrase` is the login to answer, if there was one. */
  async #adopt(proof: Authentication, phrase?: Phrase): Promise<void> {
    this.#proof = proof;
    this.#settled = true;
    this.#lapsed = false;
    this.#toldExpired = false;
    this.#services.identityChanged(this);
    // Indexed first, looked up again after: a revocation that came in between is not missed.
    if (this.#services.ended(proof.principal)) return this.end();
    this.#holdings.renew(proof);
    if (phrase !== undefined) this.#say((talk) => talk.loggedIn(phrase, proof));
    this.#send(await this.#holdings.resume(this.#conversation.encoder));
  }

  async #logout(phrase: Phrase): Promise<void> {
    this.#holdings.leavePrivate();
    this.#proof = null;
    this.#lapsed = false;
    this.#services.identityChanged(this);
    this.#say((talk) => talk.loggedOut(phrase));
  }

  async #subscribe(command: Extract<Command, { kind: 'subscribe' }>): Promise<void> {
    const { phrase, token } = command;
    if (this.#dialect?.settlesBy === 'request') this.#settled = true;
    let by = this.#standing;
    if (token !== undefined) {
      by = await this.#verify(token, phrase);
      if (by === null) return;
      if (this.#proof === null) {
        this.#perRequest = true;
        await this.#adopt(by);
      }
    }
    const allowed: Want[] = [];
    const held: Want[] = [];
    for (const want of command.wants) {
      const verdict = decide(by?.principal ?? null, { do: 'join', channel: want.channel });
      if (verdict.allowed) allowed.push(want);
      else if (verdict.code === 'unauthorized' && this.#dialect?.holdsPrivate && this.#proof === null) held.push(want);
      else this.#refuse(want.phrase, verdict.code ?? 'forbidden');
    }
    if (held.length > 0) this.#hold({ ...command, wants: held });
    if (allowed.length > 0) await this.#join(allowed, phrase, by);
  }

  /** Keeps private wants for a moment: python-ethgas may subscribe before its login (wire facts 5.2). */
  #hold(command: Extract<Command, { kind: 'subscribe' }>): void {
    this.#waiting.push(command);
    this.#cancelHold ??= this.#services.clock.after(this.#services.limits.privateHold, () => this.#refuseHeld());
  }

  #refuseHeld(): void {
    this.#cancelHold = null;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { wants } of waiting) for (const want of wants) this.#refuse(want.phrase, 'unauthorized');
  }

  async #join(wants: Want[], phrase: Phrase, by: Authentication | null): Promise<void> {
    const conversation = this.#conversation;
    const fresh = wants.flatMap((want) =>
      streamKeys(want.channel, want.key, by?.principal ?? null)
        .filter((key) => want.channel.audience !== 'public' || this.#services.knows(want.channel.name, key))
        .filter((key) => !this.#holdings.has(want.channel, key))
        .map((key) => ({ want, key })),
    );
    const over = this.#overLimit(fresh);
    if (over !== null) return this.#refuse(phrase, over);
    this.#settled = true;
    const joined: Joined[] = wants.map((want) => ({ want, streams: [] }));
    const opened: Opened[] = [];
    for (const { want, key } of fresh) {
      // The same stream may be named twice in one request.
      if (this.#holdings.has(want.channel, key)) continue;
      const wantKey = want.channel.audience === 'public' ? key : (want.key ?? '');
      const proof = want.channel.audience === 'public' ? null : by;
      const one = await this.#holdings.join(want.channel, key, wantKey, conversation.encoder, proof, want.since);
      if (this.#closed) return;
      opened.push(one);
      const place = joined.findIndex((entry) => entry.want === want);
      const entry = joined[place];
      if (entry !== undefined) joined[place] = { want, streams: [...entry.streams, one] };
    }
    const answer = () => this.#say((talk) => talk.subscribed(phrase, joined, this.#holdings.list()));
    if (!conversation.snapshotFirst) answer();
    for (const { opening } of opened) for (const frame of opening) this.#transport.outbox.push(frame);
    if (conversation.snapshotFirst) answer();
    for (const { start } of opened) start();
  }

  #overLimit(fresh: readonly { want: Want }[]): ErrorCode | null {
    if (this.#holdings.size + fresh.length > this.#services.limits.subscriptionsPerConnection) {
      return 'too_many_subscriptions';
    }
    for (const { want } of fresh) {
      const most = want.channel.perConnection;
      if (most === undefined) continue;
      const added = fresh.filter((other) => other.want.channel === want.channel).length;
      if (this.#holdings.count(want.channel) + added > most) return 'too_many_subscriptions';
    }
    return null;
  }

  async #unsubscribe({ wants, token, phrase }: Extract<Command, { kind: 'unsubscribe' }>): Promise<void> {
    if (token !== undefined && (await this.#verify(token, phrase)) === null) return;
    for (const want of wants) {
      const wantKey = want.channel.audience === 'public' || want.key === null ? want.key : (want.key ?? '');
      for (const key of this.#holdings.keys(want.channel, wantKey)) this.#holdings.leave(want.channel, key);
    }
    this.#say((talk) => talk.unsubscribed(phrase, wants, this.#holdings.list()));
  }

  #query(command: Extract<Command, { kind: 'query' }>): void {
    const { query, args, phrase } = command;
    const verdict = decide(this.principal, { do: 'query', query, private: command.private });
    if (!verdict.allowed) return this.#refuse(phrase, verdict.code ?? 'forbidden');
    if (this.#queries >= this.#services.limits.queriesInFlight) return this.#refuse(phrase, 'rate_limited');
    this.#queries += 1;
    const asker = this.userId;
    this.#services
      .query(query, args, this.principal)
      .then((payload) => {
        // The answer to a private query is for whoever asked it, and only while they may still see it.
        if (command.private && (this.userId !== asker || this.principal === null)) {
          return this.#refuse(phrase, 'unauthorized');
        }
        this.#say((talk) => talk.answered(phrase, query, payload));
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

  // -------------------------------------------------------------------------------------- answers

  #send(opened: readonly Opened[]): void {
    for (const { opening, start } of opened) {
      for (const frame of opening) this.#transport.outbox.push(frame);
      start();
    }
  }

  #say(words: (conversation: Conversation) => string[]): void {
    if (this.#closed) return;
    for (const text of words(this.#conversation)) this.#transport.send(text);
  }

  #refuse(phrase: Phrase, code: ErrorCode, message?: string): void {
    this.#say((talk) => talk.refused(phrase, code, message));
  }
}
