/** What a subscriber holds: updates in order, with a bound on how far it may fall behind. */
import { CountersignError, UsageError } from '../errors.ts';
import type { ChannelInfo } from './channel.ts';
import type { Sink } from './sink.ts';
import type { FeedUpdate, Position, StreamUpdate } from './update.ts';

/**
 * What happens to a subscriber that does not keep up:
 *
 * - `buffer`: up to `capacity` updates wait. What comes after that is given up; as soon as the subscriber has taken
 *   those, the streams begin again from there, or from a snapshot, after a `resync` with reason `slow`
 * - `conflate`: of each item only the newest value waits; changes of a book are merged. Not for channels where every
 *   entry counts
 * - `fail`: the subscription ends with an error
 */
export interface Backpressure {
  mode: 'buffer' | 'conflate' | 'fail';
  /** Updates that may wait; for `conflate` items. Default 10,000. */
  capacity?: number;
}

export type SubscriptionStatus = 'joining' | 'live' | 'stale' | 'ended';

export interface Subscription<Data = unknown> extends AsyncIterable<FeedUpdate<Data>> {
  /**
   * - `joining`: the server has not answered yet, or there is no connection
   * - `live`: what was handed out and what waits is the present
   * - `stale`: it is not, and that is being mended
   * - `ended`: by you, or for the reason that the iterator throws
   */
  readonly status: SubscriptionStatus;
  /** Resolves when all of it has become live for the first time; rejects if the server refuses it. */
  readonly ready: Promise<void>;
  /** Updates that wait to be taken. */
  readonly queued: number;
  /** Only one consumer at a time. Throws what ended the subscription; ends quietly after `close`. */
  [Symbol.asyncIterator](): AsyncIterator<FeedUpdate<Data>, undefined>;
  /** Resolves when the server has stopped sending it, or cannot any more. Idempotent. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Where streams are to go on, by name; null: with a snapshot. Those that are not named go on where they are. */
export type Places = ReadonlyMap<string, Position | null>;

/** One stream of a subscription, as the queue needs it. */
export interface Source {
  /** Asks for the stream anew. @param since where to go on, by the key of updates; null for a snapshot */
  refresh(since: Places): void;
}

export interface QueueOptions {
  channel: ChannelInfo;
  backpressure: Backpressure;
  mergeBooks(older: unknown, newer: unknown): unknown;
  /** Gives up the streams. */
  leave(): Promise<void>;
}

interface Waiting {
  resolve(result: IteratorResult<FeedUpdate, undefined>): void;
  reject(error: unknown): void;
}

const DEFAULT_CAPACITY = 10_000;

export class QueuedSubscription implements Subscription {
  readonly #options: QueueOptions;
  readonly #capacity: number;
  readonly #conflates: boolean;
  readonly #sources = new Map<Sink, { source: Source; status: SubscriptionStatus; was: boolean }>();
  /** In order; for `conflate` by item, else by number. */
  readonly #queue = new Map<unknown, FeedUpdate>();
  #next = 0;
  #waiting: Waiting[] = [];
  /** What was given up, and where to go on once the consumer has caught up; null while nothing was. */
  #lost: Map<Sink, Map<string, Position | null>> | null = null;
  /** Sinks that deliver nothing until their stream has begun again. */
  readonly #deaf = new Set<Sink>();
  #ended: { error: unknown } | { error?: never } | null = null;
  #leaving: Promise<void> | null = null;
  #onEmpty: () => void = () => {};
  #resolveReady: () => void = () => {};
  #rejectReady: (error: unknown) => void = () => {};
  readonly ready: Promise<void>;

  /** @throws UsageError for a way of falling behind that the channel does not have */
  constructor(options: QueueOptions) {
    this.#options = options;
    const { mode, capacity = DEFAULT_CAPACITY } = options.backpressure;
    if (!['buffer', 'conflate', 'fail'].includes(mode) || !Number.isInteger(capacity) || capacity < 1) {
      throw new UsageError(
        'invalid_option',
        'backpressure: a mode of buffer, conflate or fail; a capacity from 1.',
      );
    }
    if (mode === 'conflate' && options.channel.kind === 'log') {
      throw new UsageError(
        'invalid_option',
        `Every entry of ${options.channel.name} counts: it cannot be conflated.`,
      );
    }
    this.#capacity = capacity;
    this.#conflates = mode === 'conflate';
    this.ready = new Promise((resolve, reject) => {
      this.#resolveReady = resolve;
      this.#rejectReady = reject;
    });
    // Whoever awaits it sees the rejection, and so does the iterator: nobody has to look at both.
    this.ready.catch(() => {});
  }

