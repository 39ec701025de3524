import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { type WebSocket, WebSocketServer } from 'ws';
import type { Push } from '../src/listen/conversation.ts';
import { stream } from '../src/listen/stream.ts';
import { subscriptionOf } from '../src/listen/subscriptions.ts';
import type { SavedSession } from '../src/session/session-file.ts';

type Frame = Record<string, unknown>;
const servers: WebSocketServer[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) {
    for (const client of server.clients) client.terminate();
    await new Promise((resolve) => server.close(resolve));
  }
});

/** A server that says what a test wants it to. `n` counts connections from 1. */
async function serving(
  answer: (frame: Frame, send: (frame: object) => void, socket: WebSocket, n: number) => void,
) {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  servers.push(server);
  let n = 0;
  const received: Frame[] = [];
  server.on('connection', (socket) => {
    n += 1;
    const mine = n;
    socket.on('message', (data) => {
      const frame = JSON.parse(String(data)) as Frame;
      received.push(frame);
      answer(frame, (reply) => socket.send(JSON.stringify(reply)), socket, mine);
    });
  });
  await once(server, 'listening');
  return { url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}/ws`, received };
}

const session = (accessToken: string): SavedSession => ({
  url: 'http://unused.test',
  userId: 78,
  address: '0x',
  accessToken,
  accessExpiresAt: 0,
  refreshToken: 'r',
  sessionExpiresAt: null,
});

/** Listens until `enough` pushes came. */
async function listen(
  url: string,
  options: {
    channel: string;
    market?: string;
    product?: string[];
    session?: SavedSession;
    enough?: number;
    renew?: () => Promise<SavedSession>;
  },
) {
  const pushes: Push[] = [];
  const notes: string[] = [];
  await stream({
    url,
    subscriptions: [subscriptionOf(options.channel, options.market, options.product ?? [])],
    session: options.session ?? null,
    renew: options.renew ?? (async () => session('renewed')),
    onPush: (push) => pushes.push(push) < (options.enough ?? 1),
    onNote: (line) => notes.push(line),
    stop: new AbortController().signal,
    pauseMs: 4,
  });
  return { pushes, notes };
}

const push = (P: object) => ({ e: 'tickerUpdate', E: 1, s: 'ETH-PC-1', P });
const ack = (frame: Frame) => ({
  event: 'subscribe',
  arg: (frame.args as Frame[])[0],
  code: 0,
  msg: '',
  connId: 'c',
});

describe('listening to raw frames of a public channel', () => {
  test('subscribes without a login and shows what comes', async () => {
    const { url, received } = await serving((frame, send) => {
      send(ack(frame));
      send(push({ p: '1' }));
    });
    const { pushes } = await listen(url, { channel: 'tickerUpdate', market: 'wholeBlock' });
    expect(received).toEqual([
      { op: 'subscribe', args: [{ channel: 'tickerUpdate', marketType: 'wholeBlock' }], id: 1 },
    ]);
    expect(pushes).toEqual([
      expect.objectContaining({ channel: 'tickerUpdate', time: 1, about: 'ETH-PC-1', payload: { p: '1' } }),
    ]);
  });

  test('speaks the Coinbase dialect for Coinbase channels', async () => {
    const { url, received } = await serving((_frame, send) => {
      send({ channel: 'subscriptions', events: [] });
      send({
        channel: 'l2_data',
        timestamp: '2026-11-21T00:00:00Z',
        sequence_num: 1,
        events: [{ type: 'snapshot', product_id: 'ETH-USD' }],
      });
    });
    const { pushes } = await listen(url, { channel: 'level2', product: ['ETH-USD'] });
    expect(received).toEqual([{ type: 'subscribe', channel: 'level2', product_ids: ['ETH-USD'] }]);
    expect(pushes[0]).toMatchObject({
      channel: 'l2_data',
      about: 'ETH-USD snapshot',
      time: Date.UTC(2026, 10, 21),
    });
  });

  test('ends with the reason when it is refused', async () => {
    const ethgas = await serving((_frame, send) =>
      send({ event: 'error', code: 1002, msg: 'There is no such channel.', connId: 'c' }),
    );
    await expect(listen(ethgas.url, { channel: 'blockBuilderUpdate' })).rejects.toMatchObject({
      exit: 'refused',
      message: 'refused: There is no such channel.',
    });
    const coinbase = await serving((_frame, send) => send({ type: 'error', message: 'rate limit exceeded' }));
    await expect(listen(coinbase.url, { channel: 'heartbeats' })).rejects.toMatchObject({
      message: 'refused: rate limit exceeded',
    });
  });

  test('connects again after the connection was lost, says so, and goes on', async () => {
    const { url } = await serving((frame, send, socket, n) => {
      send(ack(frame));
      if (n < 3) socket.terminate();
      else send(push({}));
    });
    const { pushes, notes } = await listen(url, { channel: 'tickerUpdate', market: 'wholeBlock' });
    expect(pushes).toHaveLength(1);
    expect(notes).toEqual([
      expect.stringContaining('connecting again'),
      expect.stringContaining('connecting again'),
    ]);
  });

  test('does not come back after a close that means goodbye', async () => {
    const { url } = await serving((_frame, _send, socket) => socket.close(4000, 'goodbye'));
    await expect(listen(url, { channel: 'blockBuilderUpdate' })).rejects.toMatchObject({ exit: 'refused' });
  });

  test('ends at once when nobody was there from the start', async () => {
    const { url } = await serving(() => undefined);
    await new Promise((resolve) => servers.pop()?.close(resolve));
    await expect(listen(url, { channel: 'blockBuilderUpdate' })).rejects.toMatchObject({
      exit: 'unreachable',
      message: expect.stringContaining('connection refused'),
    });
  });

  test('is not disturbed by frames that are not JSON objects', async () => {
    const { url } = await serving((frame, send, socket) => {
      for (const text of ['pong', '[1]', 'null', '{']) socket.send(text);
      socket.send(Buffer.from([1, 2]));
      send(ack(frame));
      send(push({}));
    });
    expect((await listen(url, { channel: 'tickerUpdate', market: 'wholeBlock' })).pushes).toHaveLength(1);
  });
});

describe('listening to raw frames of a private channel', () => {
  const login = { event: 'login', code: 0, msg: '', connId: 'c' };
  const tokenOf = (frame: Frame) => (frame.args as Frame[])[0]?.accessToken;

  test('logs in first', async () => {
    const { url, received } = await serving((frame, send) => {
      if (frame.op === 'login') send(login);
      else send(push({}));
    });
    await listen(url, { channel: 'accountOrderUpdate', market: 'wholeBlock', session: session('t1') });
    expect(received.map((frame) => frame.op)).toEqual(['login', 'subscribe']);
    expect(received[0]).toMatchObject({ args: [{ accessToken: 't1' }] });
  });

  test('refreshes and logs in again on the same connection when the token expires', async () => {
    const { url, received } = await serving((frame, send, _socket, n) => {
      expect(n).toBe(1);
      if (frame.op === 'login' && tokenOf(frame) === 't1') send(login);
      if (frame.op === 'subscribe') {
        send(ack(frame));
        send({ event: 'token_expired', code: 1000, msg: 'Access token has expired', connId: 'c' });
      }
      if (frame.op === 'login' && tokenOf(frame) === 't2') {
        send(login);
        send(push({}));
      }
    });
    const { notes } = await listen(url, {
      channel: 'accountOrderUpdate',
      market: 'wholeBlock',
      session: session('t1'),
      renew: async () => session('t2'),
    });
    expect(received.map((frame) => frame.op)).toEqual(['login', 'subscribe', 'login']);
    expect(notes).toEqual([expect.stringContaining('expired')]);
  });

  test('refreshes once when the first login is refused, and ends when the second is too', async () => {
    const { url, received } = await serving((_frame, send) =>
      send({ event: 'error', code: 1000, msg: 'Log in again.', connId: 'c' }),
    );
    await expect(
      listen(url, { channel: 'accountOrderUpdate', market: 'wholeBlock', session: session('t1') }),
    ).rejects.toMatchObject({ exit: 'refused' });
    expect(received.map(tokenOf)).toEqual(['t1', 'renewed']);
  });
});

describe('what to listen to', () => {
  test.each([
    ['an unknown channel', ['gossip', undefined, []], 'there is no channel'],
    ['a market that is missing', ['tickerUpdate', undefined, []], 'needs --market'],
    ['a market that does not exist', ['tickerUpdate', 'moon', []], 'there is no market'],
    ['a market where there is none', ['blockBuilderUpdate', 'wholeBlock', []], 'takes no --market'],
    ['a product on an ETHGas channel', ['tickerUpdate', 'wholeBlock', ['ETH-USD']], 'has no products'],
    ['a product that is missing', ['level2', undefined, []], 'needs --product'],
  ] as const)('%s is refused with a line that names it', (_, [channel, market, products], line) => {
    expect(() => subscriptionOf(channel, market, products)).toThrow(line);
  });
});
