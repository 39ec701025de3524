import { Refusal } from '@countersign/protocol';
import { describe, expect, test } from 'vitest';
import type { History } from '../../src/broker/broker.ts';
import type { Encoder } from '../../src/streams/encoder.ts';
import type { BookLevel } from '../../src/streams/publication.ts';
import { brief, lineEncoder, setup } from './kit.ts';

const bid = (price: string, quantity: string): BookLevel => ['bid', price, quantity];

describe('joining', () => {
  test('a key that never had data gives an empty snapshot at sequence 0, at once', async () => {
    const node = setup();
    const reader = node.connect();
    const subscription = reader.enter('trades');
    expect(subscription.settled).toMatchObject({ position: { sequence: 0 }, recovered: null });
    expect(await subscription.ready).toEqual(subscription.settled);
    expect(brief(reader.read())).toEqual(['snapshot 0']);
    node.publish('trades', { n: 1 });
    expect(brief(reader.read())).toEqual([1]);
    expect(subscription.position).toEqual({ ...subscription.settled!.position, sequence: 1 });
  });

  test('what is published between join and start comes once, in order, after the opening', () => {
    const node = setup();
    const reader = node.connect();
    node.publish('trades', { n: 1 });
    const subscription = reader.join('trades');
    node.publish('trades', { n: 2 });
    reader.outbox.pushAll(subscription.opening);
    node.publish('trades', { n: 3 });
    expect(subscription.position.sequence).toBe(1);
    subscription.start();
    subscription.start();
    node.publish('trades', { n: 4 });
    expect(brief(reader.read())).toEqual(['snapshot 1', 2, 3, 4]);
  });

  test('a log shows its tail, a ticker the newest of each item, a book all levels', () => {
    const node = setup({ tail: 2 });
    const reader = node.connect();
    for (let n = 1; n <= 3; n++) node.publish('trades', { n });
    node.publish('ticker', { n: 1 }, { item: 'A' });
    node.publish('ticker', { n: 2 }, { item: 'B' });
    node.publish('ticker', { n: 3 }, { item: 'A' });
    node.publish('ticker', { n: 4 }, { item: 'C' });
    node.publish('ticker', { n: 5 }, { item: 'C', remove: true });
    node.publish('level2', { levels: [bid('1', '2'), bid('2', '2')] });
    node.publish('level2', { levels: [bid('1.0', '0')] });
    for (const channel of ['trades', 'ticker', 'level2']) reader.enter(channel);
    const [trades, ticker, level2] = reader.read();
    expect(trades).toMatchObject({ sequence: 3, publications: [{ data: { n: 2 } }, { data: { n: 3 } }] });
    expect(ticker).toMatchObject({
      sequence: 5,
      publications: [{ item: 'B' }, { item: 'A', data: { n: 3 } }],
    });
    expect(level2).toMatchObject({
      sequence: 2,
      publications: [],
      books: [['', { levels: [bid('2', '2')] }]],
    });
  });

  test('an unknown channel is refused', () => {
    const node = setup();
    expect(() => node.connect().join('nonsense')).toThrow(Refusal);
    expect(() => node.hub.snapshot('nonsense', 'K')).toThrow(Refusal);
  });

  test('after leave nothing comes, and a stream without data or readers is gone', () => {
    const node = setup();
    const reader = node.connect();
    const subscription = reader.enter('trades');
    subscription.leave();
    subscription.leave();
    expect(node.hub.stats()).toMatchObject({ subscriptions: 0, streams: 0 });
    node.publish('trades', { n: 1 });
    expect(brief(reader.read())).toEqual(['snapshot 0']);
  });

  test('a subscription left before its stream is known rejects instead of waiting for ever', async () => {
    const node = setup({}, (broker) => ({ ...broker, history: () => new Promise<History>(() => {}) }));
    const subscription = node.connect().join('trades');
    const { ready } = subscription;
    subscription.leave();
    await expect(ready).rejects.toThrow(Refusal);
    await expect(subscription.ready).rejects.toThrow(Refusal);
  });
});