  get status(): SubscriptionStatus {
    if (this.#ended !== null) return 'ended';
    const all = [...this.#sources.values()].map(({ status }) => status);
    if (all.includes('stale') || this.#lost !== null || this.#deaf.size > 0) return 'stale';
    return all.includes('joining') ? 'joining' : 'live';
  }

  get queued(): number {
    return this.#queue.size;
  }

  /** A stream of the subscription; what comes back is to be added to it. */
  sink(source: Source): Sink {
    const state = { source, status: 'joining' as SubscriptionStatus, was: false };
    const sink: Sink = {
      deliver: (update) => this.#deliver(sink, update),
      stale: () => {
        state.status = 'stale';
      },
      live: () => {
        state.status = 'live';
        state.was = true;
        for (const other of this.#sources.values()) if (!other.was) return;
        this.#resolveReady();
      },
      failed: (error) => this.fail(error),
    };
    this.#sources.set(sink, state);
    return sink;
  }

  next(): Promise<IteratorResult<FeedUpdate, undefined>> {
    for (const [id, update] of this.#queue) {
      this.#queue.delete(id);
      if (this.#queue.size === 0) this.#onEmpty();
      return Promise.resolve({ done: false, value: update });
    }
    if (this.#ended !== null) {
      if (!('error' in this.#ended)) return Promise.resolve({ done: true, value: undefined });
      const { error } = this.#ended;
      this.#ended = {};
      return Promise.reject(error);
    }
    this.#caughtUp();
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  async return(): Promise<IteratorResult<FeedUpdate, undefined>> {
    await this.close();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): AsyncIterator<FeedUpdate, undefined> {
    return this;
  }

  async close(): Promise<void> {
    this.#queue.clear();
    this.#onEmpty();
    await this.#finish();
  }

  /** No more updates come. Resolves when those that wait have been taken. */
  drained(): Promise<void> {
    void this.#finish();
    if (this.#queue.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#onEmpty = resolve;
    });
  }

  #finish(): Promise<void> {
    this.#end({});
    this.#leaving ??= this.#options.leave();
    return this.#leaving;
  }

  fail(error: unknown): void {
    if (this.#ended !== null) return;
    this.#end({ error });
    this.#leaving ??= this.#options.leave();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #end(ended: { error: unknown } | { error?: never }): void {
    if (this.#ended !== null) return;
    this.#ended = ended;
    const failed = 'error' in ended;
    if (failed) this.#rejectReady(ended.error);
    else this.#rejectReady(new CountersignError('closed', 'The subscription was closed.'));
    const waiting = this.#waiting;
    this.#waiting = [];
    waiting.forEach(({ resolve, reject }, index) => {
      if (failed && index === 0) {
        this.#ended = {};
        reject(ended.error);
      } else resolve({ done: true, value: undefined });
    });
  }

  #deliver(sink: Sink, update: FeedUpdate): void {
    if (this.#ended !== null) return;
    if (this.#deaf.has(sink)) {
      if (update.type !== 'resync') return;
      this.#deaf.delete(sink);
    }
    if (this.#lost !== null) return this.#giveUp(this.#lost, sink, update);
    const waiting = this.#waiting.shift();
    if (waiting !== undefined) {
      waiting.resolve({ done: false, value: update });
      return;
    }
    if (this.#queue.size >= this.#capacity && !this.#fits(update)) return this.#overflow(sink, update);
    if (this.#conflates) this.#conflate(update);
    else this.#queue.set(this.#next++, update);
  }

  /** It takes the place of one that waits. */
  #fits(update: FeedUpdate): boolean {
    return this.#conflates && this.#queue.has(conflationId(update));
  }

  #conflate(update: FeedUpdate): void {
    const { key } = update;
    if (update.type === 'resync') {
      // What waits of this stream is part of a past that the snapshot to come replaces.
      if (!update.recovered) this.#dropStream(key);
      this.#queue.set(conflationId(update), update);
      return;
    }
    const id = conflationId(update);
    const older = this.#queue.get(id) as StreamUpdate | undefined;
    const book = this.#options.channel.kind === 'book' && older !== undefined && update.type === 'update';
    const merged: StreamUpdate = book
      ? { ...update, type: older.type, data: this.#options.mergeBooks(older.data, update.data) }
      : update;
    // Behind what came in between, so that sequences stay in order.
    this.#queue.delete(id);
    this.#queue.set(id, merged);
  }

  #dropStream(key: string): void {
    for (const [id, update] of this.#queue) if (update.key === key) this.#queue.delete(id);
  }

  #overflow(sink: Sink, update: FeedUpdate): void {
    if (this.#options.backpressure.mode === 'fail') {
      this.#queue.clear();
      this.fail(
        new CountersignError('slow_consumer', `More than ${this.#capacity} updates waited to be taken.`),
      );
      return;
    }
    this.#lost = new Map();
    this.#giveUp(this.#lost, sink, update);
  }

  /** Of each stream the first that is given up says where to go on. */
  #giveUp(lost: Map<Sink, Map<string, Position | null>>, sink: Sink, update: FeedUpdate): void {
    const places = lost.get(sink) ?? new Map<string, Position | null>();
    lost.set(sink, places);
    if (places.has(update.key) || (update.type === 'resync' && update.recovered)) return;
    const numbered =
      update.type === 'update' && update.epoch !== null && update.sequence !== null && !this.#conflates;
    places.set(
      update.key,
      numbered ? { epoch: update.epoch ?? '', sequence: (update.sequence ?? 1) - 1 } : null,
    );
  }

  /** The consumer has seen everything that it was given: time to give it the rest. */
  #caughtUp(): void {
    const lost = this.#lost;
    if (lost === null) return;
    this.#lost = null;
    for (const [sink, places] of lost) {
      this.#deaf.add(sink);
      this.#sources.get(sink)?.source.refresh(places);
    }
  }
}

/** Under which an update waits where only the newest counts. */
const conflationId = (update: FeedUpdate): string =>
  update.type === 'resync' ? `resync\n${update.key}` : `${update.key}\n${update.item ?? ''}`;
