/**
 * A feed: market data and account streams over one WebSocket that looks after itself. It connects, signs in, subscribes
 * again after every loss, notices what is missing, and says so in the stream at the very place.
 */
import { BookStream, type OrderBook } from '../books/order-book.ts';
import { type Clock, systemClock } from '../clock.ts';
import type { Credential } from '../credential.ts';
import { type CountersignError, UsageError } from '../errors.ts';
import { createEmitter, type Listenable } from '../events.ts';
import { randomFraction } from '../random.ts';
import type { LinkState } from '../transport/link.ts';
import { checkUrl, type SocketConstructor, socketConstructor } from '../transport/socket.ts';
import type { ChannelInfo } from './channel.ts';
import { createCoinbaseDialect } from './coinbase-dialect.ts';
import type { FeedDialect } from './dialect.ts';
import type { Entry, Sink } from './entry.ts';
import { createEthgasDialect } from './ethgas-dialect.ts';
import { Lane } from './lane.ts';
import { type Backpressure, QueuedSubscription, type Subscription } from './subscription.ts';
import type { FeedUpdate, Position, ResyncReason } from './update.ts';

export interface FeedOptions {
  /** `ws:` or `wss:`, without user name and password. */
  url: string;
  dialect: 'ethgas' | 'coinbase';
  /** For private channels: a wallet session, an API key. */
  credential?: Credential;
  /** Default: the platform's. Node 20 has none: take `NodeWebSocket` of `@countersign/client/node`. */
  WebSocket?: SocketConstructor;
  /**
   * coinbase: what `sequence_num` counts. `stream` as the gateway does by default, `connection` as the live service.
   * Default `stream`. With `connection`, a lost frame makes every stream of its connection begin anew.
   */
  sequence?: 'stream' | 'connection';
  /** coinbase: products that end in `-USDC` and are not another word for `-USD`. Default USDT-USDC, EURC-USDC. */
  usdcProducts?: readonly string[];
  /** Milliseconds for the opening handshake. Default 10,000. */
  connectTimeout?: number;
  /** Milliseconds for the answer to a request. Default 10,000. */
  requestTimeout?: number;
  /** coinbase: milliseconds without a frame, once beats have begun, after which a connection is dead. Default 4,000. */
  heartbeatTimeout?: number;
  /** Milliseconds that a connection has to last for the attempt counter to start anew. Default 60,000. */
  stableAfter?: number;
  /** Attempts in a row without such a connection, after which the feed ends with `unreachable`. Default: no limit. */
  maxAttempts?: number;
  /** Requests per second and connection. Default 50; 8 for the live service, which allows that many (wire facts). */
  requestsPerSecond?: number;
  /** Ends the feed as `close` does. */
  signal?: AbortSignal;
  clock?: Clock;
  /** A number in [0, 1), for jitter. Default: the platform's secure source. */
  random?: () => number;
}

export interface SubscribeOptions {
  channel: string;
  /** coinbase: what to subscribe to. */
  product?: string;
  products?: readonly string[];
  /** ethgas: `inclusionPreconf` or `wholeBlock`. */
  market?: string;
  /** Further members of the request, such as `accountId` or `pricerOnly`. Not checked. */
  args?: Readonly<Record<string, unknown>>;
  /** Where an earlier life of the program stopped: by the `key` of its updates. */
  recover?: Readonly<Record<string, Position>>;
  /** Default `{mode: 'buffer', capacity: 10000}`. */
  backpressure?: Backpressure;
  /** Ends the subscription; its iterator throws the reason. */
  signal?: AbortSignal;
}

export interface FeedEvents {
  /** Of one connection; `lane` 0 is the first, others carry level2 products beyond 30. */
  state: { readonly lane: number; readonly state: LinkState };
  /** Something is missing, and is being mended. `key` and `channel` are '' where nobody can know whose it is. */
  gap: {
    readonly channel: string;
    readonly key: string;
    readonly expected: number | null;
    readonly received: number | null;
  };
  resync: {
    readonly channel: string;
    readonly key: string;
    readonly reason: ResyncReason;
    readonly recovered: boolean;
  };
  /** A connection was signed in, first or anew. */
  login: { readonly lane: number };
  /** What no call could be blamed for: a login refused in the background, access taken away. */
  error: { readonly error: CountersignError };
  /** The feed is over; `error` null if it was closed here. */
  ended: { readonly error: CountersignError | null };
}

