import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Server } from 'socket.io';
import { afterEach, describe, expect, test } from 'vitest';
import { type House, openHouse } from '../../../gateway/test/socketio/kit.ts';
import type { FeedUpdate } from '../../src/index.ts';
import { createSocketClient, type SocketClient, type SocketClientOptions } from '../../src/socketio.ts';

const open: { close(): unknown }[] = [];
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close();
});
const closing = <T extends { close(): unknown }>(thing: T): T => {
  open.push(thing);
  return thing;
};

const clientAt = (url: string, options: Omit<SocketClientOptions, 'url'>): SocketClient =>
  closing(createSocketClient({ url, random: () => 0.05, ...options }));
const house = async (...given: Parameters<typeof openHouse>): Promise<House> =>
  closing(await openHouse(...given));

async function until(test: () => boolean): Promise<void> {
  const deadline = performance.now() + 8000;
  while (!test()) {
    if (performance.now() > deadline) throw new Error('never came to be');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

const trade = (key: string, id: number) => ({
  channel: 'market_trades',
  key,
  data: { trades: [{ trade_id: String(id), product_id: key }] },
});
const book = (key: string, ...levels: string[][]) => ({
  channel: 'level2',
  key,
  data: { reset: true, levels },
});

describe('requests', () => {
  test('get their own answers, however many equal ones are under way and in whatever order they come', async () => {
    const { urls, token, venue } = await house();
    const { secret } = await token();
    const waiting: (() => void)[] = [];
    venue.answer = ({ params }) =>
      new Promise((resolve) => waiting.push(() => resolve({ success: true, result: { n: params.n } })));
    const client = clientAt(urls.socketio, { token: secret });
    await client.open();
    const all = [1, 2, 3, 4, 5].map((n) =>
      client.request<{ n: number }>('/evm/buy/quote', { chain: 'eth', n }),
    );
    await until(() => waiting.length === 5);
    for (const answer of waiting.reverse()) answer();
    expect((await Promise.all(all)).map(({ n }) => n)).toEqual([1, 2, 3, 4, 5]);
  });

  test('that fail bring the venue’s code, and what came about all the same', async () => {
    const { urls, token, venue } = await house();
    const { secret } = await token();
    venue.answer = () => ({
      success: false,
      error: { code: 'INSUFFICIENT_LIQUIDITY', message: 'not enough' },
      partialResult: { amount: '5' },
    });
    const client = clientAt(urls.socketio, { token: secret });
    await client.open();
    await expect(client.request('/evm/buy/quote', { chain: 'eth' })).rejects.toMatchObject({
      code: 'refused',
      serverCode: 'INSUFFICIENT_LIQUIDITY',
      message: 'not enough',
      partialResult: { amount: '5' },
    });
  });

  test('are never kept for later: without a connection they fail at once', async () => {
    const { urls, token } = await house();
    const { secret } = await token();
    const client = clientAt(urls.socketio, { token: secret });
    await expect(client.request('/evm/buy/quote')).rejects.toMatchObject({ code: 'unreachable' });
    await client.open();
    await client.close();
    await expect(client.request('/evm/buy/quote')).rejects.toMatchObject({ code: 'closed' });
  });

  test('have their own time, and can be given up', async () => {
    const { urls, token, venue } = await house();
    const { secret } = await token();
    venue.answer = () => new Promise(() => {});
    const client = clientAt(urls.socketio, { token: secret });
    await client.open();
    await expect(client.request('/evm/buy/quote', {}, { timeout: 50 })).rejects.toMatchObject({
      code: 'timeout',
    });
    const stop = new AbortController();
    const given = client.request('/evm/buy/quote', {}, { signal: stop.signal });
    stop.abort(new Error('enough'));
    await expect(given).rejects.toThrow('enough');
  });
});

describe('a server that answers by event only', () => {
  async function bare(answer: (n: number, reply: (n: number) => void) => void): Promise<string> {
    const http = createServer();
    const io = new Server(http);
    closing(io);
    io.on('connection', (socket) => {
      socket.on('/quote', ({ n }: { n: number }) =>
        answer(n, (value) => socket.emit('/quote', { success: true, result: { n: value } })),
      );
    });
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
  }

  test('is asked equal questions one after another', async () => {
    let under = 0;
    let most = 0;
    const url = await bare((n, reply) => {
      under += 1;
      most = Math.max(most, under);
      setTimeout(
        () => {
          under -= 1;
          reply(n);
        },
        20 - n * 3,
      );
    });
    const client = clientAt(url, { token: 'any', answers: 'event' });
    await client.open();
    const answers = await Promise.all(
      [1, 2, 3, 4].map((n) => client.request<{ n: number }>('/quote', { n })),
    );
    expect(answers.map(({ n }) => n)).toEqual([1, 2, 3, 4]);
    expect(most).toBe(1);
  });

  test('cannot make a late answer pass for the next one: the connection is made anew', async () => {
    const late: (() => void)[] = [];
    const url = await bare((n, reply) => (n === 1 ? late.push(() => reply(1)) : reply(n)));
    const client = clientAt(url, { token: 'any', answers: 'event' });
    await client.open();
    await expect(client.request('/quote', { n: 1 }, { timeout: 30 })).rejects.toMatchObject({
      code: 'timeout',
    });
    for (const answer of late) answer();
    await until(() => client.state.status === 'open' && client.stats.connects === 2);
    expect(await client.request('/quote', { n: 2 })).toEqual({ n: 2 });
  });
});

describe('the token', () => {
  test('is asked for at every connection attempt', async () => {
    const { urls, token, gateway } = await house();
    const { secret } = await token();
    let asked = 0;
    const client = clientAt(urls.socketio, {
      token: async () => {
        asked += 1;
        return secret;
      },
    });
    await client.open();
    expect(asked).toBe(1);
    expect(gateway).toBeDefined();
    const again = new Promise<void>((resolve) =>
      client.on('state', ({ status }) => status === 'open' && resolve()),
    );
    // As a lost network does it: the library notices a dead transport.
    await expect(client.request('x'.repeat(200_000))).rejects.toBeDefined();
    await again;
    expect(asked).toBe(2);
  });

  test('that is refused is tried once more, after a pause, and then reported', async () => {
    const { urls } = await house();
    let asked = 0;
    const client = clientAt(urls.socketio, {
      token: () => {
        asked += 1;
        return `csh_wrong${asked}`;
      },
    });
    await expect(client.open()).rejects.toMatchObject({ code: 'unauthorized', remedy: 'user' });
    expect(asked).toBe(2);
    expect(client.state).toMatchObject({ status: 'closed' });
  });

  test('that is revoked ends the client, and it does not come back', async () => {
    const { urls, token, adminFetch } = await house();
    const { secret, tokenId } = await token();
    const client = clientAt(urls.socketio, { token: secret });
    await client.open();
    const subscription = client.subscribe({ channel: 'heartbeats' });
    await subscription.ready;
    const revoked = await adminFetch(`/handshake-tokens/${tokenId}`, undefined, 'DELETE');
    expect(revoked.status).toBe(200);
    await until(() => client.state.status === 'closed');
    expect(client.state).toMatchObject({ error: { code: 'unauthorized' } });
    expect(client.stats.connects).toBe(1);
    await expect(subscription[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: 'unauthorized' });
  });
});

describe('streams', () => {
  test('go on after a lost connection where they were', async () => {
    const { urls, token, publish } = await house();
    const { secret } = await token();
    await publish(trade('EE-USD', 1));
    const client = clientAt(urls.socketio, { token: secret });
    const seen: FeedUpdate[] = [];
    const subscription = client.subscribe({ channel: 'market_trades', product: 'EE-USD' }, (update) => {
      seen.push(update);
    });
    await subscription.ready;
    await publish(trade('EE-USD', 2));
    await until(() => seen.length === 2);
    await expect(client.request('x'.repeat(200_000))).rejects.toBeDefined();
    await publish(trade('EE-USD', 3), trade('EE-USD', 4));
    await until(() => seen.length === 5);
    expect(
      seen.map((one) => (one.type === 'resync' ? `${one.reason} ${one.recovered}` : one.sequence)),
    ).toEqual([1, 2, 'reconnect true', 3, 4]);
  });

  test('become books, of products and of instruments', async () => {
    const { urls, token, publish } = await house();
    const { secret } = await token();
    await publish(book('FF-USD', ['bid', '1.50', '2'], ['ask', '2', '1']), {
      ...book('inclusionPreconf', ['bid', '7', '1']),
      channel: 'orderBookUpdate',
      item: 'ETH-PC-1',
    });
    const client = clientAt(urls.socketio, { token: secret });
    const [spot, slot] = [client.orderBook('FF-USD'), client.orderBook('ETH-PC-1')];
    await Promise.all([spot.ready, slot.ready]);
    await publish({ channel: 'level2', key: 'FF-USD', data: { levels: [['bid', '1.5', '0']] } });
    await until(() => spot.bestBid === null);
    expect(spot.bestAsk).toEqual({ price: '2', quantity: '1' });
    expect(slot.bestBid).toEqual({ price: '7', quantity: '1' });
  });

  test('that there are not are an error of that call', async () => {
    const { urls, token } = await house();
    const { secret } = await token();
    const client = clientAt(urls.socketio, { token: secret });
    const subscription = client.subscribe({ channel: 'ticker', product: 'XX-USD' });
    await expect(subscription.ready).rejects.toMatchObject({ code: 'refused' });
  });
});
