/** Order books that keep themselves right: fed by one stream, stale whenever they may not be the present. */
import { UsageError } from '../errors.ts';
import { createEmitter, type Emitter, type Listenable } from '../events.ts';
import type { Sink } from '../feed/sink.ts';
import type { FeedUpdate, ResyncReason } from '../feed/update.ts';
import { Book, type LevelChange } from './book.ts';
import type { Level } from './side.ts';

export interface OrderBookEvents {
  /** Levels changed; `levels` absolute, in the order they came. `snapshot`: the whole book was replaced. */
  change: { readonly type: 'snapshot' | 'update'; readonly levels: readonly LevelChange[] };
  /** Do not trade on it until `live`. */
  stale: { readonly reason: ResyncReason };
  live: Record<string, never>;
  /** It ended: refused, or the feed was closed. */
  ended: { readonly error: Error | null };
}

export interface OrderBook extends Listenable<OrderBookEvents> {
  /** Product or instrument. */
  readonly product: string;
  /** True before the first snapshot, after a gap or a lost connection until it is mended, and after the end. */
  readonly stale: boolean;
  /** Of the stream, at what the book shows; null where the server numbers no streams. */
  readonly sequence: number | null;
  readonly epoch: string | null;
  /** When the server says that it last changed, milliseconds since 1970. */
  readonly time: number | null;
  readonly bestBid: Level | null;
  readonly bestAsk: Level | null;
  /** Best first. @param depth default all */
  bids(depth?: number): Level[];
  /** Best first. @param depth default all */
  asks(depth?: number): Level[];
  /** Both sides, best first. */
  depth(levels: number): { bids: Level[]; asks: Level[] };
  /** The gateway's checksum of the same book: see `Book.checksum`. */
  checksum(): number;
  /** Resolves when it is live for the first time; rejects if it never will be. */
  readonly ready: Promise<void>;
  /** Idempotent. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface BookStreamOptions {
  levels(data: unknown): LevelChange[] | null;
  /** Asks for a snapshot of the stream. */
  refresh(): void;
  /** The last book was closed. */
  leave(): Promise<void>;
  /** Item of updates that name none: the stream has one book. */
  only: string | null;
}

interface Kept {
  readonly book: Book;
  /** A snapshot has come since the last time it could not be trusted. */
  seen: boolean;
  time: number | null;
}

/** The books of one stream. Books that nobody looks at are kept as well: their snapshot will not come again. */
export class BookStream implements Sink {
  readonly #options: BookStreamOptions;
  readonly #kept = new Map<string, Kept>();
  readonly #views = new Map<string, Set<View>>();
  #live = false;
  #ended = false;
  sequence: number | null = null;
  epoch: string | null = null;

  constructor(options: BookStreamOptions) {
    this.#options = options;
  }

  get isLive(): boolean {
    return this.#live;
  }

  get ended(): boolean {
    return this.#ended;
  }

  view(product: string): OrderBook {
    const view = new View(this, product, this.#keep(product));
    const views = this.#views.get(product) ?? new Set();
    this.#views.set(product, views.add(view));
    view.look();
    return view;
  }

  async drop(view: View): Promise<void> {
    const views = this.#views.get(view.product);
    views?.delete(view);
    if (views?.size === 0) this.#views.delete(view.product);
    if (this.#views.size > 0 || this.#ended) return;
    this.#ended = true;
    await this.#options.leave();
  }

  deliver(update: FeedUpdate): void {
    if (update.type === 'resync') {
      if (update.recovered) return;
      this.#live = false;
      for (const kept of this.#kept.values()) kept.seen = false;
      this.#each((view) => view.turnStale(update.reason));
      return;
    }
    const product = update.item ?? this.#options.only ?? update.key;
    const levels = this.#options.levels(update.data);
    const kept = this.#keep(product);
    const snapshot = update.type === 'snapshot';
    // A stream of several books tells of a new one by its first change: it begins empty.
    const begins = !kept.seen && !snapshot && this.#options.only === null && this.#live;
    if (begins) kept.book.clear();
    const applied =
      levels !== null &&
      (snapshot ? kept.book.reset(levels) : (kept.seen || begins) && kept.book.apply(levels));
    if (!applied) {
      kept.seen = false;
      this.#each((view) => view.turnStale('malformed'), product);
      this.#options.refresh();
      return;
    }
    kept.seen = true;
    kept.time = update.time;
    this.sequence = update.sequence;
    this.epoch = update.epoch;
    this.#each((view) => {
      view.look();
      view.events.emit('change', { type: update.type, levels });
    }, product);
  }

  stale(reason: ResyncReason): void {
    this.#live = false;
    this.#each((view) => view.turnStale(reason));
  }

  live(): void {
    this.#live = true;
    this.#each((view) => view.look());
  }

  failed(error: Error | null): void {
    this.#live = false;
    this.#ended = true;
    this.#each((view) => view.end(error));
    this.#views.clear();
  }

  #keep(product: string): Kept {
    let kept = this.#kept.get(product);
    if (kept === undefined) {
      kept = { book: new Book(), seen: false, time: null };
      this.#kept.set(product, kept);
    }
    return kept;
  }

  #each(tell: (view: View) => void, product?: string): void {
    if (product !== undefined) {
      for (const view of this.#views.get(product) ?? []) tell(view);
      return;
    }
    for (const views of this.#views.values()) for (const view of views) tell(view);
  }
}

class View implements OrderBook {
  readonly product: string;
  readonly events: Emitter<OrderBookEvents> = createEmitter<OrderBookEvents>();
  readonly on: Emitter<OrderBookEvents>['on'] = this.events.on;
  readonly ready: Promise<void>;
  readonly #stream: BookStream;
  readonly #kept: Kept;
  #stale = true;
  #closed = false;
  #resolve: () => void = () => {};
  #reject: (error: unknown) => void = () => {};

  constructor(stream: BookStream, product: string, kept: Kept) {
    this.#stream = stream;
    this.product = product;
    this.#kept = kept;
    this.ready = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.ready.catch(() => {});
  }

  get stale(): boolean {
    return this.#stale;
  }

  get sequence(): number | null {
    return this.#stream.sequence;
  }

  get epoch(): string | null {
    return this.#stream.epoch;
  }

  get time(): number | null {
    return this.#kept.time;
  }

  get bestBid(): Level | null {
    return this.#kept.book.bestBid;
  }

  get bestAsk(): Level | null {
    return this.#kept.book.bestAsk;
  }

  bids(depth?: number): Level[] {
    return this.#kept.book.bids(depth);
  }

  asks(depth?: number): Level[] {
    return this.#kept.book.asks(depth);
  }

  depth(levels: number): { bids: Level[]; asks: Level[] } {
    return { bids: this.bids(levels), asks: this.asks(levels) };
  }

  checksum(): number {
    return this.#kept.book.checksum();
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.end(null);
    await this.#stream.drop(this);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Live if the stream is and its snapshot has come. */
  look(): void {
    if (!this.#stale || this.#closed || !this.#stream.isLive || !this.#kept.seen) return;
    this.#stale = false;
    this.#resolve();
    this.events.emit('live', {});
  }

  turnStale(reason: ResyncReason): void {
    if (this.#stale) return;
    this.#stale = true;
    this.events.emit('stale', { reason });
  }

  end(error: Error | null): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#stale = true;
    this.#reject(error ?? new UsageError('closed', 'The book was closed.'));
    this.events.emit('ended', { error });
  }
}
