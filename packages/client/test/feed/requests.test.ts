import { describe, expect, test } from 'vitest';
import { settle } from '../support/fake-venue.ts';
import { collect, fakeCredential, kit } from '../support/feed-kit.ts';

const requests = (heard: Record<string, unknown>[], word: string) =>
  heard.filter(({ type, op }) => type === word || op === word);

describe('subscribing over coinbase', () => {
  test('asks for heartbeats first, then for all products of a channel at once', async () => {
    const { venue, feed, pass } = kit('coinbase');
    feed.subscribe({ channel: 'ticker', products: ['ETH-USD', 'BTC-USD'] });
    feed.subscribe({ channel: 'ticker', product: 'SOL-USD' });
    await pass(10);
    expect(venue.heard.map(({ channel, product_ids: ids }) => [channel, ids])).toEqual([
      ['heartbeats', undefined],
      ['ticker', ['ETH-USD', 'BTC-USD', 'SOL-USD']],
    ]);
    await feed.close();
  });

  test('to a product that the answer leaves out is an error of that call, and of no other', async () => {
    const { venue, feed, pass } = kit('coinbase');
    const good = feed.subscribe({ channel: 'ticker', product: 'ETH-USD' });
    const bad = feed.subscribe({ channel: 'ticker', products: ['BTC-USD', 'NO-USD'] });
    const { ended } = collect(bad);
    await pass(1000);
    await expect(good.ready).resolves.toBeUndefined();
    await expect(bad.ready).rejects.toMatchObject({
      code: 'refused',
      message: expect.stringContaining('NO-USD'),
    });
    expect(await ended).toMatchObject({ code: 'refused' });
    expect(requests(venue.heard, 'unsubscribe').map(({ product_ids: ids }) => ids)).toEqual([['BTC-USD']]);
    expect(good.status).toBe('live');
    await feed.close();
  });

  test('an error belongs to the request that waits, however many are wanted', async () => {
    const { venue, feed, pass } = kit('coinbase');
    venue.refusal = ({ channel }) =>
      channel === 'level2' ? { message: 'too many L2 streams requested in a single session' } : null;
    const ticker = feed.subscribe({ channel: 'ticker', product: 'ETH-USD' });
    const level2 = feed.subscribe({ channel: 'level2', product: 'ETH-USD' });
    const status = feed.subscribe({ channel: 'status', product: 'ETH-USD' });
    await pass(1000);
    await expect(level2.ready).rejects.toMatchObject({
      code: 'refused',
      serverCode: 'error.limit.subscriptions',
    });
    await Promise.all([ticker.ready, status.ready]);
    await feed.close();
  });

  test('that is limited is tried again, with delays, and in the end given up', async () => {
    const { venue, feed, pass } = kit('coinbase');
    venue.refusal = ({ channel }) => (channel === 'ticker' ? { message: 'rate limit exceeded' } : null);
    const subscription = feed.subscribe({ channel: 'ticker', product: 'ETH-USD' });
    await pass(60_000, 250);
    await expect(subscription.ready).rejects.toMatchObject({ code: 'rate_limited', remedy: 'retry' });
    expect(venue.heard.filter(({ channel }) => channel === 'ticker')).toHaveLength(7);
    await feed.close();
  });

  test('without an answer fails after ten seconds, and the connection is made anew', async () => {
    const { venue, feed, pass } = kit('coinbase', { heartbeatTimeout: 60_000 });
    const first = feed.subscribe({ channel: 'ticker', product: 'ETH-USD' });
    await pass(500);
    venue.mute = true;
    const second = feed.subscribe({ channel: 'status', product: 'ETH-USD' });
    await pass(9900);
    expect(second.status).toBe('joining');
    await pass(100, 50);
    venue.mute = false;
    await pass(100, 50);
    await expect(second.ready).rejects.toMatchObject({ code: 'timeout' });
    venue.mute = false;
    await pass(3000);
    expect(first.status).toBe('live');
    expect(venue.connects).toBe(2);
    await feed.close();
  });

  test('31 books takes two connections, 30 on the first', async () => {
    const { venue, feed, pass } = kit('coinbase');
    const products = Array.from({ length: 31 }, (_, n) => `P${n}-USD`);
    const subscription = feed.subscribe({ channel: 'level2', products });
    await pass(1000);
    await subscription.ready;
    expect(venue.guests).toBe(2);
    const sizes = venue.heard
      .filter(({ channel }) => channel === 'level2')
      .map(({ product_ids: ids }) => (ids as string[]).length);
    expect(sizes.sort()).toEqual([1, 30]);
    await feed.close();
  });

  test('BTC-USDC takes the frames of BTC-USD, and USDT-USDC its own', async () => {
    const { venue, feed, pass } = kit('coinbase');
    const { updates } = collect(feed.subscribe({ channel: 'ticker', products: ['BTC-USDC', 'USDT-USDC'] }));
    await pass(10);
    venue.publish('ticker', 'BTC-USD');
    venue.publish('ticker', 'USDT-USDC');
    await settle();
    expect(updates.map(({ key }) => key)).toEqual(['BTC-USD', 'USDT-USDC']);
    await feed.close();
  });

  test('a misspelt channel is refused here', () => {
    const { feed } = kit('coinbase');
    expect(() => feed.subscribe({ channel: 'heartbeat' })).toThrow(
      /There is no channel "heartbeat".*heartbeats/,
    );
    expect(() => feed.subscribe({ channel: 'ticker' })).toThrow(/product/);
    expect(() => feed.subscribe({ channel: 'user' })).toThrow(/credential/);
  });
});