export interface FeedStats {
  readonly connects: number;
  readonly logins: number;
  readonly requests: number;
  readonly gaps: number;
  /** Frames that had come before. */
  readonly duplicates: number;
  readonly recovered: number;
  /** Resyncs after which something is missing for good. */
  readonly lost: number;
}

export interface Feed extends Listenable<FeedEvents> {
  /** Of the first connection. */
  readonly state: LinkState;
  readonly stats: FeedStats;
  /** The present state and every later one, until the feed is over. A slow reader sees only the newest. */
  states(): AsyncIterable<LinkState>;
  /**
   * Subscribes; connects if that has not happened. Takes effect at once, also while there is no connection.
   *
   * @throws UsageError for a channel that does not exist, and for what is missing or contradictory in the options
   */
  subscribe<Data = unknown>(options: SubscribeOptions): Subscription<Data>;
  /** The same with a callback. If it returns a promise, the next update waits for it. What it throws is reported. */
  subscribe<Data = unknown>(
    options: SubscribeOptions,
    onUpdate: (update: FeedUpdate<Data>) => unknown,
  ): Subscription<Data>;
  /**
   * A live order book.
   *
   * @param product coinbase: a product; ethgas: an instrument
   * @param options.market ethgas: default by the instrument's name
   */
  orderBook(product: string, options?: { market?: string }): OrderBook;
  /** Connects; `subscribe` does it as well. */
  open(): void;
  /** Takes no new subscriptions, lets consumers take what waits for them, and closes. @param limit milliseconds */
  drain(limit?: number): Promise<void>;
  /** Ends every subscription, and the connections by a closing handshake. Idempotent. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

const LIVE_SERVICE_RATE = 8;
const RATE = 50;

/** @throws UsageError `invalid_option` */
export function createFeed(options: FeedOptions): Feed {
  const url = checkUrl(options.url);
  const WebSocket = socketConstructor(options.WebSocket);
  const clock = options.clock ?? systemClock;
  const random = options.random ?? randomFraction;
  const dialect = dialectOf(options);
  const fallbackRate =
    dialect.name === 'coinbase' && options.sequence === 'connection' ? LIVE_SERVICE_RATE : RATE;
  const events = createEmitter<FeedEvents>();
  const lanes: Lane[] = [];
  const subscriptions = new Set<QueuedSubscription>();
  const books = new Map<Entry, BookStream>();
  const counts = { logins: 0, requests: 0, gaps: 0, duplicates: 0, recovered: 0, lost: 0 };
  let over: { error: CountersignError | null } | null = null;
  let draining = false;
  let closing: Promise<void> | null = null;

  const newLane = (): Lane => {
    const index = lanes.length;
    const lane = new Lane({
      url,
      dialect,
      credential: options.credential ?? null,
      WebSocket,
      clock,
      random,
      connectTimeout: options.connectTimeout ?? 10_000,
      requestTimeout: options.requestTimeout ?? 10_000,
      heartbeatTimeout: options.heartbeatTimeout ?? 4000,
      stableAfter: options.stableAfter ?? 60_000,
      maxAttempts: options.maxAttempts ?? Number.POSITIVE_INFINITY,
      rate: options.requestsPerSecond ?? fallbackRate,
      observe: {
        state: (state) => events.emit('state', { lane: index, state }),
        login() {
          counts.logins += 1;
          events.emit('login', { lane: index });
        },
        request() {
          counts.requests += 1;
        },
        gap(event) {
          counts.gaps += 1;
          events.emit('gap', event);
        },
        resync(event) {
          if (event.recovered) counts.recovered += 1;
          else counts.lost += 1;
          events.emit('resync', event);
        },
        duplicate() {
          counts.duplicates += 1;
        },
        error: (error) => events.emit('error', { error }),
        stopped: (error) => void finish(error),
      },
    });
    lanes.push(lane);
    return lane;
  };
  const main = newLane();

  /** The connection that has it, else the first with room for it. */
  function laneFor({ name, perConnection }: ChannelInfo, key: string): Lane {
    const found =
      lanes.find((lane) => lane.has(name, key)) ?? lanes.find((lane) => lane.count(name) < perConnection);
    if (found !== undefined) return found;
    return newLane();
  }

  function join(channel: ChannelInfo, key: string, extra: Readonly<Record<string, unknown>>): [Lane, Entry] {
    const lane = laneFor(channel, key);
    const entry = lane.entry({ channel, key, extra });
    lane.open();
    return [lane, entry];
  }

  function leave(lane: Lane, entry: Entry, sink: Sink): Promise<void> {
    entry.sinks.delete(sink);
    return entry.sinks.size === 0 ? lane.release(entry) : Promise.resolve();
  }

  function usable(): void {
    if (over !== null || draining) throw new UsageError('closed', 'The feed is closed.');
  }

  function channelOf(name: string): ChannelInfo {
    const channel = dialect.channels.get(name);
    if (channel !== undefined) return channel;
    // Said here and not by the server: the live one calls a misspelt channel an authentication failure.
    const known = [...dialect.channels.keys()].join(', ');
    throw new UsageError('invalid_option', `There is no channel "${name}". Channels: ${known}.`);
  }

  function subscribe(given: SubscribeOptions, onUpdate?: (update: FeedUpdate) => unknown): Subscription {
    usable();
    const channel = channelOf(given.channel);
    if (given.signal?.aborted) throw given.signal.reason;
    const keys = keysOf(channel, given, dialect);
    const leaving: (() => Promise<void>)[] = [];
    const subscription = new QueuedSubscription({
      channel,
      backpressure: given.backpressure ?? { mode: 'buffer' },
      mergeBooks: dialect.mergeBooks,
      async leave() {
        subscriptions.delete(subscription);
        given.signal?.removeEventListener('abort', abort);
        await Promise.all(leaving.map((one) => one()));
      },
    });
    const abort = () => subscription.fail(given.signal?.reason);
    for (const key of keys) {
      const [lane, entry] = join(channel, key, given.args ?? {});
      const sink: Sink = subscription.sink({
        refresh(places) {
          // Others have seen what this one has not: they cannot go back with it.
          entry.refresh('slow', entry.sinks.size === 1 ? ownPlaces(entry, places) : null);
        },
      });
      leaving.push(() => leave(lane, entry, sink));
      entry.add(
        sink,
        given.recover === undefined ? null : ownPlaces(entry, new Map(Object.entries(given.recover))),
      );
    }
    subscriptions.add(subscription);
    given.signal?.addEventListener('abort', abort, { once: true });
    if (onUpdate !== undefined) void consume(subscription, onUpdate);
    return subscription;
  }

  async function finish(error: CountersignError | null): Promise<void> {
    if (over !== null) return;
    over = { error };
    options.signal?.removeEventListener('abort', abort);
    for (const subscription of [...subscriptions]) {
      if (error === null) void subscription.close();
      else subscription.fail(error);
    }
    for (const book of books.values()) book.failed(error);
    books.clear();
    await Promise.all(lanes.map((lane) => lane.close(error)));
    events.emit('ended', { error });
  }

  const close = (): Promise<void> => {
    closing ??= finish(null);
    return closing;
  };
  const abort = () => void close();
  if (options.signal?.aborted) abort();
  else options.signal?.addEventListener('abort', abort, { once: true });

  const feed: Feed = {
    on: events.on,
    get state() {
      return main.state;
    },
    get stats() {
      return { ...counts, connects: lanes.reduce((sum, lane) => sum + lane.connects, 0) };
    },
    states: () => statesOf(main, events),
    subscribe: subscribe as Feed['subscribe'],

    orderBook(product, { market } = {}) {
      usable();
      const channel = channelOf(dialect.name === 'coinbase' ? 'level2' : 'orderBookUpdate');
      const wholeBlock = product.startsWith('ETH-WB-');
      const key =
        dialect.name === 'coinbase'
          ? dialect.key(product)
          : (market ?? (wholeBlock ? 'wholeBlock' : 'inclusionPreconf'));
      const [lane, entry] = join(channel, key, {});
      const known = books.get(entry);
      if (known !== undefined && !known.ended) return known.view(dialect.name === 'coinbase' ? key : product);
      const stream: BookStream = new BookStream({
        levels: dialect.levels,
        only: dialect.name === 'coinbase' ? key : null,
        refresh: () => entry.refresh('malformed', null),
        leave(): Promise<void> {
          if (books.get(entry) === stream) books.delete(entry);
          return leave(lane, entry, stream);
        },
      });
      books.set(entry, stream);
      const view = stream.view(dialect.name === 'coinbase' ? key : product);
      entry.add(stream, null);
      return view;
    },

    open() {
      usable();
      main.open();
    },

    async drain(limit = 30_000) {
      draining = true;
      const all = [...subscriptions];
      let cancel = () => {};
      const late = new Promise<void>((resolve) => {
        cancel = clock.after(limit, resolve);
      });
      const taken = Promise.all(all.map((one) => one.drained()));
      await Promise.race([taken, late]);
      cancel();
      await close();
    },
    close,
    [Symbol.asyncDispose]: close,
  };
  return feed;
}

function dialectOf({ dialect, sequence = 'stream', usdcProducts }: FeedOptions): FeedDialect {
  if (dialect === 'ethgas') return createEthgasDialect();
  if (dialect !== 'coinbase') throw new UsageError('invalid_option', 'dialect is "ethgas" or "coinbase".');
  return createCoinbaseDialect({ sequence, usdcProducts: usdcProducts ?? ['USDT-USDC', 'EURC-USDC'] });
}

function keysOf(
  { name, keyedBy }: ChannelInfo,
  { product, products, market }: SubscribeOptions,
  dialect: FeedDialect,
): string[] {
  if (keyedBy === 'nothing') return [''];
  if (keyedBy === 'market') {
    if (market === undefined) throw new UsageError('invalid_option', `${name} needs a "market".`);
    return [market];
  }
  const words = [...(product === undefined ? [] : [product]), ...(products ?? [])];
  if (words.length === 0) throw new UsageError('invalid_option', `${name} needs a "product" or "products".`);
  return [...new Set(words.map((word) => dialect.key(word)))];
}

/** Positions by the key of updates, as the trackers of an entry name them. */
function ownPlaces(
  { key, channel }: Entry,
  places: ReadonlyMap<string, Position> | null,
): ReadonlyMap<string, Position> | null {
  if (places === null) return null;
  const own = new Map<string, Position>();
  for (const [name, position] of places) {
    if (!channel.perAccount) {
      if (name === key) own.set('', position);
    } else if (key === '' || name.startsWith(`${key}/`)) {
      own.set(name.slice(name.lastIndexOf('/') + 1), position);
    }
  }
  return own;
}

async function consume(
  subscription: AsyncIterable<FeedUpdate>,
  onUpdate: (update: FeedUpdate) => unknown,
): Promise<void> {
  let pending: unknown;
  // The emitter reports what a listener throws, as for every other listener.
  const calls = createEmitter<{ update: FeedUpdate; failure: unknown }>();
  calls.on('update', (update) => {
    pending = onUpdate(update);
  });
  calls.on('failure', (error) => {
    throw error;
  });
  try {
    for await (const update of subscription) {
      pending = undefined;
      calls.emit('update', update);
      if (pending instanceof Promise) await pending.catch((error: unknown) => calls.emit('failure', error));
    }
  } catch {
    // `ready` and the feed's events tell why it ended.
  }
}

async function* statesOf(main: Lane, events: Listenable<FeedEvents>): AsyncGenerator<LinkState, void> {
  let wake = () => {};
  let newest: LinkState | null = main.state;
  const stop = events.on('state', ({ lane, state }) => {
    if (lane !== 0) return;
    newest = state;
    wake();
  });
  try {
    for (;;) {
      if (newest === null) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
        continue;
      }
      const state: LinkState = newest;
      newest = null;
      yield state;
      if (state.status === 'closed') return;
    }
  } finally {
    stop();
  }
}