describe('recovery', () => {
  function withHistory(count: number) {
    const node = setup();
    for (let n = 1; n <= count; n++) node.publish('trades', { n });
    const { epoch } = node.connect().join('trades').settled!.position;
    return { node, epoch };
  }

  test('a reader that names its position gets what it missed and nothing else', () => {
    const { node, epoch } = withHistory(5);
    const reader = node.connect();
    const subscription = reader.enter('trades', { since: { epoch, sequence: 2 } });
    expect(subscription.settled).toEqual({ position: { epoch, sequence: 5 }, recovered: true });
    expect(brief(reader.read())).toEqual([3, 4, 5]);
  });

  test('a reader that missed nothing has recovered', () => {
    const { node, epoch } = withHistory(5);
    const reader = node.connect();
    expect(reader.enter('trades', { since: { epoch, sequence: 5 } }).settled?.recovered).toBe(true);
    expect(reader.read()).toEqual([]);
  });

  test.each([
    ['further back than history reaches', (epoch: string) => ({ epoch, sequence: 1 })],
    ['in another epoch', () => ({ epoch: 'x', sequence: 9 })],
    ['ahead of the stream', (epoch: string) => ({ epoch, sequence: 11 })],
    ['no whole number', (epoch: string) => ({ epoch, sequence: 9.5 })],
    ['no number', (epoch: string) => ({ epoch, sequence: Number.NaN })],
  ])('a position that is %s gets a snapshot and the word that it has not recovered', (_, since) => {
    const { node, epoch } = withHistory(10);
    const reader = node.connect();
    expect(reader.enter('trades', { since: since(epoch) }).settled?.recovered).toBe(false);
    expect(brief(reader.read())).toEqual(['snapshot 10']);
  });
});

describe('encoding', () => {
  test('happens once per publication and encoder, however many read it', () => {
    const node = setup();
    const other = lineEncoder();
    const readers = Array.from({ length: 20 }, () => node.connect());
    readers.forEach((reader, i) => {
      reader.enter('trades', { encoder: i % 2 ? other : node.encoder });
    });
    expect([node.encoder.encoded, other.encoded]).toEqual([1, 1]);
    node.publish('trades', { n: 1 });
    expect([node.encoder.encoded, other.encoded]).toEqual([2, 2]);
    for (const reader of readers) expect(brief(reader.read())).toEqual(['snapshot 0', 1]);
  });

  test('an encoder that numbers the frames of its one connection numbers them without a hole or a repeat', () => {
    const node = setup();
    const counting = () => {
      let next = 0;
      const text = () => Buffer.from(`${next++},`);
      return { publication: text, snapshot: () => [text()] } satisfies Encoder;
    };
    const readers = Array.from({ length: 3 }, () => ({ reader: node.connect(300), encoder: counting() }));
    for (const { reader, encoder } of readers) {
      reader.enter('ticker', { encoder });
      reader.enter('level2', { encoder }).leave();
      reader.enter('level2', { encoder });
    }
    readers[1]!.reader.sink.stalled = true;
    for (let n = 0; n < 200; n++) {
      node.publish('ticker', { n }, { item: String(n % 3) });
      node.publish('level2', { levels: [bid(String(n), '1')] });
      node.flush();
    }
    readers[1]!.reader.sink.drain();
    for (const { reader } of readers) {
      node.flush();
      const numbers = Buffer.concat(reader.sink.chunks).toString().split(',').slice(0, -1).map(Number);
      expect(numbers).toEqual(numbers.map((_, i) => i));
      expect(numbers.length).toBeGreaterThan(50);
    }
    expect(node.hub.stats()).toMatchObject({ faults: 0 });
    expect(node.hub.stats().conflated).toBeGreaterThan(0);
  });

  test('a change of encoder counts from the next publication on, held ones included', () => {
    const node = setup();
    const reader = node.connect();
    const shout: Encoder = {
      publication: (_, { sequence }) => Buffer.from(`"${sequence}!"\n`),
      snapshot: () => [],
    };
    const subscription = reader.join('trades');
    reader.outbox.pushAll(subscription.opening);
    node.publish('trades', { n: 1 });
    subscription.setEncoder(shout);
    subscription.start();
    node.publish('trades', { n: 2 });
    expect(reader.read().slice(1)).toEqual(['1!', '2!']);
    subscription.leave();
    expect(node.hub.stats().subscriptions).toBe(0);
  });

  test('a publication that a form does not show still moves the position', () => {
    const node = setup();
    const reader = node.connect();
    const subscription = reader.enter('trades', { encoder: { publication: () => null, snapshot: () => [] } });
    node.publish('trades', { n: 1 });
    expect(reader.read()).toEqual([]);
    expect(subscription.position.sequence).toBe(1);
  });

  test('an encoder or a callback that throws harms only its own subscriptions', () => {
    const node = setup();
    const broken: Encoder = {
      publication: () => {
        throw new Error('poison');
      },
      snapshot: () => [],
    };
    const [harmed, healthy] = [node.connect(), node.connect()];
    harmed.cuts.push = () => {
      throw new Error('broken callback');
    };
    harmed.enter('trades', { encoder: broken });
    harmed.enter('trades', { encoder: broken });
    healthy.enter('trades');
    for (let n = 1; n <= 3; n++) node.publish('trades', { n });
    expect(brief(healthy.read())).toEqual(['snapshot 0', 1, 2, 3]);
    expect(node.hub.stats()).toMatchObject({ subscriptions: 1, cut: 2, faults: 4 });
  });

  test('readers may leave and join while a publication is being delivered: nobody misses or doubles it', () => {
    const node = setup();
    const readers = Array.from({ length: 6 }, () => node.connect());
    const subscriptions = readers.map((reader) => reader.enter('trades', { encoder: lineEncoder() }));
    const late = node.connect();
    const meddler: Encoder = {
      publication: (channel, publication) => {
        if (publication.sequence === 1) {
          subscriptions[0]!.leave();
          subscriptions[5]!.leave();
          subscriptions[2]!.setEncoder(node.encoder);
          late.enter('trades');
        }
        return node.encoder.publication(channel, publication);
      },
      snapshot: () => [],
    };
    const last = node.connect();
    for (const index of [1, 2, 3]) subscriptions[index]!.setEncoder(meddler);
    last.enter('trades', { encoder: meddler });
    node.publish('trades', { n: 1 });
    node.publish('trades', { n: 2 });
    for (const index of [1, 2, 3, 4]) expect(brief(readers[index]!.read())).toEqual(['snapshot 0', 1, 2]);
    expect(brief(last.read())).toEqual([1, 2]);
    expect(brief(late.read())).toEqual(['snapshot 1', 2]);
  });
});

