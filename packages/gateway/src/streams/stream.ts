/** What this node knows of one stream: where it stands, and the state that a new subscriber needs. */
import type { History } from '../broker/broker.ts';
import { Ring } from '../broker/ring.ts';
import { Book } from './book.ts';
import type { Channel } from './channel.ts';
import type { Snapshot } from './encoder.ts';
import { type BookChange, type Position, type Publication, type StreamId, streamId } from './publication.ts';

export interface StreamLimits {
  /** Most items in one stream; beyond it the one longest without a publication is dropped. Default 10,000. */
  items: number;
  /** Newest publications in the snapshot of a `log`; never more than the channel's history. Default 50. */
  tail: number;
  /** Most levels per side of a book. Default 100,000. */
  levels: number;
}

/**
 * What applying a publication means for readers:
 *
 * - `show`: send it
 * - `hide`: it changes a book whose beginning nobody here has seen; a reader could make nothing of it
 * - `resync`: the state changed in a way that the publication alone does not tell; send the snapshot
 */
export type Effect = 'show' | 'hide' | 'resync';

interface KeptBook {
  book: Book;
  time: number;
}

export class Stream {
  readonly id: StreamId;
  readonly channel: Channel;
  readonly key: string;
  epoch = '';
  sequence = 0;
  /** False until it is known what was published before this node looked. */
  loaded = false;

  readonly #limits: StreamLimits;
  readonly #now: () => number;
  readonly #recent: Ring<Publication>;
  /** For `latest`; longest without a publication first. */
  readonly #items = new Map<string, Publication>();
  readonly #books = new Map<string, KeptBook>();
  #newestBook: string | null = null;
  /** False when some of the stream's past is lost: then an item without a kept book does not begin empty. */
  #wholePast = true;
  #time: number | null = null;
  #snapshot: Snapshot | null = null;

  /** @param now wall clock, for the time of a snapshot of nothing */
  constructor(channel: Channel, key: string, limits: StreamLimits, now: () => number) {
    this.id = streamId(channel.name, key);
    this.channel = channel;
    this.key = key;
    this.#limits = limits;
    this.#now = now;
    this.#recent = new Ring(channel.history);
  }

  get position(): Position {
    return { epoch: this.epoch, sequence: this.sequence };
  }

  /** Whether the publication is the one after the newest, one already applied, or beyond a hole. */
  place(publication: Publication): 'next' | 'seen' | 'hole' {
    if (publication.epoch !== this.epoch) return 'hole';
    if (publication.sequence === this.sequence + 1) return 'next';
    return publication.sequence <= this.sequence ? 'seen' : 'hole';
  }

  /** Forgets everything: an epoch begins. */
  begin(epoch: string): void {
    this.epoch = epoch;
    this.sequence = 0;
    this.loaded = true;
    this.#wholePast = true;
    this.#time = null;
    this.#snapshot = null;
    this.#recent.clear();
    this.#items.clear();
    this.#books.clear();
  }

  /** Starts from what the broker remembers instead of from what is here. */
  load(history: History): void {
    this.begin(history.head.epoch);
    this.#wholePast = history.complete;
    for (const publication of history.complete ? history.publications : history.tail) this.apply(publication);
    this.sequence = history.head.sequence;
  }

  /**
   * Takes the next publication. It must be that, see {@link place}; only while loading may sequences jump.
   * A book change that is malformed or too large costs the book of its item, until the next `reset`.
   */
  apply(publication: Publication): Effect {
    this.sequence = publication.sequence;
    this.#snapshot = null;
    this.#time = publication.time;
    this.#recent.push(publication);
    if (this.channel.kind === 'latest') this.#foldLatest(publication);
    return this.channel.kind === 'book' ? this.#foldBook(publication) : 'show';
  }

  /** Everything after a position, oldest first, or null if that is not all here. */
  since(position: Position): Publication[] | null {
    const missed = this.sequence - position.sequence;
    if (position.epoch !== this.epoch || !Number.isInteger(missed)) return null;
    return missed >= 0 && missed <= this.#recent.length ? this.#recent.newest(missed) : null;
  }

  /** The state at {@link position}. The same object until the next publication. */
  snapshot(): Snapshot {
    if (this.#snapshot !== null) return this.#snapshot;
    const { kind } = this.channel;
    const books = new Map<string, { levels: ReturnType<Book['levels']>; checksum: number; time: number }>();
    for (const [item, { book, time }] of this.#books) {
      books.set(item, { levels: book.levels(), checksum: book.checksum(), time });
    }
    this.#snapshot = {
      channel: this.channel,
      key: this.key,
      position: this.position,
      time: this.#time ?? this.#now(),
      publications:
        kind === 'latest'
          ? [...this.#items.values()]
          : kind === 'log'
            ? this.#recent.newest(this.#limits.tail)
            : [],
      books,
    };
    return this.#snapshot;
  }

  /** Nobody reads it: drops what only readers need. */
  rest(): void {
    this.#snapshot = null;
  }

  #foldLatest(publication: Publication): void {
    const item = publication.item ?? '';
    this.#items.delete(item);
    if (publication.remove === true) return;
    this.#items.set(item, publication);
    if (this.#items.size > this.#limits.items) dropOldest(this.#items);
  }

  #foldBook(publication: Publication): Effect {
    const item = publication.item ?? '';
    const kept = this.#books.get(item);
    if (publication.remove === true) {
      this.#books.delete(item);
      return kept || this.#wholePast ? 'show' : 'hide';
    }
    const begins = kept === undefined && !this.#wholePast;
    try {
      const change = publication.data as unknown as BookChange;
      if (begins && change.reset !== true) return 'hide';
      this.#keep(item, kept ?? { book: new Book(this.#limits.levels), time: 0 }).book.apply(change);
    } catch {
      this.#books.delete(item);
      this.#wholePast = false;
      return 'resync';
    }
    this.#books.get(item)!.time = publication.time;
    return begins ? 'resync' : 'show';
  }

  /** Puts a book at the end of the line of those to be dropped. */
  #keep(item: string, kept: KeptBook): KeptBook {
    if (this.#newestBook === item && this.#books.has(item)) return kept;
    this.#newestBook = item;
    this.#books.delete(item);
    this.#books.set(item, kept);
    if (this.#books.size > this.#limits.items) dropOldest(this.#books);
    return kept;
  }
}

function dropOldest(map: Map<string, unknown>): void {
  const oldest = map.keys().next();
  if (oldest.done !== true) map.delete(oldest.value);
}
