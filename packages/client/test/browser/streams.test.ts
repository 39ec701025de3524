/** Streams in a page: over the browser's own WebSocket, from another origin. */
import { startCuttingProxy } from '@countersign/testkit';
import { describe, expect, test } from 'vitest';
import { Book as GatewayBook } from '../../../gateway/src/streams/book.ts';
import { sessionAt } from '../support.ts';
import { withoutChromium } from './chromium.ts';
import { browserKit, openPage, until } from './kit.ts';
import { installWallet } from './wallet.ts';

const CHANNEL = 'accountTransactionUpdate';

describe.skipIf(withoutChromium)('a feed in a page [needs chromium]', () => {
  const kit = browserKit({ tokens: { accessTtl: 3, leeway: 0 } });

  const start = ([base, url]: string[]) => {
    globalThis.session = countersign.createWalletSession({
      baseUrl: base!,
      signer: ethereum,
      store: countersign.localStorageStore(),
    });
    globalThis.feed = countersign.createFeed({
      url: url!,
      dialect: countersign.ethgasDialect(),
      credential: session,
    });
    globalThis.seen = [];
    return session
      .login()
      .then(
        () =>
          feed.subscribe(
            { channel: 'accountTransactionUpdate', market: 'wholeBlock' },
            (update) => void seen.push(update),
          ).ready,
      )
      .then(() => session.userId!);
  };
  const send = (userId: number, n: number) =>
    kit.gateway.sendEvent(userId, { channel: CHANNEL, key: 'wholeBlock', data: { t: n } });
  /** Numbers of what came, of the first account; resyncs in words. */
  const story = () => {
    const [first] = seen;
    return seen
      .filter(({ key }) => key === first?.key)
      .map((one) =>
        one.type === 'resync' ? `${one.reason}:${one.recovered}` : (one.data as { t: number }).t,
      );
  };

  test('brings private events, and after a cut exactly what was missed', async () => {
    const context = await kit.context();
    await installWallet(context, 1);
    const page = await openPage(context, kit.site.origin);
    const proxy = await startCuttingProxy(kit.gateway.urls.websocket);
    try {
      const userId = await page.evaluate(start, [
        kit.gateway.urls.rest,
        `${proxy.url}${new URL(kit.gateway.urls.websocket).pathname}`,
      ]);
      await send(userId, 1);
      await until(page, () => seen.length >= 2, undefined);
      proxy.down = true;
      proxy.cut();
      await until(page, () => feed.state.status === 'waiting', undefined);
      await send(userId, 2);
      await send(userId, 3);
      proxy.down = false;
      await until(page, () => seen.filter(({ type }) => type === 'update').length >= 6, undefined);
      expect(await page.evaluate(story)).toEqual([1, 'reconnect:true', 2, 3]);
      expect(await page.evaluate(() => [feed.stats.lost, feed.stats.duplicates])).toEqual([0, 0]);
      await page.evaluate(() => feed.close());
    } finally {
      await proxy.close();
    }
  });

  test('signs in anew on the open connection after its token has expired, without a hole', async () => {
    const context = await kit.context();
    await installWallet(context, 2);
    const page = await openPage(context, kit.site.origin);
    const sockets: string[] = [];
    let expired = () => {};
    const dead = new Promise<void>((resolve) => {
      expired = resolve;
    });
    page.on('websocket', (socket) => {
      sockets.push(socket.url());
      socket.on('framereceived', ({ payload }) => {
        if (String(payload).includes('token_expired')) expired();
      });
    });
    // No refresh gets through until the token is dead.
    let blocked = true;
    await page.route('**/v1/user/login/refresh', (route) => (blocked ? route.abort() : route.continue()));
    const userId = await page.evaluate(start, [kit.gateway.urls.rest, kit.gateway.urls.websocket]);
    await send(userId, 1);
    await until(page, () => seen.length >= 2, undefined);
    await dead;
    await send(userId, 2);
    blocked = false;
    await until(page, () => seen.length >= 4 && feed.stats.logins > 1, undefined);
    await send(userId, 3);
    await until(page, () => seen.length >= 6, undefined);
    expect((await page.evaluate(story)).filter((one) => typeof one === 'number')).toEqual([1, 2, 3]);
    expect(await page.evaluate(() => [feed.stats.logins > 1, feed.stats.connects, feed.stats.lost])).toEqual([
      true,
      1,
      0,
    ]);
    expect(sockets).toHaveLength(1);
    await page.evaluate(() => feed.close());
  });

  test('shows the gateway’s order book, level for level', async () => {
    const page = await openPage(await kit.context(), kit.site.origin);
    const truth = new GatewayBook();
    const change = async (reset: boolean, levels: ['bid' | 'ask', string, string][]) => {
      truth.apply({ reset, levels });
      await kit.gateway.publish({ channel: 'level2', key: 'ETH-USD', data: { reset, levels } });
    };
    await change(true, [
      ['bid', '3999.99', '1.50'],
      ['bid', '3999.9', '2'],
      ['ask', '4000.01', '0.00000001'],
    ]);
    await page.evaluate(async (url) => {
      globalThis.feed = countersign.createFeed({ url, dialect: countersign.coinbaseDialect() });
      const book = feed.orderBook('ETH-USD');
      Object.assign(globalThis, { book });
      await book.ready;
    }, kit.gateway.urls.websocket);
    await change(false, [
      ['bid', '3999.990', '0'],
      ['ask', '4000.005', '7'],
    ]);
    const look = () => {
      const { book } = globalThis as unknown as { book: import('../../src/index.ts').OrderBook };
      return { stale: book.stale, best: [book.bestBid, book.bestAsk], checksum: book.checksum() };
    };
    await until(
      page,
      () =>
        (globalThis as unknown as { book: import('../../src/index.ts').OrderBook }).book.bestAsk?.quantity ===
        '7',
      undefined,
    );
    expect(await page.evaluate(look)).toEqual({
      stale: false,
      best: [
        { price: '3999.9', quantity: '2' },
        { price: '4000.005', quantity: '7' },
      ],
      checksum: truth.checksum(),
    });
    await page.evaluate(() => feed.close());
  });

  test.each([
    ['P-256', 'ES256'],
    ['Ed25519', 'EdDSA'],
  ])('and REST calls are signed by WebCrypto with an API key on %s', async (_curve, alg) => {
    const owner = sessionAt(kit.gateway.urls.rest);
    const made = await owner.fetch('/v1/user/keys', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ scopes: ['view'], alg }),
    });
    const { data } = (await made.json()) as { data: object };
    const page = await openPage(await kit.context(), kit.site.origin);
    const result = await page.evaluate(
      async ([rest, url, file]) => {
        const key = await countersign.createApiKey({ key: file! });
        const answer = await key.fetch(`${rest}/api/v3/brokerage/key_permissions`);
        globalThis.feed = countersign.createFeed({
          url: url!,
          dialect: countersign.coinbaseDialect(),
          credential: key,
        });
        globalThis.seen = [];
        await feed.subscribe({ channel: 'user', product: 'ETH-USD' }, (update) => void seen.push(update))
          .ready;
        return [key.algorithm, answer.status];
      },
      [kit.gateway.urls.rest, kit.gateway.urls.websocket, JSON.stringify(data)],
    );
    expect(result).toEqual([alg, 200]);
    const order = { order_id: alg, product_id: 'ETH-USD', status: 'OPEN' };
    await kit.gateway.sendEvent(owner.userId!, { channel: 'user', item: alg, data: { orders: [order] } });
    await until(page, (id) => JSON.stringify(seen).includes(id), `"${alg}"`);
    await page.evaluate(() => feed.close());
  });

  test('has the same streams and requests over Socket.IO with a handshake token', async () => {
    const page = await openPage(await kit.context(), kit.site.origin);
    const { body } = await kit.gateway.adminFetch('/handshake-tokens', {
      user: { displayName: 'page' },
      name: 'page',
      permissions: ['market_data'],
    });
    const publish = () =>
      kit.gateway.publish({ channel: 'ticker', key: 'SIO-USD', data: { tickers: [{ price: '1' }] } });
    await publish();
    await page.evaluate(
      async ([url, token]) => {
        const client = countersign.createSocketClient({ url: url!, token: token! });
        globalThis.seen = [];
        await client.open();
        await client.subscribe({ channel: 'ticker', product: 'SIO-USD' }, (update) => void seen.push(update))
          .ready;
      },
      [kit.gateway.urls.socketio, body.data.secret],
    );
    await publish();
    await until(page, () => seen.some((one) => one.type === 'update'), undefined);
  });
});
