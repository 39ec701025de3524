import { describe, expect, test } from 'vitest';
import { createFeed, ethgasDialect, UsageError } from '../../src/index.ts';
import { settle } from '../support/fake-venue.ts';
import { collect, kit } from '../support/feed-kit.ts';

const trades = { channel: 'recentTradeUpdate', market: 'inclusionPreconf' };

describe('a connection that is lost', () => {
  test.each([1000, 1001, 1006, 1008, 1011, 1012, 1013, 4100, 4101, 4102, 4999])(
    'with code %i comes back and goes on',
    async (code) => {
      const { venue, feed, pass } = kit('ethgas');
      const { updates } = collect(feed.subscribe(trades));
      await pass(10);
      venue.publish('recentTradeUpdate', 'inclusionPreconf');
      await settle();
      venue.cut(code);
      venue.publish('recentTradeUpdate', 'inclusionPreconf');
      await pass(2000);
      expect(updates.map((update) => (update.type === 'resync' ? update.reason : update.sequence))).toEqual([
        1,
        'reconnect',
        2,
      ]);
      await feed.close();
    },
  );

  test('with code 4000 stays away, and everybody is told', async () => {
    const { venue, feed, pass } = kit('ethgas');
    const { ended } = collect(feed.subscribe(trades));
    await pass(10);
    venue.cut(4000);
    await pass(120_000, 5000);
    expect(venue.connects).toBe(1);
    expect(await ended).toMatchObject({ code: 'unauthorized', remedy: 'user' });
    expect(feed.state).toMatchObject({ status: 'closed', error: { code: 'unauthorized' } });
    expect(() => feed.subscribe(trades)).toThrow(UsageError);
  });

  test('for what the server calls rubbish three times over is not made again', async () => {
    const { venue, feed, pass } = kit('ethgas');
    venue.dropAtOnce = 1002;
    const { ended } = collect(feed.subscribe(trades));
    await pass(60_000, 500);
    expect(venue.connects).toBe(3);
    expect(await ended).toMatchObject({ code: 'refused' });
  });
});

describe('spacing', () => {
  test('a server that accepts and drops at once sees delays that double, up to their cap', async () => {
    const { venue, feed, pass } = kit('ethgas', { random: () => 0.999 });
    venue.dropAtOnce = 1011;
    collect(feed.subscribe(trades));
    await pass(300_000, 100);
    const gaps = venue.connectedAt.slice(1).map((at, index) => at - venue.connectedAt[index]!);
    const wanted = [500, 1000, 2000, 4000, 8000, 16_000, 20_000, 20_000];
    for (const [index, ms] of wanted.entries()) expect(Math.abs(gaps[index]! - ms)).toBeLessThan(250);
    expect(venue.connects).toBeLessThan(22);
    await feed.close();
  });

  test('is random from nothing up, but never nothing', async () => {
    const { venue, feed, pass } = kit('ethgas', { random: () => 0 });
    venue.dropAtOnce = 1011;
    collect(feed.subscribe(trades));
    await pass(10_000, 50);
    expect(venue.connects).toBeGreaterThan(50);
    expect(venue.connects).toBeLessThanOrEqual(101);
    await feed.close();
  });

  test('starts anew after a minute that the connection lasted, and not before', async () => {
    const { venue, feed, pass } = kit('ethgas', { random: () => 0.999 });
    const delays: number[] = [];
    feed.on('state', ({ state }) => state.status === 'waiting' && delays.push(Math.round(state.delay)));
    collect(feed.subscribe(trades));
    await pass(1000);
    for (const lasted of [59_000, 30_000, 61_000, 1000]) {
      await pass(lasted, 1000);
      venue.cut();
      await pass(5000, 100);
    }
    expect(delays).toEqual([500, 999, 500, 999]);
    await feed.close();
  });

  test('of a refused upgrade is at least what the server asked for', async () => {
    const { venue, feed, pass } = kit('ethgas');
    venue.refuse = { status: 429, retryAfter: 7 };
    collect(feed.subscribe(trades));
    await pass(6900, 100);
    expect(venue.connects).toBe(1);
    venue.refuse = null;
    await pass(1000, 100);
    expect(feed.state.status).toBe('open');
    await feed.close();
  });

  test('ends after as many attempts as were allowed', async () => {
    const { venue, feed, pass } = kit('ethgas', { maxAttempts: 4 });
    venue.refuse = { status: 503, retryAfter: null };
    const { ended } = collect(feed.subscribe(trades));
    await pass(120_000, 500);
    expect(venue.connects).toBe(4);
    expect(await ended).toMatchObject({ code: 'unreachable', remedy: 'retry' });
  });
});

