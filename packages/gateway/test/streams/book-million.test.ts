/**
 * A reader's book against the gateway's. The reader's is written here, in another way: sorted lists of whole ticks,
 * where the gateway has maps of decimal texts and an order that is mended when somebody looks.
 */
import { crc32 } from 'node:zlib';
import { expect, test } from 'vitest';
import { createFakeClock } from '../../../testkit/src/fake-clock.ts';
import { createMemoryBroker } from '../../src/broker/memory.ts';
import type { Encoder, Snapshot } from '../../src/streams/encoder.ts';
import { createHub } from '../../src/streams/hub.ts';
import type { BookChange, BookLevel } from '../../src/streams/publication.ts';
import { channels } from './kit.ts';

const SEED = 20_261_121;

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

/** Prices have at most two digits behind the point here, however they are spelt. */
const ticksOf = (price: string): number => Math.round(Number(price) * 100);

/** One side, best first. */
class ReferenceSide {
  readonly ticks: number[] = [];
  readonly levels: BookLevel[] = [];
  readonly #sign: 1 | -1;

  constructor(sign: 1 | -1) {
    this.#sign = sign;
  }

  change(level: BookLevel): void {
    const ticks = ticksOf(level[1]);
    let at = 0;
    for (let end = this.ticks.length; at < end; ) {
      const middle = (at + end) >> 1;
      if ((this.ticks[middle]! - ticks) * this.#sign < 0) at = middle + 1;
      else end = middle;
    }
    const there = this.ticks[at] === ticks;
    if (Number(level[2]) !== 0) {
      this.ticks.splice(at, there ? 1 : 0, ticks);
      this.levels.splice(at, there ? 1 : 0, level);
    } else if (there) {
      this.ticks.splice(at, 1);
      this.levels.splice(at, 1);
    }
  }
}

/** Starts from whatever snapshot its subscription opens with, and follows from there. */
class Reader {
  sequence = 0;
  bids = new ReferenceSide(-1);
  asks = new ReferenceSide(1);

  readonly encoder: Encoder = {
    publication: (_, { sequence, data }) => {
      if (sequence !== this.sequence + 1) throw new Error(`${sequence} came after ${this.sequence}`);
      this.sequence = sequence;
      this.apply(data as unknown as BookChange);
      return NONE;
    },
    snapshot: ({ books, position }: Snapshot) => {
      this.sequence = position.sequence;
      this.apply({ reset: true, levels: [...(books.get('')?.levels ?? [])] });
      return [NONE];
    },
  };

  apply({ reset, levels }: BookChange): void {
    if (reset === true) [this.bids, this.asks] = [new ReferenceSide(-1), new ReferenceSide(1)];
    for (const level of levels) (level[0] === 'bid' ? this.bids : this.asks).change(level);
  }

  /** Where it first differs from what the gateway would tell somebody who came now; null if nowhere. */
  difference({ books, position }: Snapshot): string | null {
    const { levels } = books.get('')!;
    const bids = this.bids.levels;
    const asks = this.asks.levels;
    if (position.sequence !== this.sequence) return `it is at ${position.sequence}`;
    if (levels.length !== bids.length + asks.length) return `it has ${levels.length} levels`;
    for (let at = 0; at < levels.length; at++) {
      const [side, price, quantity] = levels[at]!;
      const mine = (at < bids.length ? bids[at] : asks[at - bids.length])!;
      if (side !== mine[0] || price !== mine[1] || quantity !== mine[2])
        return `level ${at} is ${levels[at]}`;
    }
    return null;
  }

