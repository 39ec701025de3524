/**
 * A client for the Socket.IO door: a connection that comes back with a fresh token, requests that get their own
 * answers, and the same streams and books as a feed.
 */
import { systemClock } from '../clock.ts';
import { type CountersignError, UsageError } from '../errors.ts';
import { createEmitter } from '../events.ts';
import { Entry } from '../feed/entry.ts';
import { marketOf } from '../feed/market-of.ts';
import { asText, isObject, type JsonObject } from '../feed/read-json.ts';
import { type Joined, Reconciler } from '../feed/reconciler.ts';
import { Streams } from '../feed/streams.ts';
import { createHandshakeToken } from '../handshake-token.ts';
import { randomFraction } from '../random.ts';
import { Calls } from './calls.ts';
import { bookLevels, mergeBooks, socketChannels } from './channels.ts';
import { asError, Connection } from './connection.ts';
import type { SocketClient, SocketClientOptions, SocketEvents } from './socket-client.ts';
import { frameOf, placesOf, wishOf } from './wire.ts';

/** @throws UsageError `invalid_option`; CredentialError for a token that cannot be one */
export function createSocketClient(options: SocketClientOptions): SocketClient {
  const { timeout = 10_000, connectTimeout = 10_000, stableAfter = 60_000 } = options;
  const clock = options.clock ?? systemClock;
  const random = options.random ?? randomFraction;
  const credential = typeof options.token === 'object' ? options.token : createHandshakeToken(options.token);
  const events = createEmitter<SocketEvents>();
  const counts = { logins: 0, gaps: 0, duplicates: 0, recovered: 0, lost: 0 };
  const stop = new AbortController();
  let opening: { resolve(): void; reject(error: unknown): void; promise: Promise<void> } | null = null;

  const connection = new Connection({
    url: options.url,
    path: options.path ?? '/socket.io',
    credential,
    clock,
    random,
    connectTimeout,
    stableAfter,
    signal: stop.signal,
    onState: (state) => events.emit('state', state),
    onOpen(socket) {
      calls.connected(socket);
      reconciler.online();
      reconciler.mayPrivate = true;
      opening?.resolve();
    },
    onDown: () => down(),
    onEvent: (name, data) => heard(name, data),
    onOver: (error) => finish(error),
  });
  const calls = new Calls({ clock, answers: options.answers ?? 'ack', giveUp: () => connection.drop() });
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
      giveUp: () => connection.drop(),
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
      connection.open();
      return { entry, release: () => reconciler.release(joined) };
    },
    key: (word) => word,
    levels: bookLevels,
    mergeBooks,
  });

  const isClosed = () => connection.state.status === 'closed';

  function down(): void {
    reconciler.offline();
    calls.disconnected();
  }

  function finish(error: CountersignError | null): void {
    if (isClosed()) return;
    stop.abort(error ?? new UsageError('closed', 'The client is closed.'));
    options.signal?.removeEventListener('abort', close);
    for (const unlisten of unlisteners) unlisten();
    connection.close(error);
    if (error !== null) reconciler.fail(error);
    streams.end(error);
    down();
    opening?.reject(error ?? new UsageError('closed', 'The client is closed.'));
  }

  function heard(name: string, data: unknown): void {
    if (isObject(data) && data.channel === name && socketChannels.has(name)) return route(name, data);
    if (name === 'token_expired') return expired();
    if (name === 'closing') return;
    if (!calls.heard(name, data)) events.emit('event', { name, data });
  }

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
    if (connection.state.status !== 'open' || login.token === connection.token) return;
    await call('login', { token: login.token });
    connection.token = login.token;
    counts.logins += 1;
  }

  function expired(): void {
    credential.invalidate(connection.token, 'expired');
    presentLater();
  }

  function presentLater(): void {
    if (connection.state.status !== 'open') return;
    present().catch((error: unknown) => {
      if (isClosed()) return;
      events.emit('error', { error: asError(error) });
      // Coming back asks for a token again, with all its patience; the old one still holds for a while.
      if (asError(error).remedy === 'retry') clock.after(connection.pause(), presentLater, true);
    });
  }

  const unlisteners = [
    credential.onRenewed(presentLater),
    credential.onEnded((error) => finish(asError(error))),
  ];

  const close = async (): Promise<void> => finish(null);
  if (options.signal?.aborted) finish(null);
  else options.signal?.addEventListener('abort', close, { once: true });

  return {
    on: events.on,
    get state() {
      return connection.state;
    },
    get stats() {
      return { ...counts, connects: connection.connects };
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
        if (connection.state.status === 'open') resolve();
      }
      connection.open();
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
