/** The same promise against the real gateway, which makes faults on purpose, over real sockets. */
import { startTestGateway, type TestGateway } from '@countersign/testkit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ConfigInput, parseConfig } from '../../../gateway/src/operations/config.ts';
import { Book as GatewayBook } from '../../../gateway/src/streams/book.ts';
import {
  createFeed,
  createWalletSession,
  ethgasDialect,
  type Feed,
  type FeedOptions,
  type FeedUpdate,
} from '../../src/index.ts';
import { NodeWebSocket } from '../../src/node.ts';
import { dialectNamed } from '../support/feed-kit.ts';

const config: ConfigInput = { sandbox: { faults: true }, tokens: { leeway: 1 } };
let gateway: TestGateway;
beforeAll(async () => {
  expect(parseConfig(config).sandbox.faults).toBe(true);
  gateway = await startTestGateway(config);
});
afterAll(() => gateway.close());

const feedAt = (query: string, options: Omit<FeedOptions, 'url' | 'WebSocket'>): Feed =>
  createFeed({
    url: `${gateway.urls.websocket}${query}`,
    WebSocket: NodeWebSocket,
    random: () => 0.1,
    ...options,
  });

async function until(test: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + 15_000;
  while (!test()) {
    if (performance.now() > deadline) throw new Error(`${what} never came to be`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

const HARSH = 'drop:0.05,duplicate:0.05,reorder:0.05,gap:0.01,429:0.1';

describe.each([
  { dialect: 'ethgas', what: { channel: 'recentTradeUpdate', market: 'wholeBlock' }, key: 'wholeBlock' },
  { dialect: 'coinbase', what: { channel: 'market_trades', product: 'LOG-USD' }, key: 'LOG-USD' },
] as const)('a log over $dialect', ({ dialect, what, key }) => {
  test.each(['1', '2'])('loses nothing and repeats nothing under faults with the seed %s', async (seed) => {
    const own = dialect === 'coinbase' ? `${seed}-USD` : key;
    const wanted = dialect === 'coinbase' ? { ...what, product: own } : what;
    const make = (n: number) =>
      dialect === 'coinbase' ? { trades: [{ trade_id: String(n), product_id: own }] } : { i: String(n) };
    const publish = (n: number) => gateway.publish({ channel: what.channel, key: own, data: make(n) });
    await publish(0);
    const feed = feedAt(`?faults=${HARSH}&seed=${seed}`, { dialect: dialectNamed(dialect) });
    const seen: FeedUpdate[] = [];
    const subscription = feed.subscribe(wanted, (update) => void seen.push(update));
    await subscription.ready;
    for (let n = 1; n <= 200; n++) await publish(n);
    const sequences = () => seen.flatMap((one) => (one.type === 'update' ? [one.sequence ?? -1] : []));
    let extra = 200;
    const poke = setInterval(() => void publish(++extra).catch(() => {}), 100);
    const head = await gateway.backendFetch(`/streams/${what.channel}/${own}/position`);
    const last = head.body.data.position.sequence as number;
    await until(() => (sequences().at(-1) ?? 0) >= last, 'the last entry');
    clearInterval(poke);
    const got = sequences();
    // The history is long enough for everything to be recovered: not one entry may be missing.
    expect(got).toEqual(Array.from({ length: got.length }, (_, n) => got[0]! + n));
    expect(got.length).toBeGreaterThan(190);
    expect(feed.stats.gaps).toBeGreaterThan(5);
    expect(feed.stats.lost).toBe(0);
    await feed.close();
  });
});

describe.each([
  { dialect: 'ethgas', sequence: 'stream' },
  { dialect: 'coinbase', sequence: 'stream' },
] as const)('a book over $dialect', ({ dialect }) => {
  test.each(['4', '5'])(
    'equals the gateway’s at every sequence under faults with the seed %s',
    async (seed) => {
      const [channel, key, item] =
        dialect === 'coinbase'
          ? ['level2', `BOOK${seed}-USD`, undefined]
          : ['orderBookUpdate', seed === '4' ? 'wholeBlock' : 'inclusionPreconf', `ETH-PC-${seed}`];
      const product = item ?? key;
      const truth = new GatewayBook();
      const checksums: number[] = [truth.checksum()];
      let n = Number(seed);
      const publish = async (reset: boolean) => {
        const levels = Array.from({ length: 3 }, (): ['bid' | 'ask', string, string] => {
          n = (n * 1103515245 + 12345) % 2147483648;
          const side = (n >> 8) % 2 === 0 ? 'bid' : 'ask';
          return [side, String((side === 'bid' ? 90 : 110) + ((n >> 4) % 9)), String((n >> 12) % 4)];
        });
        truth.apply({ reset, levels });
        checksums.push(truth.checksum());
        await gateway.publish({
          channel,
          key,
          ...(item === undefined ? {} : { item }),
          data: { reset, levels },
        });
      };
      await publish(true);
      const feed = feedAt(`?faults=${HARSH}&seed=${seed}`, { dialect: dialectNamed(dialect) });
      const book = feed.orderBook(product, dialect === 'ethgas' ? { market: key } : {});
      const wrong: unknown[] = [];
      let compared = 0;
      book.on('change', () => {
        if (book.sequence === null) return;
        compared += 1;
        if (book.checksum() !== checksums[book.sequence]) wrong.push([book.sequence, book.depth(10)]);
      });
      await book.ready;
      for (let i = 0; i < 200; i++) await publish(i % 70 === 35);
      const poke = setInterval(() => void publish(false).catch(() => {}), 100);
      await until(() => !book.stale && (book.sequence ?? 0) >= 201, 'the last change');
      clearInterval(poke);
      expect(wrong).toEqual([]);
      expect(compared).toBeGreaterThan(50);
      await feed.close();
    },
  );
});

describe('a connection that the gateway', () => {
  test('closes again and again comes back each time', async () => {
    const feed = feedAt('?faults=close:1012@0.2', { dialect: ethgasDialect() });
    const reasons: string[] = [];
    feed.subscribe({ channel: 'tickerUpdate', market: 'wholeBlock' }, (update) => {
      if (update.type === 'resync') reasons.push(update.reason);
    });
    await until(() => feed.stats.connects >= 4, 'the fourth connection');
    await feed.close();
    expect(new Set(reasons)).toEqual(new Set(['reconnect']));
  });

  test('revokes is not made again', async () => {
    const feed = feedAt('?faults=revoke:0.2', { dialect: ethgasDialect() });
    const subscription = feed.subscribe({ channel: 'tickerUpdate', market: 'wholeBlock' });
    await expect(
      (async () => {
        for await (const _ of subscription);
      })(),
    ).rejects.toMatchObject({ code: 'unauthorized' });
    expect(feed.stats.connects).toBe(1);
    expect(feed.state.status).toBe('closed');
  });

  test('tells of an expired token gets a new one, and private streams lose nothing', async () => {
    const session = createWalletSession({
      baseUrl: gateway.urls.rest,
      signer: '5'.padStart(64, '0'),
      chainId: 1,
    });
    const feed = feedAt('?faults=expire:0.5', { dialect: ethgasDialect(), credential: session });
    const seen: FeedUpdate[] = [];
    const orders = { channel: 'accountTransactionUpdate', market: 'wholeBlock' };
    const subscription = feed.subscribe(orders, (update) => void seen.push(update));
    await subscription.ready;
    const { adminFetch } = gateway;
    const { body } = await adminFetch('/connections');
    const userId = (body.data.connections as { userId: number | null }[]).find((one) => one.userId !== null)!
      .userId!;
    const send = (n: number) =>
      gateway.sendEvent(userId, { channel: orders.channel, key: 'wholeBlock', data: { t: n } });
    for (let n = 0; n < 40; n++) {
      await send(n);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    await until(() => seen.length >= 80, 'both accounts’ fills');
    expect(feed.stats.logins).toBeGreaterThan(1);
    expect(feed.stats.connects).toBe(1);
    expect(seen.every((one) => one.type === 'update')).toBe(true);
    const byKey = new Map<string, FeedUpdate[]>();
    for (const one of seen) byKey.set(one.key, [...(byKey.get(one.key) ?? []), one]);
    for (const list of byKey.values()) {
      expect(list.map((one) => one.type === 'update' && one.sequence)).toEqual(list.map((_, n) => n + 1));
    }
    await feed.close();
    await session.close();
  });
});
