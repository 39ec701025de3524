/** Subscriptions and books of one client, whatever carries them: what is wanted becomes entries, and goes with them. */
import type { LevelChange } from '../books/book.ts';
import { BookStream, type OrderBook } from '../books/order-book.ts';
import { type CountersignError, UsageError } from '../errors.ts';
import { createEmitter } from '../events.ts';
import type { ChannelInfo } from './channel.ts';
import type { BookPlace } from './dialect.ts';
import type { Entry } from './entry.ts';
import type { Sink } from './sink.ts';
import { type Backpressure, QueuedSubscription, type Subscription } from './subscription.ts';
import type { FeedUpdate, Position } from './update.ts';

export interface SubscribeOptions {
  channel: string;
  /** For channels keyed by product. */
  product?: string;
  products?: readonly string[];
  /** For channels keyed by market type: `inclusionPreconf` or `wholeBlock`. */
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

/** An entry and whoever carries it. */
export interface Place {
  readonly entry: Entry;
  /** Nobody wants it any more. */
  release(): Promise<void>;
}

export interface StreamsOptions {
  readonly channels: ReadonlyMap<string, ChannelInfo>;
  /** @throws UsageError */
  join(channel: ChannelInfo, key: string, extra: Readonly<Record<string, unknown>>): Place;
  /** What a user's word for a product or market stands for. */
  key(word: string): string;
  levels(data: unknown): LevelChange[] | null;
  mergeBooks(older: unknown, newer: unknown): unknown;
}

export class Streams {
  readonly #options: StreamsOptions;
  readonly #subscriptions = new Set<QueuedSubscription>();
  readonly #books = new Map<Entry, BookStream>();
  #open = true;

  constructor(options: StreamsOptions) {
    this.#options = options;
  }

  /** @throws UsageError */
  subscribe(given: SubscribeOptions, onUpdate?: (update: FeedUpdate) => unknown): Subscription {
    this.check();
    const { key: keyOf, mergeBooks } = this.#options;
    const channel = this.channel(given.channel);
    if (given.signal?.aborted) throw given.signal.reason;
    const keys = keysOf(channel, given, keyOf);
    const leaving: (() => Promise<void>)[] = [];
    const subscription = new QueuedSubscription({
      channel,
      backpressure: given.backpressure ?? { mode: 'buffer' },
      mergeBooks,
      leave: async () => {
        this.#subscriptions.delete(subscription);
        given.signal?.removeEventListener('abort', abort);
        await Promise.all(leaving.map((one) => one()));
      },
    });
    const abort = () => subscription.fail(given.signal?.reason);
    for (const key of keys) {
      const place = this.#options.join(channel, key, given.args ?? {});
      const { entry } = place;
      const sink: Sink = subscription.sink({
        // Others have seen what this one has not: they cannot go back with it.
        refresh: (places) => entry.refresh('slow', entry.sinks.size === 1 ? ownPlaces(entry, places) : null),
      });
      leaving.push(() => leave(place, sink));
      const since = given.recover === undefined ? null : new Map(Object.entries(given.recover));
      entry.add(sink, ownPlaces(entry, since));
    }
    this.#subscriptions.add(subscription);
    given.signal?.addEventListener('abort', abort, { once: true });
    if (onUpdate !== undefined) void consume(subscription, onUpdate);
    return subscription;
  }

  /** @throws UsageError */
  orderBook({ channel, key, product, only }: BookPlace): OrderBook {
    this.check();
    const place = this.#options.join(this.channel(channel), key, {});
    const { entry } = place;
    const known = this.#books.get(entry);
    if (known !== undefined && !known.ended) return known.view(product);
    const stream: BookStream = new BookStream({
      levels: this.#options.levels,
      only,
      refresh: () => entry.refresh('malformed', null),
      leave: (): Promise<void> => {
        if (this.#books.get(entry) === stream) this.#books.delete(entry);
        return leave(place, stream);
      },
    });
    this.#books.set(entry, stream);
    const view = stream.view(product);
    entry.add(stream, null);
    return view;
  }

  /** @throws UsageError naming the channels there are: the live service calls a misspelt one a failed authentication */
  channel(name: string): ChannelInfo {
    const channel = this.#options.channels.get(name);
    if (channel !== undefined) return channel;
    const known = [...this.#options.channels.keys()].join(', ');
    throw new UsageError('invalid_option', `There is no channel "${name}". Channels: ${known}.`);
  }

  /** @throws UsageError `closed` */
  check(): void {
    if (!this.#open) throw new UsageError('closed', 'The client is closed.');
  }

  /** Takes nothing new. Resolves when consumers have taken what waits for them. */
  async drain(): Promise<void> {
    this.#open = false;
    await Promise.all([...this.#subscriptions].map((one) => one.drained()));
  }

  /** Ends everything: quietly, or with what its consumers are to be told. */
  end(error: CountersignError | null): void {
    this.#open = false;
    for (const subscription of [...this.#subscriptions]) {
      if (error === null) void subscription.close();
      else subscription.fail(error);
    }
    for (const book of this.#books.values()) book.failed(error);
    this.#books.clear();
  }
}

function leave({ entry, release }: Place, sink: Sink): Promise<void> {
  entry.sinks.delete(sink);
  return entry.sinks.size === 0 ? release() : Promise.resolve();
}

function keysOf(
  { name, keyedBy }: ChannelInfo,
  { product, products, market }: SubscribeOptions,
  key: (word: string) => string,
): string[] {
  if (keyedBy === 'nothing') return [''];
  if (keyedBy === 'market') {
    if (market === undefined) throw new UsageError('invalid_option', `${name} needs a "market".`);
    return [market];
  }
  const words = [...(product === undefined ? [] : [product]), ...(products ?? [])];
  if (words.length === 0) throw new UsageError('invalid_option', `${name} needs a "product" or "products".`);
  return [...new Set(words.map(key))];
}

/** Positions by the key of updates, as the trackers of an entry name them. */
function ownPlaces<Where extends Position | null>(
  { key, channel }: Entry,
  places: ReadonlyMap<string, Where> | null,
): ReadonlyMap<string, Where> | null {
  if (places === null) return null;
  const own = new Map<string, Where>();
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
    // `ready` and the events of the client tell why it ended.
  }
}