describe('a slow reader', () => {
  test('of a ticker gets the newest of each item when it can take it, in the order of their sequences', () => {
    const node = setup();
    const [slow, fast] = [node.connect(300), node.connect(300)];
    const subscription = slow.enter('ticker');
    fast.enter('ticker');
    slow.read();
    slow.sink.stalled = true;
    for (let n = 1; n <= 100; n++) {
      node.publish('ticker', { n }, { item: 'ABC'[n % 3]! });
      node.flush();
    }
    slow.sink.drain();
    const got = brief(slow.read());
    expect(got.slice(-3)).toEqual([98, 99, 100]);
    expect(got.length).toBeLessThan(10);
    expect(subscription.position.sequence).toBe(100);
    expect(brief(fast.read())).toEqual(['snapshot 0', ...Array.from({ length: 100 }, (_, i) => i + 1)]);
    expect(node.hub.stats().conflated + got.length).toBe(100);
    node.publish('ticker', { n: 101 });
    expect(brief(slow.read())).toEqual([101]);
  });

  test('of a ticker with more items than may be held gets a snapshot', () => {
    const node = setup({ held: 5 });
    const slow = node.connect(300);
    slow.enter('ticker');
    slow.read();
    slow.sink.stalled = true;
    for (let n = 1; n <= 50; n++) {
      node.publish('ticker', { n }, { item: String(n) });
      node.flush();
    }
    slow.sink.drain();
    expect(brief(slow.read()).at(-1)).toBe('resync 50');
  });

  test('of a book gets the book again in place of what it missed', () => {
    const node = setup();
    const [slow, fast] = [node.connect(300), node.connect(300)];
    const subscription = slow.enter('level2');
    fast.enter('level2');
    slow.read();
    slow.sink.stalled = true;
    for (let n = 1; n <= 100; n++) {
      node.publish('level2', { levels: [bid(String(n % 7), String(n))] });
      node.flush();
    }
    slow.sink.drain();
    const frames = slow.read();
    const snapshot = frames.at(-1)!;
    expect(brief([snapshot])).toEqual(['resync 100']);
    expect(snapshot.kind === 'snapshot' && snapshot.books[0]?.[1].levels).toHaveLength(7);
    expect(brief(frames).slice(0, -1)).toEqual(Array.from({ length: frames.length - 1 }, (_, i) => i + 1));
    expect(subscription.position.sequence).toBe(100);
    expect(brief(fast.read())).toHaveLength(101);
    expect(node.hub.stats()).toMatchObject({ resynced: 1, cut: 0 });
  });

  test('of a log is cut, and others are not touched', () => {
    const node = setup();
    const [slow, fast] = [node.connect(300), node.connect(300)];
    const subscription = slow.enter('trades');
    fast.enter('trades');
    slow.read();
    slow.sink.stalled = true;
    for (let n = 1; n <= 100; n++) {
      node.publish('trades', { n });
      node.flush();
    }
    expect(slow.cuts).toEqual(['slow']);
    slow.sink.drain();
    const got = brief(slow.read());
    expect(got).toEqual(Array.from({ length: subscription.position.sequence }, (_, i) => i + 1));
    expect(brief(fast.read())).toHaveLength(101);
    expect(node.hub.stats()).toMatchObject({ cut: 1, subscriptions: 1 });
  });

  test('holds a bounded number of bytes however much is published', () => {
    const node = setup({ held: 10 });
    const slow = node.connect(1000, 2000);
    for (const channel of ['ticker', 'level2']) slow.enter(channel);
    const waiting = slow.join('trades');
    slow.read();
    slow.sink.stalled = true;
    for (let n = 1; n <= 20_000; n++) {
      node.publish('ticker', { n }, { item: String(n) });
      node.publish('level2', { levels: [bid('1', String(n))] });
      node.publish('trades', { n });
      if (n % 10 === 0) node.flush();
      expect(slow.outbox.queuedBytes).toBeLessThanOrEqual(2000);
    }
    expect(slow.overflowed).toBe(false);
    // It never started, so what was held for it is more than may be.
    waiting.start();
    expect(slow.cuts).toEqual(['slow']);
  });

  test('that has not started by the time its book was lost from the hold gets the book again', () => {
    const node = setup({ held: 3 });
    const reader = node.connect();
    const subscription = reader.join('level2');
    reader.outbox.pushAll(subscription.opening);
    for (let n = 1; n <= 5; n++) node.publish('level2', { levels: [bid('1', String(n))] });
    subscription.start();
    expect(brief(reader.read())).toEqual(['snapshot 0', 'resync 5']);
  });
});

