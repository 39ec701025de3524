/** What a client of the Socket.IO door is: its options, states and events. */
import type { OrderBook } from '../books/order-book.ts';
import type { Clock } from '../clock.ts';
import type { Credential } from '../credential.ts';
import type { CountersignError } from '../errors.ts';
import type { Listenable } from '../events.ts';
import type { SubscribeOptions } from '../feed/streams.ts';
import type { Subscription } from '../feed/subscription.ts';
import type { FeedUpdate, ResyncReason } from '../feed/update.ts';

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
