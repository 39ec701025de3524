/**
 * A client for the Socket.IO door: a connection that comes back with a fresh token, requests that get their own
 * answers, and the same streams and books as a feed.
 */
import { io, type Socket } from 'socket.io-client';
import { createBackoff } from '../backoff.ts';
import type { OrderBook } from '../books/order-book.ts';
import { type Clock, systemClock } from '../clock.ts';
import type { Credential } from '../credential.ts';
import { ConnectionError, CountersignError, UsageError } from '../errors.ts';
import { createEmitter, type Listenable } from '../events.ts';
import { Entry } from '../feed/entry.ts';
import type { Frame } from '../feed/frame.ts';
import { marketOf } from '../feed/market-of.ts';
import { asText, asWhole, isObject, type JsonObject, readPosition } from '../feed/read-json.ts';
import { type Joined, Reconciler } from '../feed/reconciler.ts';
import { Streams, type SubscribeOptions } from '../feed/streams.ts';
import type { Subscription } from '../feed/subscription.ts';
import type { Place } from '../feed/tracker.ts';
import type { FeedUpdate, ResyncReason } from '../feed/update.ts';
import { createHandshakeToken } from '../handshake-token.ts';
import { randomFraction } from '../random.ts';
import { Calls } from './calls.ts';
import { bookLevels, mergeBooks, socketChannels } from './channels.ts';

export interface SocketClientOptions {
  /** `http:` or `https:`, of the server. A query goes with the handshake; the path is `path`'s. */
  url: string;
  /** Default `/socket.io`. */
  path?: string;
  /** A token, or a function that is asked at every connection attempt; or a session. */
  token: string | (() => string | Promise<string>) | Credential;
  /** Default `ack`. `event` for servers that answer with an event of the same name and nothing else. */
  answers?: 'ack' | 'event';
  /** Milliseconds for the answer to a request, unless it says otherwise. Default 10,000. */
  timeout?: number;
  /** Milliseconds for the handshake. Default 10,000. */
  connectTimeout?: number;
  /** Milliseconds that a connection has to last for the attempt counter to start anew. Default 60,000. */
  stableAfter?: number;
  signal?: AbortSignal;
  clock?: Clock;
  /** A number in [0, 1), for jitter. */
  random?: () => number;
}

export type SocketState =
  | { readonly status: 'idle' }
  | { readonly status: 'connecting'; readonly attempt: number }
  | { readonly status: 'open'; readonly attempt: number }
  /** `delay` in milliseconds. */
  | { readonly status: 'waiting'; readonly attempt: number; readonly delay: number; readonly reason: string }
  | { readonly status: 'closed'; readonly error: CountersignError | null };

export interface SocketEvents {
  state: SocketState;
  gap: { channel: string; key: string; expected: number | null; received: number | null };
  resync: { channel: string; key: string; reason: ResyncReason; recovered: boolean };
  /** What no call could be blamed for. */
  error: { readonly error: CountersignError };
  /** Any event of the server that is neither an answer nor a stream. */
  event: { readonly name: string; readonly data: unknown };
}

export interface SocketClientStats {
  readonly connects: number;
  readonly logins: number;
  readonly gaps: number;
  readonly duplicates: number;
  readonly recovered: number;
  readonly lost: number;
}

