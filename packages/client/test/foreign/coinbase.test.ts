/** Our client against a server that nobody here wrote for it: `ws`, `jose`, and frames as the live service sends them. */
import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import {
  type ApiKey,
  coinbaseDialect,
  createApiKey,
  createFeed,
  type Feed,
  type FeedOptions,
  type FeedUpdate,
  type OrderBook,
} from '../../src/index.ts';
import { NodeWebSocket } from '../../src/node.ts';
import { closing } from '../support.ts';
import {
  type BareCoinbase,
  plainBook,
  type Recorded,
  recording,
  startBareCoinbase,
} from './bare-coinbase.ts';

const NAME =
  'organizations/11111111-2222-4333-8444-555555555555/apiKeys/66666666-7777-4888-9999-000000000000';
const pairs = {
  ES256: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  EdDSA: generateKeyPairSync('ed25519'),
};

async function venue(alg: 'ES256' | 'EdDSA' = 'ES256'): Promise<{ bare: BareCoinbase; key: ApiKey }> {
  const { publicKey, privateKey } = pairs[alg];
  const bare = closing(
    await startBareCoinbase(publicKey.export({ type: 'spki', format: 'pem' }) as string, alg),
  );
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
  return { bare, key: await createApiKey({ key: pem, name: NAME }) };
}

const feedAt = (url: string, options: Partial<FeedOptions> = {}): Feed =>
  closing(
    createFeed({
      url,
      dialect: coinbaseDialect({ sequence: 'connection' }),
      WebSocket: NodeWebSocket,
      random: () => 0.05,
      ...options,
    }),
  );