describe('a dead connection', () => {
  test('over ethgas is noticed by a ping that nobody answers', async () => {
    const { venue, feed, pass } = kit('ethgas');
    const drops: string[] = [];
    feed.on('state', ({ state }) => state.status === 'waiting' && drops.push(state.drop.why));
    collect(feed.subscribe(trades));
    await pass(60_000, 1000);
    expect(venue.connects).toBe(1);
    venue.mute = true;
    await pass(15_000, 500);
    expect(drops).toEqual(['silent']);
    venue.mute = false;
    await pass(3000);
    expect(feed.state.status).toBe('open');
    await feed.close();
  });

  test('over coinbase is noticed by four seconds without a beat', async () => {
    const { venue, feed, pass } = kit('coinbase');
    collect(feed.subscribe({ channel: 'ticker', product: 'ETH-USD' }));
    await pass(3000);
    venue.mute = true;
    await pass(3750);
    expect(venue.connects).toBe(1);
    expect(feed.state.status).toBe('open');
    await pass(250);
    expect(feed.state).toMatchObject({ status: 'waiting', drop: { why: 'silent' } });
    venue.mute = false;
    await pass(2000);
    expect(feed.state.status).toBe('open');
    await feed.close();
  });

  test('that never opens is given up after its time', async () => {
    const { clock, feed, pass } = kit('ethgas', {
      WebSocket: class {
        binaryType = '';
        onopen = null;
        onmessage = null;
        onclose = null;
        onerror = null;
        send() {}
        close() {}
      },
    });
    feed.open();
    await pass(9000, 1000);
    expect(feed.state.status).toBe('connecting');
    clock.advance(1001);
    expect(feed.state).toMatchObject({ status: 'waiting', drop: { why: 'timeout' } });
    await feed.close();
  });
});

describe('the end', () => {
  test('by close is quiet for consumers, and nothing reconnects', async () => {
    const { venue, feed, pass } = kit('ethgas');
    const { ended } = collect(feed.subscribe(trades));
    await pass(10);
    await feed.close();
    await feed.close();
    await pass(60_000, 5000);
    expect(await ended).toBeNull();
    expect(venue.connects).toBe(1);
    expect(venue.guests).toBe(0);
  });

  test('by a signal is the same', async () => {
    const stop = new AbortController();
    const { feed, pass } = kit('ethgas', { signal: stop.signal });
    const { ended } = collect(feed.subscribe(trades));
    await pass(10);
    stop.abort();
    expect(await ended).toBeNull();
    expect(feed.state.status).toBe('closed');
  });

  test('by drain lets a consumer take what waits for it', async () => {
    const { venue, feed, pass } = kit('ethgas');
    const subscription = feed.subscribe(trades);
    await pass(10);
    for (let i = 0; i < 5; i++) venue.publish('recentTradeUpdate', 'inclusionPreconf');
    await settle();
    const drained = feed.drain();
    const seen: unknown[] = [];
    for await (const update of subscription) seen.push(update);
    await drained;
    expect(seen).toHaveLength(5);
    expect(feed.state.status).toBe('closed');
  });

  test('is the last of the states that are handed out', async () => {
    const { feed, pass } = kit('ethgas');
    const seen: string[] = [];
    const reading = (async () => {
      for await (const { status } of feed.states()) seen.push(status);
    })();
    feed.open();
    await pass(10);
    await feed.close();
    await reading;
    expect(seen.at(-1)).toBe('closed');
    expect(seen).toContain('open');
  });
});

test.each(['http://venue.test', 'wss://user:secret@venue.test', 'venue'])(
  'the address %s is refused',
  (url) => {
    try {
      createFeed({ url, dialect: ethgasDialect(), WebSocket: kit('ethgas').venue.WebSocket });
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(UsageError);
      expect(String(error)).not.toContain('secret');
    }
  },
);
