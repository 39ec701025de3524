/**
 * A feed: market data and account streams over one WebSocket that looks after itself. It connects, signs in, subscribes
 * again after every loss, notices what is missing, and says so in the stream at the very place.
 */
import type { OrderBook } from '../books/order-book.ts';
import { type Clock, systemClock } from '../clock.ts';
import type { Credential } from '../credential.ts';
import { type CountersignError, UsageError } from '../errors.ts';
import { createEmitter, type Listenable } from '../events.ts';
import { randomFraction } from '../random.ts';
import type { LinkState } from '../transport/link.ts';
import { checkUrl, type SocketConstructor, socketConstructor } from '../transport/socket.ts';
import type { ChannelInfo } from './channel.ts';
import type { FeedDialect } from './dialect.ts';
import { Lane } from './lane.ts';
import { Streams, type SubscribeOptions } from './streams.ts';
import type { Subscription } from './subscription.ts';
import type { FeedUpdate, ResyncReason } from './update.ts';

export interface FeedOptions {
  /** `ws:` or `wss:`, without user name and password. */
  url: string;
  /** `ethgasDialect()` or `coinbaseDialect()`. */
  dialect: FeedDialect;
  /** For private channels: a wallet session, an API key. */
  credential?: Credential;
  /** Default: the platform's. Node 20 has none: take `NodeWebSocket` of `@countersign/client/node`. */
  WebSocket?: SocketConstructor;
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
  /** Requests per second and connection. Default 50; 8 where `sequence` is `connection`, as the live service allows. */
  requestsPerSecond?: number;
  /** Ends the feed as `close` does. */
  signal?: AbortSignal;
  clock?: Clock;
  /** A number in [0, 1), for jitter. Default: the platform's secure source. */
  random?: () => number;
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

/** @throws UsageError `invalid_option` */
export function createFeed(options: FeedOptions): Feed {
  const url = checkUrl(options.url);
  const WebSocket = socketConstructor(options.WebSocket);
  const clock = options.clock ?? systemClock;
  const random = options.random ?? randomFraction;
  const { dialect } = options;
  if (typeof (dialect as unknown) === 'string') {
    throw new UsageError('invalid_option', 'dialect: ethgasDialect() or coinbaseDialect().');
  }
  const events = createEmitter<FeedEvents>();
  const lanes: Lane[] = [];
  const counts = { logins: 0, requests: 0, gaps: 0, duplicates: 0, recovered: 0, lost: 0 };
  let over: { error: CountersignError | null } | null = null;
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
      rate: options.requestsPerSecond ?? dialect.requestsPerSecond,
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

  const streams = new Streams({
    channels: dialect.channels,
    join(channel, key, extra) {
      const lane = laneFor(channel, key);
      const entry = lane.entry({ channel, key, extra });
      lane.open();
      return { entry, release: () => lane.release(entry) };
    },
    key: dialect.key,
    levels: dialect.levels,
    mergeBooks: dialect.mergeBooks,
  });

  async function finish(error: CountersignError | null): Promise<void> {
    if (over !== null) return;
    over = { error };
    options.signal?.removeEventListener('abort', abort);
    streams.end(error);
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
    subscribe: streams.subscribe.bind(streams) as Feed['subscribe'],

    orderBook(product, { market } = {}) {
      return streams.orderBook(dialect.book(product, market));
    },

    open() {
      streams.check();
      main.open();
    },

    async drain(limit = 30_000) {
      let cancel = () => {};
      const late = new Promise<void>((resolve) => {
        cancel = clock.after(limit, resolve);
      });
      await Promise.race([streams.drain(), late]);
      cancel();
      await close();
    },
    close,
    [Symbol.asyncDispose]: close,
  };
  return feed;
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