async function until(test: () => unknown, what: string): Promise<void> {
  const deadline = performance.now() + 8000;
  while (!test()) {
    if (performance.now() > deadline) throw new Error(`${what} never came to be`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

const shown = (book: OrderBook) => {
  const plain = (levels: { price: string; quantity: string }[]) =>
    levels.map(({ price, quantity }) => [price, quantity]);
  return { bids: plain(book.bids()), asks: plain(book.asks()) };
};
const words = (updates: readonly FeedUpdate[]) =>
  updates.map((one) => (one.type === 'resync' ? `${one.reason}:${one.recovered}` : one.type));

describe('against a bare ws server with recorded frames', () => {
  const eth = recording.level2['ETH-USD'] as Recorded[];

  test('a book is what the frames say, whatever order its snapshot is in', async () => {
    const { bare } = await venue();
    const feed = feedAt(bare.url);
    const book = feed.orderBook('ETH-USD');
    await book.ready;
    expect(shown(book)).toEqual(plainBook(eth.slice(0, 1)));
    const [line] = bare.lines;
    for (let n = 1; n < eth.length; n++) {
      const changed = new Promise((resolve) => book.on('change', resolve));
      line!.send(eth[n]!);
      await changed;
      expect(shown(book)).toEqual(plainBook(eth.slice(0, n + 1)));
    }
    expect(book.stale).toBe(false);
    // The service grants five seconds for the first subscription: beats are asked for at once.
    expect(line!.requests[0]).toMatchObject({ type: 'subscribe', channel: 'heartbeats' });
  });

  test('a lost frame makes the book stale until it was asked for anew on the same connection', async () => {
    const { bare } = await venue();
    const feed = feedAt(bare.url);
    const gaps: unknown[] = [];
    feed.on('gap', (gap) => void gaps.push(gap));
    const book = feed.orderBook('ETH-USD');
    const trades: FeedUpdate[] = [];
    await feed.subscribe(
      { channel: 'market_trades', product: 'ETH-USD' },
      (update) => void trades.push(update),
    ).ready;
    await book.ready;
    const [line] = bare.lines;
    const events: string[] = [];
    book.on('stale', ({ reason }) => void events.push(reason));
    book.on('live', () => void events.push('live'));
    line!.send(eth[1]!);
    // The change that takes a level away is lost, and one that leaves no trace of it follows.
    line!.lose();
    bare.snapshot = (channel, product) =>
      channel === 'level2'
        ? [{ ...eth[0]!, events: [snapshotOf(eth.slice(0, 4))] }]
        : [recording.market_trades[product]![0]!];
    line!.send(eth[3]!);
    await until(() => events.includes('live'), 'the mended book');
    expect(events).toEqual(['gap', 'live']);
    expect(shown(book)).toEqual(plainBook(eth.slice(0, 4)));
    // The service sends no second snapshot to who is subscribed: it has to be left first.
    expect(line!.requests.filter(({ channel }) => channel === 'level2').map(({ type }) => type)).toEqual([
      'subscribe',
      'unsubscribe',
      'subscribe',
    ]);
    // The numbers are the connection's: nobody knows whose frame it was, so every stream begins anew and says so.
    await until(() => words(trades).at(-1) === 'snapshot' && trades.length === 3, 'the trades');
    expect(words(trades)).toEqual(['snapshot', 'gap:false', 'snapshot']);
    expect(gaps).toHaveLength(1);
    expect(bare.lines).toHaveLength(1);
    line!.send(eth[4]!);
    await until(() => shown(book).asks.length === plainBook(eth).asks.length, 'the next change');
    expect(shown(book)).toEqual(plainBook(eth));
  });

  test('a frame that comes twice is taken once', async () => {
    const { bare } = await venue();
    const feed = feedAt(bare.url);
    const seen: FeedUpdate[] = [];
    await feed.subscribe({ channel: 'market_trades', product: 'ETH-USD' }, (update) => void seen.push(update))
      .ready;
    const [line] = bare.lines;
    const frame = recording.market_trades['ETH-USD']![1]!;
    line!.send(frame);
    line!.repeat();
    line!.send(frame);
    await until(() => seen.length === 3, 'the second trade');
    expect([words(seen), feed.stats.duplicates]).toEqual([['snapshot', 'update', 'update'], 1]);
  });

  test('one frame with several products becomes an update of each', async () => {
    const { bare } = await venue();
    bare.snapshot = (_channel, product) => {
      const [frame] = recording.ticker['BTC-PERP-INTX']!;
      const [event] = frame!.events as { tickers: object[] }[];
      return [
        { ...frame!, events: [{ ...event, tickers: [{ ...event!.tickers[0], product_id: product }] }] },
      ];
    };
    const feed = feedAt(bare.url);
    const seen: FeedUpdate[] = [];
    const products = ['BTC-PERP-INTX', 'ETH-PERP-INTX'];
    await feed.subscribe({ channel: 'ticker', products }, (update) => void seen.push(update)).ready;
    bare.lines[0]!.send(recording.several);
    await until(() => seen.length === 4, 'both updates');
    expect(seen.slice(2).map(({ key }) => key)).toEqual(products);
  });

  test.each(['ES256', 'EdDSA'] as const)(
    'a private channel gets a token of its own for every message, signed with %s',
    async (alg) => {
      const { bare, key } = await venue(alg);
      const feed = feedAt(bare.url, { credential: key });
      const seen: FeedUpdate[] = [];
      const orders = feed.subscribe(
        { channel: 'user', product: 'ETH-USD' },
        (update) => void seen.push(update),
      );
      await orders.ready;
      await until(() => seen.length > 0, 'the snapshot');
      expect(seen[0]).toMatchObject({ type: 'snapshot', data: { orders: [{ status: 'OPEN' }] } });
      // A server restart: 1001, as the service sends it.
      bare.lines[0]!.socket.close(1001);
      await until(() => words(seen).length === 3, 'the snapshot after the restart');
      expect(words(seen)).toEqual(['snapshot', 'reconnect:false', 'snapshot']);
      expect(new Set(bare.tokens).size).toBe(2);
      const [one, two] = bare.tokens.map((token) => JSON.parse(atob(token.split('.')[0]!)).nonce);
      expect(one).not.toBe(two);
    },
  );

  test('a refused key is tried once more and then reported, and public streams go on', async () => {
    const { bare } = await venue('ES256');
    const other = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
    const key = await createApiKey({
      key: other.export({ type: 'sec1', format: 'pem' }) as string,
      name: NAME,
    });
    const feed = feedAt(bare.url, { credential: key });
    const book = feed.orderBook('ETH-USD');
    await expect(feed.subscribe({ channel: 'user', product: 'ETH-USD' }).ready).rejects.toMatchObject({
      code: 'unauthorized',
      remedy: 'user',
    });
    expect(bare.tokens).toHaveLength(2);
    await book.ready;
    expect(bare.lines).toHaveLength(1);
  });

  test('a product that the service leaves out of its answer is an error of that call alone', async () => {
    const { bare } = await venue();
    const feed = feedAt(bare.url);
    const book = feed.orderBook('ETH-USD');
    await expect(feed.orderBook('NO-SUCH').ready).rejects.toMatchObject({
      code: 'refused',
      serverCode: 'error.request.unknownChannel',
    });
    await book.ready;
    expect(book.stale).toBe(false);
  });

  test('more books than one connection may have get a second one', async () => {
    const { bare } = await venue();
    bare.snapshot = (_channel, product) => {
      const event = { ...(eth[0]!.events[0] as object), product_id: product };
      return [{ ...eth[0]!, events: [event] }];
    };
    const feed = feedAt(bare.url);
    const books = Array.from({ length: 32 }, (_, n) => feed.orderBook(`P${n}-USD`));
    await Promise.all(books.map((book) => book.ready));
    expect(bare.lines.map(({ held }) => held.get('level2')?.size)).toEqual([30, 2]);
  });

  test('a snapshot of 40,000 levels is one message, and a book', async () => {
    const { bare } = await venue();
    const updates = Array.from({ length: 40_000 }, (_, n) => ({
      side: n % 2 === 0 ? 'bid' : 'offer',
      event_time: '2026-09-07T09:41:12.113045Z',
      price_level: n % 2 === 0 ? `${(100_000 - n) / 100}` : `${(100_001 + n) / 100}`,
      new_quantity: '1',
    }));
    bare.snapshot = () => [{ ...eth[0]!, events: [{ type: 'snapshot', product_id: 'BTC-USD', updates }] }];
    const book = feedAt(bare.url).orderBook('BTC-USD');
    await book.ready;
    expect([book.bids().length, book.asks().length]).toEqual([20_000, 20_000]);
    expect([book.bestBid?.price, book.bestAsk?.price]).toEqual(['1000', '1000.02']);
  });
});

/** The state after some frames, as the service would open a stream with it. */
function snapshotOf(frames: readonly Recorded[]): Record<string, unknown> {
  const { bids, asks } = plainBook(frames);
  const level = (side: string) => (one: string[]) => ({
    side,
    event_time: '2026-09-07T09:41:12.300000Z',
    price_level: one[0],
    new_quantity: one[1],
  });
  return {
    type: 'snapshot',
    product_id: 'ETH-USD',
    updates: [...asks.map(level('offer')), ...bids.map(level('bid'))],
  };
}
