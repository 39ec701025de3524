/** The promise of streams, checked from the reader's side: everything once and in order, or told. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { bookChecksum } from '../../src/streams/book.ts';
import type { BookLevel, Position } from '../../src/streams/publication.ts';
import type { Subscription } from '../../src/streams/subscription.ts';
import { type Frame, type Node, parse, type Reader, setup } from './kit.ts';

type Kind = 'ticker' | 'level2' | 'trades';

/** What a stream's state was at every sequence, computed in the simplest way: the publisher's own log. */
class Publisher {
  readonly states: string[] = [''];
  #book = new Map<string, BookLevel>();
  #items = new Map<string, number>();
  #log: number[] = [];
  readonly #kind: Kind;

  constructor(kind: Kind) {
    this.#kind = kind;
    this.states[0] = this.#state();
  }

  get head(): number {
    return this.states.length - 1;
  }

  publish(node: Node, n: number, item: string, what: number): void {
    if (this.#kind === 'level2') {
      const level: BookLevel = [what % 2 ? 'bid' : 'ask', String(what % 5), String(what % 3 ? n : 0)];
      const reset = what % 11 === 0;
      if (reset) this.#book.clear();
      if (level[2] === '0') this.#book.delete(`${level[0]}${level[1]}`);
      else this.#book.set(`${level[0]}${level[1]}`, level);
      node.publish('level2', { levels: [level], ...(reset && { reset }) });
    } else if (this.#kind === 'ticker') {
      const remove = what % 4 === 0;
      if (remove) this.#items.delete(item);
      else this.#items.set(item, n);
      node.publish('ticker', { n }, { item, ...(remove && { remove }) });
    } else {
      this.#log.push(n);
      node.publish('trades', { n });
    }
    this.states.push(this.#state());
  }

  #state(): string {
    if (this.#kind === 'level2') return canonicalBook(this.#book);
    if (this.#kind === 'ticker') return canonicalItems(this.#items);
    return String(this.#log.at(-1) ?? 'none');
  }
}

const canonicalBook = (book: Map<string, BookLevel>) => JSON.stringify([...book.values()].map(String).sort());
const canonicalItems = (items: Map<string, number>) => JSON.stringify([...items].map(String).sort());

/** A client that believes nothing: it follows sequences, rebuilds the state, and compares with the publisher. */
class Client {
  reader: Reader | null = null;
  readonly #node: Node;
  readonly #streams = new Map<Kind, Follower>();
  readonly #soft: number;

  constructor(node: Node, publishers: ReadonlyMap<Kind, Publisher>, soft: number) {
    this.#node = node;
    this.#soft = soft;
    for (const [kind, publisher] of publishers) this.#streams.set(kind, new Follower(kind, publisher));
  }

  connect(remember: boolean): void {
    if (this.reader !== null) return;
    this.reader = this.#node.connect(this.#soft, this.#soft * 4);
    for (const [kind, follower] of this.#streams) {
      const since = remember ? follower.position : undefined;
      follower.join(this.reader.join(kind, { ...(since && { since }) }));
    }
  }

  /** Sends the openings; what was published since the join is still held. */
  start(): void {
    if (this.reader === null) return;
    for (const follower of this.#streams.values()) follower.start(this.reader);
    this.receive();
  }

  receive(): void {
    if (this.reader === null) return;
    this.#node.flush();
    for (const frame of parse(this.reader.sink.chunks.splice(0))) {
      this.#streams.get((frame as Frame & { channel: Kind }).channel)!.receive(frame);
    }
    // Being cut, or closed for a full outbox, is how a reader is told.
    if (this.reader.cuts.length > 0 || this.reader.overflowed) this.disconnect();
  }

  disconnect(): void {
    if (this.reader === null) return;
    for (const follower of this.#streams.values()) follower.leave();
    this.reader.outbox.close();
    this.reader = null;
  }

  expectCurrent(): void {
    for (const follower of this.#streams.values()) follower.expectCurrent();
  }
}

class Follower {
  position: Position | undefined;
  told = 0;
  readonly #kind: Kind;
  readonly #publisher: Publisher;
  #subscription: Subscription | null = null;
  #started = false;
  /** Frames allowed next: only a snapshot, unless the stream was recovered. */
  #expecting: 'snapshot' | 'any' = 'snapshot';
  #book = new Map<string, BookLevel>();
  #items = new Map<string, number>();
  #last: number | 'none' = 'none';

  constructor(kind: Kind, publisher: Publisher) {
    this.#kind = kind;
    this.#publisher = publisher;
  }

  join(subscription: Subscription): void {
    this.#subscription = subscription;
    this.#started = false;
    const { recovered, position } = subscription.settled!;
    expect(position.sequence).toBe(this.#publisher.head);
    this.#expecting = recovered === true ? 'any' : 'snapshot';
    if (recovered === true) expect(position.epoch).toBe(this.position!.epoch);
  }

  start(reader: Reader): void {
    if (this.#started || this.#subscription === null) return;
    this.#started = true;
    reader.outbox.pushAll(this.#subscription.opening);
    this.#subscription.start();
  }

  leave(): void {
    this.#subscription?.leave();
    this.#subscription = null;
  }

  receive(frame: Frame): void {
    if (frame.kind === 'snapshot') {
      expect(this.#expecting === 'snapshot' || frame.resync).toBe(true);
      this.#replace(frame);
    } else {
      expect(this.#expecting).toBe('any');
      // A ticker may be conflated; in a book and a log nothing may be skipped without a snapshot.
      if (this.#kind === 'ticker') expect(frame.sequence).toBeGreaterThan(this.position!.sequence);
      else expect(frame.sequence).toBe(this.position!.sequence + 1);
      this.#apply(frame);
    }
    this.#expecting = 'any';
    this.position = { epoch: frame.epoch, sequence: frame.sequence };
    if (this.#kind !== 'ticker') this.#expectStateAt(frame.sequence);
  }

  expectCurrent(): void {
    expect(this.position!.sequence).toBe(this.#publisher.head);
    this.#expectStateAt(this.#publisher.head);
  }

  #expectStateAt(sequence: number): void {
    const mine =
      this.#kind === 'level2'
        ? canonicalBook(this.#book)
        : this.#kind === 'ticker'
          ? canonicalItems(this.#items)
          : String(this.#last);
    expect(mine).toBe(this.#publisher.states[sequence]);
  }

  #replace(frame: Frame & { kind: 'snapshot' }): void {
    this.#book.clear();
    this.#items.clear();
    this.#last = 'none';
    for (const [, { levels, checksum }] of frame.books) {
      for (const level of levels) this.#book.set(level[0] + level[1], level);
      expect(checksum).toBe(bookChecksum(levels));
    }
    for (const { item, data } of frame.publications) {
      this.#items.set(item ?? '', data.n as number);
      this.#last = data.n as number;
    }
  }

  #apply({ item, remove, data }: Frame & { kind: 'publication' }): void {
    if (this.#kind === 'level2') {
      if (data.reset === true) this.#book.clear();
      for (const level of data.levels as BookLevel[]) {
        if (level[2] === '0') this.#book.delete(level[0] + level[1]);
        else this.#book.set(level[0] + level[1], level);
      }
    } else if (this.#kind === 'ticker') {
      if (remove) this.#items.delete(item);
      else this.#items.set(item, data.n as number);
    } else {
      this.#last = data.n as number;
    }
  }
}

const clients = 3;
const step = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      do: fc.constant('publish' as const),
      kind: fc.constantFrom<Kind>('ticker', 'level2', 'trades'),
      item: fc.constantFrom('A', 'B', 'C'),
      what: fc.nat(60),
      times: fc.integer({ min: 1, max: 6 }),
    }),
  },
  {
    weight: 10,
    arbitrary: fc.record({
      do: fc.constantFrom('connect', 'start', 'receive', 'disconnect', 'stall', 'drain'),
      client: fc.nat(clients - 1),
      remember: fc.boolean(),
    }),
  },
);

function run(steps: readonly (typeof step extends fc.Arbitrary<infer S> ? S : never)[]): Node {
  const node = setup({ held: 6, tail: 3 });
  const publishers = new Map(
    (['ticker', 'level2', 'trades'] as const).map((kind) => [kind, new Publisher(kind)]),
  );
  const all = Array.from({ length: clients }, () => new Client(node, publishers, 700));
  // A witness that is never slow: it must see everything whatever the others do.
  const witness = new Client(node, publishers, 1e6);
  witness.connect(false);
  witness.start();
  let n = 0;
  for (const one of steps) {
    if (one.do === 'publish') {
      for (let i = 0; i < one.times; i++)
        publishers.get(one.kind)!.publish(node, ++n, one.item, one.what + i);
      witness.receive();
      for (const client of all) if (client.reader?.sink.stalled === false) client.receive();
      continue;
    }
    const client = all[one.client]!;
    if (one.do === 'connect') client.connect(one.remember);
    else if (one.do === 'start') client.start();
    else if (one.do === 'disconnect') client.disconnect();
    else if (client.reader === null) continue;
    else if (one.do === 'stall') client.reader.sink.stalled = true;
    else {
      client.reader.sink.drain();
      client.receive();
    }
  }
  for (const client of [...all, witness]) {
    // Whoever was told to come back comes back, and in the end everyone knows everything.
    for (let tries = 0; tries < 3; tries++) {
      client.connect(true);
      client.reader?.sink.drain();
      client.start();
      client.reader?.sink.drain();
      client.receive();
    }
    client.expectCurrent();
  }
  return node;
}

test('every reader sees each publication once and in order, or is told, whatever happens to it', () => {
  const seen = { delivered: 0, conflated: 0, resynced: 0, cut: 0, faults: 0 };
  fc.assert(
    fc.property(fc.array(step, { minLength: 20, maxLength: 120 }), (steps) => {
      const stats = run(steps).hub.stats();
      for (const name of Object.keys(seen) as (keyof typeof seen)[]) seen[name] += stats[name];
    }),
    { numRuns: 150 },
  );
  // The walk must have been through the places that it is about.
  expect(seen.faults).toBe(0);
  for (const name of ['delivered', 'conflated', 'resynced', 'cut'] as const)
    expect(seen[name]).toBeGreaterThan(5);
});