  /** As `bookChecksum` describes it, from numbers instead of texts. */
  checksum(): number {
    const top = [...this.bids.levels.slice(0, 10), ...this.asks.levels.slice(0, 10)];
    return crc32(top.map(([, price, quantity]) => `${Number(price)}:${Number(quantity)}`).join('|'));
  }
}

const NONE = new Uint8Array(1);
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

function openStream() {
  const clock = createFakeClock();
  const broker = createMemoryBroker({ clock, channels });
  const hub = createHub({ broker, channels, clock });
  let time = 0;
  return {
    hub,
    publish: (data: BookChange) =>
      void broker.publish([{ channel: 'level2', key: 'K', time: ++time, data: { ...data } }]),
    join() {
      const reader = new Reader();
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
      return reader;
    },
    snapshot(): Snapshot {
      const snapshot = hub.snapshot('level2', 'K');
      if (!('books' in snapshot)) throw new Error('the stream is known');
      return snapshot;
    },
  };
}

const UPDATES = 1_000_000;

test('a book rebuilt from a snapshot and updates is the whole book of the hub at every sequence, over a million updates', async () => {
  const random = generator(SEED);
  const { hub, publish, join, snapshot } = openStream();
  // Around ten: prices of one and of two whole digits, with up to two behind the point, spelt in several ways.
  const level = (): BookLevel => {
    const ticks = 996 + Math.floor(random() * 8);
    const chance = random();
    const price = chance < 0.7 ? String(ticks / 100) : (ticks / 100).toFixed(chance < 0.9 ? 2 : 4);
    const quantity =
      random() < 0.4 ? (random() < 0.9 ? '0' : '0.00') : String(Math.ceil(random() * 1e6) / 1e3);
    return [random() < 0.5 ? 'bid' : 'ask', price, quantity];
  };
  publish({ levels: [level()] });
  let reader = join();
  let most = 0;
  let checksums = 0;
  for (let n = 2; n <= UPDATES; n++) {
    const levels = [level()];
    if (random() < 0.1) levels.push(level(), level());
    publish(random() < 0.0001 ? { reset: true, levels } : { levels });
    const now = snapshot();
    const difference = reader.difference(now);
    if (difference !== null) throw new Error(`at ${n}: ${difference}`);
    most = Math.max(most, now.books.get('')!.levels.length);
    // The levels are equal at every sequence; that the checksum is the one of these levels is sampled.
    if (n % 100 === 0) {
      checksums++;
      expect(now.books.get('')!.checksum).toBe(reader.checksum());
    }
    // Readers that come at any place, and the first one's book is not the only one that is ever right.
    if (n % 50_000 === 0) reader = join();
    // Publishing waits for nobody, but its promises want to be let go.
    if (n % 1000 === 0) await null;
  }
  expect(reader.sequence).toBe(UPDATES);
  expect(most).toBeGreaterThan(13);
  expect(checksums).toBe(UPDATES / 100);
  expect(hub.stats()).toMatchObject({ published: UPDATES, faults: 0, resynced: 0 });
}, 180_000);

test('so is a deep one that wanders, wherever it is looked at', async () => {
  const random = generator(SEED);
  const { hub, publish, join, snapshot } = openStream();
  const updates = 100_000;
  let middle = 100_000;
  const change = () => {
    const bid = random() < 0.5;
    middle += random() < 0.5 ? 1 : -1;
    const away = Math.floor(random() ** 3 * 4000) + 1;
    const price = ((bid ? middle - away : middle + away) / 100).toString();
    const quantity = random() < 0.4 ? '0' : (random() * 10).toFixed(8);
    publish({ levels: [[bid ? 'bid' : 'ask', price, quantity]] });
  };
  change();
  const readers = [join()];
  // Looks are rare and at odd places: in between the hub's order is out of date, and is mended by the look.
  let look = 1;
  for (let n = 2; n <= updates; n++) {
    change();
    if (n === updates / 2) readers.push(join());
    if (n % 1000 === 0) await null;
    if (n < look && n < updates) continue;
    look = n + 1 + Math.floor(random() * 4000);
    const now = snapshot();
    for (const reader of readers) expect(reader.difference(now)).toBeNull();
    expect(now.books.get('')!.checksum).toBe(readers[0]!.checksum());
  }
  expect(readers[0]!.bids.levels.length + readers[0]!.asks.levels.length).toBeGreaterThan(1000);
  expect(hub.stats()).toMatchObject({ published: updates, faults: 0, resynced: 0 });
}, 180_000);