export interface SocketClient extends Listenable<SocketEvents> {
  readonly state: SocketState;
  readonly stats: SocketClientStats;
  /** Connects. Resolves when it is open for the first time; rejects when it never will be. */
  open(): Promise<void>;
  /**
   * Sends a request and gives its `result`. Sent only over an open connection, and never sent again by itself.
   *
   * @throws RequestRefused; ConnectionError `unreachable` or `timeout` (which leaves open whether it was carried out)
   */
  request<Result = unknown>(
    event: string,
    params?: object,
    options?: { timeout?: number; signal?: AbortSignal },
  ): Promise<Result>;
  /** As `Feed.subscribe`; `key` of updates as the server names streams. */
  subscribe<Data = unknown>(
    options: SubscribeOptions,
    onUpdate?: (update: FeedUpdate<Data>) => unknown,
  ): Subscription<Data>;
  /** A product, or an instrument of `market` (default: by its name, if it begins with `ETH-PC-` or `ETH-WB-`). */
  orderBook(product: string, options?: { market?: string }): OrderBook;
  /** Idempotent. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Refusals of a token in a row. */
const REFUSALS = 2;

/** @throws UsageError `invalid_option`; CredentialError for a token that cannot be one */
export function createSocketClient(options: SocketClientOptions): SocketClient {
  const { timeout = 10_000, connectTimeout = 10_000, stableAfter = 60_000 } = options;
  const clock = options.clock ?? systemClock;
  const random = options.random ?? randomFraction;
  const credential = asCredential(options.token);
  const events = createEmitter<SocketEvents>();
  const counts = { connects: 0, logins: 0, gaps: 0, duplicates: 0, recovered: 0, lost: 0 };
  const backoff = createBackoff({ base: 500, cap: 20_000, random });
  const stop = new AbortController();
  let state: SocketState = { status: 'idle' };
  let attempt = 0;
  let refusals = 0;
  let openedAt: number | null = null;
  let token = '';
  let cancel = () => {};
  let opening: { resolve(): void; reject(error: unknown): void; promise: Promise<void> } | null = null;

  const socket: Socket = io(checkUrl(options.url), {
    path: options.path ?? '/socket.io',
    transports: ['websocket'],
    autoConnect: false,
    forceNew: true,
    // Coming back is decided here: the library would come back with a token that was refused.
    reconnection: false,
    timeout: connectTimeout,
    auth: (give) => give({ token }),
  });
  const calls = new Calls({ clock, answers: options.answers ?? 'ack', giveUp: () => drop() });
  const call = (event: string, params: object) => calls.call(event, params, { timeout });

  const reconciler = new Reconciler({
    clock,
    concurrency: 16,
    batch: 1,
    openingFirst: false,
    wire: {
      async subscribe([entry]) {
        const result = await call('subscribe', wishOf(entry!));
        return (): Joined => ({ places: placesOf(result) });
      },
      async unsubscribe([entry]) {
        const { recover: _, ...wish } = wishOf(entry!);
        await call('unsubscribe', wish);
      },
      giveUp: () => drop(),
      refusedCredential: () => false,
    },
  });

  const observe = {
    gap(event: SocketEvents['gap']) {
      counts.gaps += 1;
      events.emit('gap', event);
    },
    resync(event: SocketEvents['resync']) {
      if (event.recovered) counts.recovered += 1;
      else counts.lost += 1;
      events.emit('resync', event);
    },
    duplicate() {
      counts.duplicates += 1;
    },
  };

  const streams = new Streams({
    channels: socketChannels,
    join(channel, key, extra) {
      let entry = reconciler.get(channel.name, key);
      if (entry === undefined) {
        entry = new Entry(channel, key, extra, { clock, random, wake: () => reconciler.wake(), observe });
        reconciler.put(entry);
      }
      const joined = entry;
      start();
      return { entry, release: () => reconciler.release(joined) };
    },
    key: (word) => word,
    levels: bookLevels,
    mergeBooks,
  });

  // ------------------------------------------------------------------------------------------ the connection

  function set(next: SocketState): void {
    state = next;
    events.emit('state', next);
  }

  function start(): void {
    if (state.status === 'idle') void connect();
  }

  async function connect(): Promise<void> {
    attempt += 1;
    set({ status: 'connecting', attempt });
    try {
      token = (await credential.webSocketLogin({ signal: stop.signal })).token;
    } catch (error) {
      if (state.status === 'closed') return;
      const failure = asError(error);
      if (failure.remedy === 'retry') again('no token', failure.retryAfter);
      else finish(failure);
      return;
    }
    if (state.status !== 'connecting') return;
    counts.connects += 1;
    socket.connect();
  }

  function again(reason: string, retryAfter?: number): void {
    if (state.status === 'closed') return;
    if (openedAt !== null && clock.monotonic() - openedAt >= stableAfter) {
      backoff.reset();
      attempt = 0;
    }
    openedAt = null;
    const delay = backoff.next(retryAfter);
    cancel = clock.after(delay, () => void connect());
    set({ status: 'waiting', attempt, delay, reason });
  }

  function down(): void {
    reconciler.offline();
    calls.disconnected();
  }

  /** The server does not answer: this connection is of no use any more. */
  function drop(): void {
    if (state.status === 'open') socket.disconnect();
  }

  function finish(error: CountersignError | null): void {
    if (state.status === 'closed') return;
    cancel();
    stop.abort(error ?? new UsageError('closed', 'The client is closed.'));
    options.signal?.removeEventListener('abort', close);
    for (const unlisten of unlisteners) unlisten();
    set({ status: 'closed', error });
    socket.disconnect();
    if (error !== null) reconciler.fail(error);
    streams.end(error);
    down();
    opening?.reject(error ?? new UsageError('closed', 'The client is closed.'));
  }

  socket.on('connect', () => {
    refusals = 0;
    openedAt = clock.monotonic();
    set({ status: 'open', attempt });
    calls.connected(socket);
    reconciler.online();
    reconciler.mayPrivate = true;
    opening?.resolve();
  });

  socket.on('disconnect', (reason) => {
    if (state.status !== 'open') return;
    down();
    // Said by the server on purpose: whoever came back with the same access would be sent away again.
    if (reason === 'io server disconnect') {
      finish(new ConnectionError('unauthorized', 'The server ended the access behind this connection.'));
    } else again(reason);
  });

  socket.on('connect_error', (error: Error & { data?: unknown }) => {
    if (state.status !== 'connecting') return;
    const code = isObject(error.data) ? error.data.code : undefined;
    const retryAfter = isObject(error.data) ? (asWhole(error.data.retryAfter) ?? undefined) : undefined;
    socket.disconnect();
    // With `data`, or inactive: the server's own answer. Otherwise nobody was reached.
    if (code === undefined && !/unauthorized/i.test(error.message)) return again('unreachable');
    if (code === 'RATE_LIMITED') return again('rate limited', retryAfter);
    credential.invalidate(token, 'refused');
    refusals += 1;
    if (refusals < REFUSALS) again('unauthorized');
    else finish(new ConnectionError('unauthorized', 'The server does not accept the token.'));
  });

  // ------------------------------------------------------------------------------------------ what the server says

  socket.onAny((name: string, data: unknown) => {
    if (state.status !== 'open') return;
    if (isObject(data) && data.channel === name && socketChannels.has(name)) return route(name, data);
    if (name === 'token_expired') return expired();
    if (name === 'closing') return;
    if (!calls.heard(name, data)) events.emit('event', { name, data });
  });

  function route(name: string, data: JsonObject): void {
    const channel = socketChannels.get(name)!;
    const wireKey = asText(data.key) ?? '';
    const key =
      channel.keyedBy === 'nothing'
        ? ''
        : channel.perAccount
          ? wireKey.slice(0, Math.max(0, wireKey.lastIndexOf('/')))
          : wireKey;
    reconciler.get(name, key)?.receive(frameOf(name, wireKey, data));
  }

  /** Presents a newer token on the open connection. */
  async function present(): Promise<void> {
    const login = await credential.webSocketLogin({ signal: stop.signal });
    if (state.status !== 'open' || login.token === token) return;
    await call('login', { token: login.token });
    token = login.token;
    counts.logins += 1;
  }

  function expired(): void {
    credential.invalidate(token, 'expired');
    presentLater();
  }

  function presentLater(): void {
    if (state.status !== 'open') return;
    present().catch((error: unknown) => {
      if (state.status === 'closed') return;
      events.emit('error', { error: asError(error) });
      // Coming back asks for a token again, with all its patience; the old one still holds for a while.
      if (asError(error).remedy === 'retry') clock.after(backoff.next(), presentLater, true);
    });
  }

  const unlisteners = [
    credential.onRenewed(presentLater),
    credential.onEnded((error) => finish(asError(error))),
  ];

  // ------------------------------------------------------------------------------------------ the client

  const close = async (): Promise<void> => finish(null);
  if (options.signal?.aborted) finish(null);
  else options.signal?.addEventListener('abort', close, { once: true });

  return {
    on: events.on,
    get state() {
      return state;
    },
    get stats() {
      return { ...counts };
    },
    open() {
      streams.check();
      if (opening === null) {
        let resolve = () => {};
        let reject: (error: unknown) => void = () => {};
        const promise = new Promise<void>((yes, no) => {
          resolve = yes;
          reject = no;
        });
        promise.catch(() => {});
        opening = { resolve, reject, promise };
        if (state.status === 'open') resolve();
      }
      start();
      return opening.promise;
    },
    async request<Result>(
      event: string,
      params: object = {},
      more: { timeout?: number; signal?: AbortSignal } = {},
    ) {
      streams.check();
      const result = await calls.call(event, params, { timeout, ...more });
      return result as Result;
    },
    subscribe: streams.subscribe.bind(streams) as SocketClient['subscribe'],
    orderBook(product, { market } = {}) {
      if (market === undefined && !/^ETH-(?:PC|WB)-/.test(product)) {
        return streams.orderBook({ channel: 'level2', key: product, product, only: product });
      }
      const key = market ?? marketOf(product);
      return streams.orderBook({ channel: 'orderBookUpdate', key, product, only: null });
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

function asCredential(token: SocketClientOptions['token']): Credential {
  if (typeof token === 'object') return token;
  return createHandshakeToken(token);
}

function wishOf({ channel, key, extra, since }: Entry): Record<string, unknown> {
  const recover = channel.perAccount ? Object.fromEntries(since) : since.get('');
  return {
    ...extra,
    channel: channel.name,
    ...(channel.keyedBy === 'nothing' ? {} : { key }),
    ...(since.size === 0 ? {} : { recover }),
  };
}

function placesOf(result: unknown): ReadonlyMap<string, Place> | null {
  if (!isObject(result)) return null;
  const joined = (value: unknown) => (typeof value === 'boolean' ? value : null);
  const one = readPosition(result.position);
  if (one !== null) return new Map([['', { position: one, recovered: joined(result.recovered) }]]);
  if (!isObject(result.positions)) return null;
  const places = new Map<string, Place>();
  for (const [account, value] of Object.entries(result.positions)) {
    const position = readPosition(value);
    const recovered = isObject(result.recovered) ? joined(result.recovered[account]) : null;
    if (position !== null) places.set(account, { position, recovered });
  }
  return places;
}

function frameOf(channel: string, key: string, data: JsonObject): Frame {
  const type = data.type === 'snapshot' ? 'snapshot' : 'update';
  const part = { type, item: asText(data.item), action: asText(data.action), data: data.data } as const;
  return {
    channel,
    key,
    sequence: asWhole(data.sequence),
    epoch: asText(data.epoch),
    type,
    time: asWhole(data.time),
    parts: [part],
    raw: () => JSON.stringify(data),
    frames: asWhole(data.parts),
  };
}

function checkUrl(url: string): string {
  let parsed: URL;
  try {
    parsed = new URL(url);
  } catch {
    throw new UsageError('invalid_option', 'The address of a Socket.IO server is an http: or https: URL.');
  }
  if (!['http:', 'https:', 'ws:', 'wss:'].includes(parsed.protocol)) {
    throw new UsageError('invalid_option', 'The address of a Socket.IO server begins with http: or https:.');
  }
  if (parsed.username !== '' || parsed.password !== '') {
    throw new UsageError('invalid_option', 'The address of a server holds no user name or password.');
  }
  return parsed.origin + parsed.search;
}

const asError = (error: unknown): CountersignError =>
  error instanceof CountersignError
    ? error
    : new ConnectionError('unexpected_answer', 'It failed for no reason known here.', { cause: error });