describe('bounds', () => {
  test('idle streams are dropped beyond the limit, read ones are not', () => {
    const node = setup({ streams: 10 });
    const reader = node.connect();
    const subscription = reader.enter('ticker', { key: 'read' });
    for (let n = 0; n < 500; n++) node.publish('ticker', { n }, { key: String(n) });
    expect(node.hub.stats().streams).toBeLessThanOrEqual(10);
    node.publish('ticker', { n: 1 }, { key: 'read' });
    expect(subscription.position.sequence).toBe(1);
    // Dropped here is not lost: the broker still has it.
    expect(node.hub.snapshot('ticker', '0')).toMatchObject({ position: { sequence: 1 } });
  });

  test('items of a stream are bounded: the one longest without a publication goes', () => {
    const node = setup({ items: 3 });
    for (const item of ['A', 'B', 'C', 'A', 'D']) {
      node.publish('ticker', {}, { item });
      node.publish('level2', { levels: [bid('1', '1')] }, { item });
    }
    const items = node.hub.snapshot('ticker', 'K');
    expect('publications' in items && items.publications.map(({ item }) => item)).toEqual(['C', 'A', 'D']);
    const books = node.hub.snapshot('level2', 'K');
    expect('books' in books && [...books.books.keys()]).toEqual(['C', 'A', 'D']);
  });

  test('a book change that cannot be applied costs its book, and readers are told', () => {
    const node = setup({ levels: 2 });
    const reader = node.connect();
    reader.enter('level2');
    node.publish('level2', { levels: [bid('1', '1'), bid('2', '1')] });
    node.publish('level2', { levels: [bid('3', '1')] });
    node.publish('level2', { levels: 'nonsense' });
    node.publish('level2', { reset: true, levels: [bid('4', '1')] });
    node.publish('level2', { levels: 'nonsense' });
    node.publish('level2', { levels: [bid('4', '2')] });
    expect(brief(reader.read())).toEqual(['snapshot 0', 1, 'resync 2', 'resync 4', 'resync 5']);
  });

  test('close ends everything quietly and may be called twice', () => {
    const node = setup();
    const reader = node.connect();
    reader.enter('trades');
    node.hub.close();
    node.hub.close();
    node.publish('trades', { n: 1 });
    expect(brief(reader.read())).toEqual(['snapshot 0']);
    expect(reader.cuts).toEqual([]);
    expect(node.hub.stats()).toMatchObject({ subscriptions: 0, streams: 0 });
    expect(() => reader.join('trades')).toThrow(Refusal);
  });
});
