/** The venue of a soak: numbered entries in logs, public and private, and books whose checksums are written down. */
import { randomBytes } from 'node:crypto';
import { type BookTruth, VenueBook } from './soak-truth.ts';

interface Taken {
  results: { epoch: string; sequence: number; stream: string }[];
}

export interface PublisherOptions {
  /** Of the internal listener. */
  url: string;
  /** The backend's. */
  token: string;
  draw: (below: number) => number;
  truth: BookTruth;
  /**
   * Repeats what was not taken, under its idempotency key, until it is: where what was published outlives the gateway
   * that took it. Otherwise its number is left out. Default false.
   */
  insists?: boolean;
}

/** Milliseconds from one attempt to the next. */
const AGAIN = 50;

export class SoakPublisher {
  readonly #options: PublisherOptions;
  readonly #books: { channel: string; key: string; item?: string; book: VenueBook }[];
  /** Where the private entries go: one stream for each reader. */
  readonly #private: { channel: string; key: string }[] = [];
  readonly #epochs = new Map<string, string>();
  readonly #run = randomBytes(6).toString('hex');
  #fresh = true;
  #closed = false;
  #number = 1;
  #privateNumber = 1;
  #beats = 0;
  published = 0;
  /** Batches of which it is not known whether they were taken. Their numbers are not used again. */
  unsure = 0;
  /** Epochs of books that were begun while it published. */
  epochs = 0;

  constructor(options: PublisherOptions) {
    this.#options = options;
    this.#books = [
      { channel: 'level2', key: 'ETH-USD', book: new VenueBook(options.draw) },
      {
        channel: 'orderBookUpdate',
        key: 'wholeBlock',
        item: 'ETH-WB-1',
        book: new VenueBook(options.draw),
      },
    ];
  }

  /** The newest number in the public logs. */
  get newest(): number {
    return this.#number - 1;
  }

  /** Begins the private stream of a reader, and learns its name. @throws Error if it was not taken */
  async addReader(userId: number, channel: 'user' | 'accountTransactionUpdate'): Promise<void> {
    const event = { ...(channel === 'user' ? {} : { key: 'wholeBlock' }), channel, data: entry(channel, 0) };
    const taken = await this.#post(`/users/${userId}/events`, event);
    if (taken === null) throw new Error('an event was not taken');
    for (const { stream } of taken.results) {
      this.#private.push({ channel, key: stream.slice(channel.length + 1) });
    }
  }

  /** The gateway came back without what it had in memory: books begin anew. */
  restarted(): void {
    this.#fresh = true;
  }

  /** One entry for each public log and one change of each book. */
  async publish(): Promise<void> {
    const n = String(this.#number);
    this.#number += 1;
    const drafts = this.#books.map(({ channel, key, item, book }) => {
      const levels = book.change(this.#options.draw);
      const data = this.#fresh ? { reset: true, levels: book.levels() } : { levels };
      return { channel, key, ...(item === undefined ? {} : { item }), data };
    });
    const done = await this.#take(`p${n}`, [
      {
        channel: 'market_trades',
        key: 'ETH-USD',
        data: { trades: [{ trade_id: n, product_id: 'ETH-USD' }] },
      },
      { channel: 'recentTradeUpdate', key: 'wholeBlock', data: { n } },
      ...drafts,
    ]);
    const whole = this.#fresh;
    // Whether it was taken is not known: the books begin anew, and the number is left out.
    this.#fresh = done === null;
    done?.results.slice(2).forEach(({ stream, epoch, sequence }, index) => {
      const { truth } = this.#options;
      const begun = this.#epochs.get(stream) !== epoch;
      this.#epochs.set(stream, epoch);
      if (begun && !whole) {
        // A change of a book that is not there any more: the next one is the whole book.
        this.epochs += 1;
        this.#fresh = true;
        return;
      }
      const { book } = this.#books[index]!;
      const checksum = truth.isWhole(sequence) ? book.whole() : book.checksum();
      truth.note(`${stream}/${epoch}`, sequence, checksum);
    });
  }

  /** One entry for every private log. */
  async publishPrivate(): Promise<void> {
    const n = this.#privateNumber++;
    const publications = this.#private.map(({ channel, key }) => ({ channel, key, data: entry(channel, n) }));
    await this.#take(`u${n}`, publications);
  }

  /** Ends all insisting. */
  close(): void {
    this.#closed = true;
  }

  async beat(): Promise<void> {
    const heartbeat_counter = this.#beats++;
    await this.#post('/publish', {
      publications: [{ channel: 'heartbeats', data: { current_time: 'x', heartbeat_counter } }],
    });
  }

  /** @returns null if it is not known whether they were taken */
  async #take(name: string, publications: readonly object[]): Promise<Taken | null> {
    const { insists = false } = this.#options;
    const body = { publications, ...(insists ? { idempotencyKey: `${this.#run}.${name}` } : {}) };
    let done = await this.#post('/publish', body);
    if (done === null) this.unsure += 1;
    while (done === null && insists && !this.#closed) {
      await new Promise((resolve) => setTimeout(resolve, AGAIN));
      done = await this.#post('/publish', body);
    }
    this.published += done?.results.length ?? 0;
    return done;
  }

  async #post(path: string, body: object): Promise<Taken | null> {
    try {
      const answer = await fetch(`${this.#options.url}/backend/v1${path}`, {
        method: 'POST',
        headers: { authorization: `Bearer ${this.#options.token}`, 'content-type': 'application/json' },
        body: JSON.stringify(body),
        signal: AbortSignal.timeout(5000),
      });
      return answer.ok ? ((await answer.json()) as { data: Taken }).data : null;
    } catch {
      return null;
    }
  }
}

const entry = (channel: string, n: number): object =>
  channel === 'user' ? { orders: [{ order_id: String(n), status: 'OPEN' }] } : { n: String(n) };