describe('giving a subscription back', () => {
  test('resolves when the answer does not list it any more', async () => {
    const { venue, feed, pass } = kit('coinbase');
    const kept = feed.subscribe({ channel: 'ticker', product: 'ETH-USD' });
    const left = feed.subscribe({ channel: 'ticker', product: 'BTC-USD' });
    await pass(10);
    let done = false;
    const closing = left.close().then(() => {
      done = true;
    });
    expect(done).toBe(false);
    await settle();
    await closing;
    expect(venue.heard.at(-1)).toMatchObject({ type: 'unsubscribe', product_ids: ['BTC-USD'] });
    expect(kept.status).toBe('live');
    await feed.close();
  });

  test('while there is no connection resolves at once, and nothing is asked for afterwards', async () => {
    const { venue, feed, pass } = kit('ethgas');
    venue.refuse = { status: 503, retryAfter: null };
    const subscription = feed.subscribe({ channel: 'tickerUpdate', market: 'wholeBlock' });
    await pass(10);
    await subscription.close();
    venue.refuse = null;
    await pass(3000);
    expect(venue.heard).toEqual([]);
    await feed.close();
  });

  test('and asking for it again gives a fresh beginning', async () => {
    const { venue, feed, pass } = kit('coinbase');
    venue.publish('level2', 'ETH-USD', [['bid', '1', '1']]);
    const first = feed.subscribe({ channel: 'level2', product: 'ETH-USD' });
    await pass(10);
    void first.close();
    const { updates } = collect(feed.subscribe({ channel: 'level2', product: 'ETH-USD' }));
    await pass(1000);
    expect(updates.map(({ type }) => type)).toEqual(['snapshot']);
    await feed.close();
  });
});

describe('two subscribers of one stream', () => {
  test('both begin with a snapshot: the earlier one is told that it begins anew', async () => {
    const { venue, feed, pass } = kit('coinbase');
    venue.publish('level2', 'ETH-USD', [['bid', '1', '1']]);
    const one = collect(feed.subscribe({ channel: 'level2', product: 'ETH-USD' }));
    await pass(10);
    const two = collect(feed.subscribe({ channel: 'level2', product: 'ETH-USD' }));
    await pass(1000);
    venue.publish('level2', 'ETH-USD', [['bid', '1', '2']]);
    await settle();
    expect(two.updates.map(({ type }) => type).filter((type) => type !== 'resync')).toEqual([
      'snapshot',
      'update',
    ]);
    expect(one.updates).toMatchObject([
      { type: 'snapshot' },
      { type: 'resync', reason: 'joined', recovered: false },
      { type: 'snapshot' },
      { type: 'update' },
    ]);
    await feed.close();
  });
});

test('a frame that is lost while an answer is under way makes the stream begin once more', async () => {
  const { venue, feed, pass } = kit('coinbase', { venue: { connectionSequence: true } });
  venue.publish('level2', 'ETH-USD', [['bid', '1', '1']]);
  collect(feed.subscribe({ channel: 'ticker', product: 'ETH-USD' }));
  await pass(10);
  // Two frames of the connection vanish between the request and its answer.
  const receive = venue.refusal;
  venue.refusal = (request) => {
    if (request.channel === 'market_trades' && request.type === 'subscribe') {
      venue.fate = () => 'drop';
      venue.publish('ticker', 'ETH-USD');
      venue.fate = () => 'pass';
      venue.refusal = receive;
    }
    return null;
  };
  const { updates } = collect(feed.subscribe({ channel: 'market_trades', product: 'ETH-USD' }));
  await pass(1000);
  expect(updates).toMatchObject([{ type: 'resync', reason: 'gap', recovered: false }]);
  const asked = venue.heard.filter(({ channel }) => channel === 'market_trades').map(({ type }) => type);
  expect(asked).toEqual(['subscribe', 'unsubscribe', 'subscribe']);
  await feed.close();
});

describe('resuming from an earlier life', () => {
  test('brings what was missed, and says so', async () => {
    const { venue, feed, pass } = kit('ethgas');
    for (let i = 0; i < 5; i++) venue.publish('recentTradeUpdate', 'wholeBlock');
    const { updates } = collect(
      feed.subscribe({
        channel: 'recentTradeUpdate',
        market: 'wholeBlock',
        recover: { wholeBlock: { epoch: 'e', sequence: 3 } },
      }),
    );
    await pass(10);
    expect(updates).toMatchObject([
      { type: 'resync', reason: 'resume', recovered: true },
      { sequence: 4, epoch: 'e' },
      { sequence: 5, epoch: 'e' },
    ]);
    await feed.close();
  });

  test('says when that is too long ago', async () => {
    const { venue, feed, pass } = kit('ethgas', { venue: { history: 1 } });
    for (let i = 0; i < 5; i++) venue.publish('accountOrderUpdate', 'wholeBlock');
    const { updates } = collect(
      feed.subscribe({
        channel: 'recentTradeUpdate',
        market: 'wholeBlock',
        recover: { wholeBlock: { epoch: 'gone', sequence: 3 } },
      }),
    );
    await pass(10);
    expect(updates).toMatchObject([{ type: 'resync', reason: 'resume', recovered: false }]);
    await feed.close();
  });
});

test('a credential that cannot be used is never needed for public streams', async () => {
  const credential = fakeCredential();
  const { venue, feed, pass } = kit('ethgas', { credential });
  venue.accepts = () => false;
  const open = feed.subscribe({ channel: 'recentTradeUpdate', market: 'wholeBlock' });
  await pass(3000);
  await open.ready;
  expect(open.status).toBe('live');
  await feed.close();
});
