/** Our client against a bare `socket.io` server with the authentication that Chainworks' page describes. */
import { createServer, type Server as HttpServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Server, type Socket } from 'socket.io';
import { describe, expect, test } from 'vitest';
import type { FeedUpdate } from '../../src/index.ts';
import { createSocketClient, type SocketClient, type SocketClientOptions } from '../../src/socketio.ts';
import { closing } from '../support.ts';

interface Bare {
  readonly url: string;
  readonly good: Set<string>;
  /** Tokens that were shown, in order. */
  readonly shown: string[];
  readonly sockets: Set<Socket>;
  /** Stops listening and cuts everybody off; `start` listens on the same port again. */
  stop(): Promise<void>;
  start(): Promise<void>;
  close(): Promise<void>;
}

type Ack = (reply: object) => void;

async function bareServer(): Promise<Bare> {
  const good = new Set(['token-1']);
  const shown: string[] = [];
  const sockets = new Set<Socket>();
  let http: HttpServer;
  let io: Server;
  let port = 0;
  async function start(): Promise<void> {
    http = createServer();
    io = new Server(http);
    io.use((socket, next) => {
      const { token } = socket.handshake.auth as { token: string };
      shown.push(token);
      if (good.has(token)) next();
      else next(new Error('unauthorized'));
    });
    io.on('connection', (socket) => {
      sockets.add(socket);
      socket.on('disconnect', () => sockets.delete(socket));
      const held = new Map<string, number>();
      socket.on('/evm/buy/quote', ({ chain, wait = 0 }: { chain: string; wait?: number }, ack?: Ack) => {
        const reply =
          chain === 'eth'
            ? { success: true, result: { chain, wait } }
            : {
                success: false,
                error: { code: 'INVALID_CHAIN', message: `Chain ${chain} is not supported` },
              };
        setTimeout(() => (ack === undefined ? socket.emit('/evm/buy/quote', reply) : ack(reply)), wait);
      });
      socket.on('/never', () => {});
      // A server of anybody's: it numbers nothing and offers nothing to recover from.
      socket.on('subscribe', ({ channel, key }: { channel: string; key: string }, ack: Ack) => {
        held.set(`${channel}/${key}`, 0);
        ack({ success: true, result: { channel, key } });
        const data = { bids: [['10', '1']], asks: [['11', '2']] };
        if (channel === 'level2') socket.emit('level2', { channel, key, type: 'snapshot', data });
      });
      socket.on('unsubscribe', (_wish: unknown, ack: Ack) => ack({ success: true, result: {} }));
    });
    await new Promise<void>((resolve) => http.listen(port, '127.0.0.1', resolve));
    port = (http.address() as AddressInfo).port;
  }
  await start();
  const stop = async () => {
    await io.close();
  };
  return { url: `http://127.0.0.1:${port}`, good, shown, sockets, start, stop, close: stop };
}

const bare = async (): Promise<Bare> => closing(await bareServer());
const clientAt = (url: string, options: Omit<SocketClientOptions, 'url'>): SocketClient =>
  closing(createSocketClient({ url, random: () => 0.05, ...options }));

async function until(test: () => unknown): Promise<void> {
  const deadline = performance.now() + 8000;
  while (!test()) {
    if (performance.now() > deadline) throw new Error('never came to be');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

describe('against a bare socket.io server', () => {
  test('a good token opens it, and requests get their own answers in whatever order they come', async () => {
    const server = await bare();
    const client = clientAt(server.url, { token: 'token-1' });
    await client.open();
    const answers = await Promise.all(
      [40, 20, 0].map((wait) => client.request<{ wait: number }>('/evm/buy/quote', { chain: 'eth', wait })),
    );
    expect(answers.map(({ wait }) => wait)).toEqual([40, 20, 0]);
    await expect(client.request('/evm/buy/quote', { chain: 'doge' })).rejects.toMatchObject({
      code: 'refused',
      serverCode: 'INVALID_CHAIN',
      message: 'Chain doge is not supported',
    });
    await expect(client.request('/never', {}, { timeout: 20 })).rejects.toMatchObject({ code: 'timeout' });
    expect(client.state.status).toBe('open');
  });

  test('answers by event are understood too', async () => {
    const server = await bare();
    const client = clientAt(server.url, { token: 'token-1', answers: 'event' });
    await client.open();
    const answers = await Promise.all(
      [20, 0].map((wait) => client.request<{ wait: number }>('/evm/buy/quote', { chain: 'eth', wait })),
    );
    expect(answers.map(({ wait }) => wait)).toEqual([20, 0]);
  });

  test('"unauthorized" ends it after one more try with a fresh token, and says so', async () => {
    const server = await bare();
    const given = ['stolen', 'expired', 'more'];
    const client = clientAt(server.url, { token: () => given[server.shown.length]! });
    await expect(client.open()).rejects.toMatchObject({ code: 'unauthorized', remedy: 'user' });
    expect(server.shown).toEqual(['stolen', 'expired']);
  });

  test('a rotated token is shown when it comes back after a restart; nothing is sent twice', async () => {
    const server = await bare();
    let token = 'token-1';
    const client = clientAt(server.url, { token: () => token });
    await client.open();
    const lost = client.request('/never');
    lost.catch(() => {});
    await server.stop();
    await expect(lost).rejects.toMatchObject({ code: 'unreachable' });
    await expect(client.request('/evm/buy/quote', { chain: 'eth' })).rejects.toMatchObject({
      code: 'unreachable',
    });
    server.good.clear();
    token = 'token-2';
    server.good.add(token);
    await server.start();
    await until(() => client.state.status === 'open');
    expect(await client.request('/evm/buy/quote', { chain: 'eth' })).toEqual({ chain: 'eth', wait: 0 });
    expect(server.shown).toEqual(['token-1', 'token-2']);
  });

  test('streams without numbers are delivered, and a loss is told', async () => {
    const server = await bare();
    const client = clientAt(server.url, { token: 'token-1' });
    const seen: FeedUpdate[] = [];
    const trades = client.subscribe(
      { channel: 'market_trades', product: 'ETH-USD' },
      (one) => void seen.push(one),
    );
    const book = client.orderBook('ETH-USD');
    await Promise.all([trades.ready, book.ready]);
    const push = (data: object) => {
      for (const socket of server.sockets)
        socket.emit('market_trades', { channel: 'market_trades', key: 'ETH-USD', type: 'update', data });
    };
    push({ id: 1 });
    push({ id: 2 });
    await until(() => seen.length === 2);
    for (const socket of server.sockets) {
      const data = { bids: [['10', '0']], asks: [['10.5', '1']] };
      socket.emit('level2', { channel: 'level2', key: 'ETH-USD', type: 'update', data });
    }
    await until(() => book.bestAsk?.price === '10.5');
    expect(book.bestBid).toBeNull();

    for (const socket of server.sockets) socket.conn.close();
    await until(() => client.stats.connects === 2 && !book.stale && seen.length === 3);
    push({ id: 3 });
    await until(() => seen.length === 4);
    expect(seen.map((one) => (one.type === 'resync' ? `${one.reason}:${one.recovered}` : one.data))).toEqual([
      { id: 1 },
      { id: 2 },
      'reconnect:false',
      { id: 3 },
    ]);
    expect([book.bestBid, book.bestAsk]).toEqual([
      { price: '10', quantity: '1' },
      { price: '11', quantity: '2' },
    ]);
  });
});
