import { expect, test } from 'vitest';
import { createFakeClock } from '../../../testkit/src/fake-clock.ts';
import { createMemoryBroker } from '../../src/broker/memory.ts';
import { Book } from '../../src/streams/book.ts';
import type { Encoder, Snapshot } from '../../src/streams/encoder.ts';
import { createHub } from '../../src/streams/hub.ts';
import type { BookLevel, Publication } from '../../src/streams/publication.ts';
import { channels } from './kit.ts';

const UPDATES = 1_000_000;
const EVERY = 10_000;

/** A generator of the test's own, so that a failure can be repeated (mulberry32). */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

test("a book rebuilt from a snapshot and updates is the hub's at every sequence, over a million updates", async () => {
  const random = generator(20_261_121);
  const clock = createFakeClock();
  const broker = createMemoryBroker({ clock, channels });
  const hub = createHub({ broker, channels, clock });
  const none = new Uint8Array(1);
  const outbox = {
    push: () => {},
    pushAll: () => {},
    queuedBytes: 0,
    congested: false,
    clear: true,
    whenClear: (callback: () => void) => callback(),
    flush: () => {},
    close: () => {},
  };

  /** Starts from a snapshot somewhere in the middle and follows from there. */
  class Rebuilt {
    book = new Book();
    sequence = 0;
    readonly encoder: Encoder = {
      publication: (_, { sequence, data }: Publication) => {
        if (sequence !== this.sequence + 1) throw new Error(`${sequence} came after ${this.sequence}`);
        this.sequence = sequence;
        this.book.apply(data as unknown as { levels: BookLevel[] });
        return none;
      },
      snapshot: ({ books, position }: Snapshot) => {
        this.sequence = position.sequence;
        this.book.apply({ reset: true, levels: [...(books.get('')?.levels ?? [])] });
        return [none];
      },
    };
  }
  const readers: Rebuilt[] = [];
  const join = () => {
    const reader = new Rebuilt();
    const subscription = hub.join({
      channel: 'level2',
      key: 'K',
      encoder: reader.encoder,
      outbox,
      onCut: (reason) => {
        throw new Error(reason);
      },
    });
    // Read for its effect: this is where the snapshot is taken over.
    expect(subscription.opening).toHaveLength(1);
    subscription.start();
    readers.push(reader);
  };

  let middle = 100_000;
  for (let n = 1; n <= UPDATES; n++) {
    const bid = random() < 0.5;
    middle += random() < 0.5 ? 1 : -1;
    const away = Math.floor(random() ** 3 * 4000) + 1;
    const price = ((bid ? middle - away : middle + away) / 100).toString();
    const quantity = random() < 0.4 ? '0' : (random() * 10).toFixed(8);
    void broker.publish([
      { channel: 'level2', key: 'K', time: n, data: { levels: [[bid ? 'bid' : 'ask', price, quantity]] } },
    ]);
    if (n % 500_000 === 100_000) join();
    // Publishing waits for nobody, but its promises want to be let go.
    if (n % 1000 === 0) await null;
    if (n % EVERY === 0) {
      const snapshot = hub.snapshot('level2', 'K');
      if (!('books' in snapshot)) throw new Error('the stream is known');
      const { levels, checksum } = snapshot.books.get('')!;
      for (const { book, sequence } of readers) {
        expect(sequence).toBe(n);
        expect(book.checksum()).toBe(checksum);
        expect(book.levels().join()).toBe(levels.join());
      }
    }
  }
  expect(readers).toHaveLength(2);
  expect(readers[0]!.book.size).toBeGreaterThan(1000);
  expect(hub.stats()).toMatchObject({ published: UPDATES, faults: 0, resynced: 0 });
}, 60_000);
