import { describe, expect, test, vi } from 'vitest';
import type { StreamUpdate } from '../../src/index.ts';
import { settle } from '../support/fake-venue.ts';
import { collect, kit } from '../support/feed-kit.ts';

const trades = { channel: 'recentTradeUpdate', market: 'wholeBlock' } as const;

describe('a consumer that does not keep up', () => {
  test('with a buffer is brought back to where it stopped, and told so', async () => {
    const { venue, feed, pass } = kit('ethgas');
    const subscription = feed.subscribe({ ...trades, backpressure: { mode: 'buffer', capacity: 5 } });
    await pass(10);
    for (let i = 0; i < 3; i++) venue.publish('recentTradeUpdate', 'wholeBlock');
    await settle();
    const iterator = subscription[Symbol.asyncIterator]();
    expect(await iterator.next()).toMatchObject({ value: { sequence: 1 } });
    for (let i = 0; i < 50; i++) venue.publish('recentTradeUpdate', 'wholeBlock');
    await settle();
    expect(subscription.queued).toBe(5);
    expect(subscription.status).toBe('stale');
    const seen: number[] = [];
    const told: string[] = [];
    const reading = (async () => {
      while (seen.length < 52) {
        const { value } = await iterator.next();
        if (value?.type === 'resync') told.push(`${value.reason} ${value.recovered}`);
        else seen.push(value?.sequence ?? 0);
      }
    })();
    await pass(3000);
    await reading;
    expect(seen).toEqual(Array.from({ length: 52 }, (_, n) => n + 2));
    expect(new Set(told)).toEqual(new Set(['slow true']));
    expect(subscription.status).toBe('live');
    await feed.close();
  });

  test('with a buffer and no way back begins with a snapshot', async () => {
    const { venue, feed, pass } = kit('coinbase', { venue: { history: 2 } });
    venue.publish('level2', 'ETH-USD', [['bid', '1', '1']]);
    const subscription = feed.subscribe({
      channel: 'level2',
      product: 'ETH-USD',
      backpressure: { mode: 'buffer', capacity: 2 },
    });
    await pass(10);
    for (let i = 0; i < 9; i++) venue.publish('level2', 'ETH-USD', [['bid', '1', String(i + 2)]]);
    await settle();
    const { updates } = collect(subscription);
    await pass(3000);
    expect(updates).toMatchObject([
      { type: 'snapshot', sequence: 1 },
      { type: 'update', sequence: 2 },
      { type: 'resync', reason: 'slow', recovered: false },
      { type: 'snapshot', sequence: 10, data: { updates: [{ new_quantity: '10' }] } },
    ]);
    await feed.close();
  });

  test('with fail is ended by an error', async () => {
    const { venue, feed, pass } = kit('ethgas');
    const subscription = feed.subscribe({ ...trades, backpressure: { mode: 'fail', capacity: 5 } });
    await pass(10);
    for (let i = 0; i < 6; i++) venue.publish('recentTradeUpdate', 'wholeBlock');
    await settle();
    const { ended } = collect(subscription);
    expect(await ended).toMatchObject({ code: 'slow_consumer' });
    await pass(10);
    expect(venue.heard.at(-1)).toMatchObject({ op: 'unsubscribe' });
    await feed.close();
  });

  test('with conflate gets the newest of each, in the order of their numbers', async () => {
    const { venue, feed, pass } = kit('coinbase');
    const subscription = feed.subscribe({
      channel: 'ticker',
      products: ['A-USD', 'B-USD'],
      backpressure: { mode: 'conflate' },
    });
    await pass(10);
    for (const product of ['A-USD', 'B-USD', 'A-USD', 'A-USD']) venue.publish('ticker', product);
    await settle();
    const { updates } = collect(subscription);
    await settle();
    expect(updates).toMatchObject([
      { key: 'B-USD', sequence: 1 },
      { key: 'A-USD', sequence: 3 },
    ]);
    await feed.close();
  });

  test('with conflate gets changes of a book merged into one', async () => {
    const { venue, feed, pass } = kit('coinbase');
    venue.publish('level2', 'ETH-USD', [['bid', '1', '1']]);
    const subscription = feed.subscribe({
      channel: 'level2',
      product: 'ETH-USD',
      backpressure: { mode: 'conflate' },
    });
    await pass(10);
    venue.publish('level2', 'ETH-USD', [['bid', '1', '0']]);
    venue.publish('level2', 'ETH-USD', [['bid', '2', '5']]);
    venue.publish('level2', 'ETH-USD', [['bid', '2', '6']]);
    await settle();
    const { updates } = collect(subscription);
    await settle();
    const [only] = updates as StreamUpdate<{ updates: { price_level: string; new_quantity: string }[] }>[];
    expect(updates).toHaveLength(1);
    expect(only).toMatchObject({ type: 'snapshot', sequence: 4 });
    expect(only?.data.updates.map((one) => [one.price_level, one.new_quantity])).toEqual([
      ['1', '0'],
      ['2', '6'],
    ]);
    await feed.close();
  });

  test('cannot conflate what may not be skipped', () => {
    const { feed } = kit('ethgas');
    expect(() => feed.subscribe({ ...trades, backpressure: { mode: 'conflate' } })).toThrow(/Every entry/);
    expect(() => feed.subscribe({ ...trades, backpressure: { mode: 'buffer', capacity: 0 } })).toThrow(
      /capacity/,
    );
  });
});

describe('a listener that throws', () => {
  test('harms neither the feed nor other listeners', async () => {
    const said = vi.spyOn(console, 'error').mockImplementation(() => {});
    const { venue, feed, pass } = kit('ethgas');
    const fine: unknown[] = [];
    feed.subscribe(trades, () => {
      throw new Error('mine');
    });
    feed.subscribe(trades, async () => {
      throw new Error('mine, later');
    });
    feed.subscribe(trades, (update) => void fine.push(update.type));
    feed.on('state', () => {
      throw new Error('mine too');
    });
    await pass(1000);
    fine.length = 0;
    for (let i = 0; i < 3; i++) venue.publish('recentTradeUpdate', 'wholeBlock');
    await settle();
    expect(fine).toEqual(['update', 'update', 'update']);
    expect(said).toHaveBeenCalled();
    said.mockRestore();
    await feed.close();
  });

  test('a callback that returns a promise is waited for', async () => {
    const { venue, feed, pass } = kit('ethgas');
    const seen: string[] = [];
    let go = () => {};
    feed.subscribe(trades, async (update) => {
      seen.push(`begin ${update.type !== 'resync' && update.sequence}`);
      await new Promise<void>((resolve) => {
        go = resolve;
      });
    });
    await pass(10);
    venue.publish('recentTradeUpdate', 'wholeBlock');
    venue.publish('recentTradeUpdate', 'wholeBlock');
    await settle();
    expect(seen).toEqual(['begin 1']);
    go();
    await settle();
    expect(seen).toEqual(['begin 1', 'begin 2']);
    await feed.close();
  });
});

test('a signal ends a subscription with its reason', async () => {
  const { venue, feed, pass } = kit('ethgas');
  const stop = new AbortController();
  const { ended } = collect(feed.subscribe({ ...trades, signal: stop.signal }));
  await pass(10);
  stop.abort(new Error('enough'));
  expect(await ended).toMatchObject({ message: 'enough' });
  await pass(10);
  expect(venue.heard.at(-1)).toMatchObject({ op: 'unsubscribe' });
  await feed.close();
});
