import { Refusal } from '@countersign/protocol';
import { describe, expect, test } from 'vitest';
import type { Broker } from '../../src/broker/broker.ts';
import type { BookLevel } from '../../src/streams/publication.ts';
import { brief, lineEncoder, setup } from './kit.ts';

const bid = (price: string, quantity: string): BookLevel => ['bid', price, quantity];

describe('a node that missed something', () => {
  /** A broker whose deliveries and answers a test can hold back. */
  function lossy() {
    const control = {
      lose: false,
      answer: 'now' as 'now' | 'later' | 'fail',
      asked: 0,
      waiting: [] as (() => void)[],
    };
    const wrap = (broker: Broker): Broker => ({
      ...broker,
      onPublication: (listener) =>
        broker.onPublication((publication) => !control.lose && listener(publication)),
      history(stream, since) {
        control.asked++;
        if (control.answer === 'fail') return Promise.reject(new Error('no broker'));
        if (control.answer === 'now') return broker.history(stream, since);
        return new Promise((resolve) => control.waiting.push(() => resolve(broker.history(stream, since))));
      },
    });
    const node = setup({}, wrap);
    const lost = (count: number) => {
      control.lose = true;
      for (let i = 0; i < count; i++) node.publish('trades', { lost: i });
      control.lose = false;
    };
    return { node, control, lost };
  }
  const settle = () => new Promise((resolve) => setImmediate(resolve));

  test('repairs a hole from history before readers see anything beyond it', async () => {
    const { node, control, lost } = lossy();
    const reader = node.connect();
    reader.enter('trades');
    node.publish('trades', { n: 1 });
    lost(3);
    control.answer = 'later';
    node.publish('trades', { n: 5 });
    node.publish('trades', { n: 6 });
    expect(brief(reader.read())).toEqual(['snapshot 0', 1]);
    for (const answer of control.waiting.splice(0)) answer();
    await settle();
    node.publish('trades', { n: 7 });
    expect(brief(reader.read())).toEqual([2, 3, 4, 5, 6, 7]);
  });

  test('asks the broker about a reader that has seen more elsewhere, instead of taking it back', async () => {
    const { node, control, lost } = lossy();
    const first = node.connect();
    const { epoch } = first.enter('trades').settled!.position;
    node.publish('trades', { n: 1 });
    lost(2);
    control.answer = 'later';
    const reader = node.connect();
    const subscription = reader.join('trades', { since: { epoch, sequence: 3 } });
    expect(subscription.settled).toBeNull();
    for (const answer of control.waiting.splice(0)) answer();
    await expect(subscription.ready).resolves.toEqual({ position: { epoch, sequence: 3 }, recovered: true });
    reader.outbox.pushAll(subscription.opening);
    subscription.start();
    node.publish('trades', { n: 4 });
    expect(brief(reader.read())).toEqual([4]);
    expect(brief(first.read())).toEqual(['snapshot 0', 1, 2, 3, 4]);
  });

  test('gives such a reader what there is, and says so, when the broker does not answer', async () => {
    const { node, control } = lossy();
    const { epoch } = node.connect().enter('trades').settled!.position;
    node.publish('trades', { n: 1 });
    control.answer = 'fail';
    const reader = node.connect();
    const subscription = reader.join('trades', { since: { epoch, sequence: 3 } });
    await expect(subscription.ready).resolves.toEqual({ position: { epoch, sequence: 1 }, recovered: false });
  });

  test('tells every reader when history does not reach that far', () => {
    const { node, lost } = lossy();
    const [started, held] = [node.connect(), node.connect()];
    started.enter('trades');
    const waiting = held.join('trades');
    held.outbox.pushAll(waiting.opening);
    lost(20);
    node.publish('trades', { n: 21 });
    node.publish('trades', { n: 22 });
    waiting.start();
    expect(brief(started.read())).toEqual(['snapshot 0', 'resync 21', 22]);
    expect(brief(held.read())).toEqual(['snapshot 0', 'resync 22']);
  });

  test('cuts readers of a log whose dialect has no frame for it', () => {
    const { node, lost } = lossy();
    const reader = node.connect();
    reader.enter('trades', { encoder: { ...lineEncoder(), snapshot: () => [] } });
    lost(20);
    node.publish('trades', { n: 21 });
    expect(reader.cuts).toEqual(['gap']);
  });

  test('asks again after a pause when the broker does not answer, and loses nothing', async () => {
    const { node, control, lost } = lossy();
    const reader = node.connect();
    reader.enter('trades');
    lost(2);
    control.answer = 'fail';
    node.publish('trades', { n: 3 });
    await settle();
    node.publish('trades', { n: 4 });
    expect(brief(reader.read())).toEqual(['snapshot 0']);
    control.answer = 'now';
    node.clock.advance(1000);
    expect(brief(reader.read())).toEqual([1, 2, 3, 4]);
  });

  test('refuses a join that it cannot answer, and serves the next one', async () => {
    const { node, control } = lossy();
    control.answer = 'fail';
    const refused = node.connect().join('trades');
    expect(refused.settled).toBeNull();
    await expect(refused.ready).rejects.toThrow(Refusal);
    await expect(node.hub.snapshot('trades', 'K')).rejects.toThrow(Refusal);
    expect(node.hub.stats()).toMatchObject({ subscriptions: 0, streams: 0 });
    control.answer = 'now';
    expect(node.connect().join('trades').settled).not.toBeNull();
  });

  test('holds what is published while a join waits for the broker', async () => {
    const { node, control } = lossy();
    node.publish('trades', { n: 1 });
    control.lose = true;
    node.publish('ticker', { n: 1 });
    control.lose = false;
    control.answer = 'later';
    const reader = node.connect();
    const subscription = reader.join('ticker');
    node.publish('ticker', { n: 2 });
    for (const answer of control.waiting.splice(0)) answer();
    const { position } = await subscription.ready;
    expect(position.sequence).toBe(2);
    node.publish('ticker', { n: 3 });
    reader.outbox.pushAll(subscription.opening);
    subscription.start();
    expect(brief(reader.read())).toEqual(['snapshot 2', 3]);
  });

  test('finds by itself, when asked to verify, that the newest publications never came', async () => {
    const { node, lost } = lossy();
    const reader = node.connect();
    reader.enter('trades');
    node.publish('trades', { n: 1 });
    expect(await node.hub.verify()).toBe(0);
    lost(2);
    expect(await node.hub.verify()).toBe(1);
    expect(brief(reader.read())).toEqual(['snapshot 0', 1, 2, 3]);
  });

  test('shows nothing of a book whose beginning it has not seen until the book is replaced', () => {
    const { node, control } = lossy();
    control.lose = true;
    for (let n = 1; n <= 20; n++) node.publish('level2', { levels: [bid(String(n), '1')] });
    control.lose = false;
    const reader = node.connect();
    reader.enter('level2');
    node.publish('level2', { levels: [bid('1', '5')] });
    node.publish('level2', { reset: true, levels: [bid('2', '2')] });
    node.publish('level2', { levels: [bid('3', '3')] });
    const frames = reader.read();
    expect(brief(frames)).toEqual(['snapshot 20', 'resync 22', 23]);
    expect(frames[0]).toMatchObject({ books: [] });
    expect(frames[1]).toMatchObject({ books: [['', { levels: [bid('2', '2')] }]] });
  });

  test('replaces everything when the broker begins a new epoch', () => {
    const listeners: ((publication: never) => void)[] = [];
    const node = setup({}, (broker) => ({
      ...broker,
      onPublication: (listener) => {
        listeners.push(listener as never);
        broker.onPublication(listener);
      },
    }));
    const reader = node.connect();
    reader.enter('ticker');
    node.publish('ticker', { n: 1 }, { item: 'A' });
    listeners[0]!({
      epoch: 'new',
      sequence: 1,
      channel: 'ticker',
      key: 'K',
      item: 'B',
      time: 0,
      data: {},
    } as never);
    const frames = reader.read();
    expect(brief(frames)).toEqual(['snapshot 0', 1, 'resync 1']);
    expect(frames[2]).toMatchObject({ epoch: 'new', publications: [{ item: 'B' }] });
  });
});
