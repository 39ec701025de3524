/** Limits that count a peer's sockets whichever door they came through. */
import { io, type Socket } from 'socket.io-client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestGateway, type TestGateway } from '../../../testkit/src/index.ts';
import { createLog } from '../../src/operations/log.ts';
import { type Client, closeAll, connectTo, logInOn, until } from './socket.ts';

let gateway: TestGateway;
const sockets: Socket[] = [];
// biome-ignore lint/suspicious/noExplicitAny: log lines are looked into freely
const lines: any[] = [];

beforeAll(async () => {
  gateway = await startTestGateway(
    {
      websocket: { connectionsPerSource: 3 },
      tiers: {
        free: {
          requests: { limit: 100_000, burst: null },
          connections: 10,
          subscriptions: 100,
          messages: { perSecond: 1, burst: 10 },
        },
        pro: { requests: null, connections: 10, subscriptions: 100 },
      },
    },
    { log: createLog({ level: 'info', destination: { write: (line) => lines.push(JSON.parse(line)) } }) },
  );
});
afterAll(async () => {
  closeAll();
  for (const socket of sockets) socket.disconnect();
  await gateway.close();
});

/** Connects over Socket.IO; rejects if it is refused. */
async function socketIo(token: string): Promise<Socket> {
  const socket = io(gateway.urls.socketio, {
    transports: ['websocket'],
    auth: { token },
    reconnection: false,
    forceNew: true,
  });
  sockets.push(socket);
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('connect_error', reject);
  });
  return socket;
}

test('connections of a source are counted over both doors', async () => {
  const { accessToken } = await gateway.logIn(0);
  const first = await connectTo(gateway.urls.websocket);
  const second = await socketIo(accessToken);
  const third = await connectTo(gateway.urls.websocket);
  await expect(connectTo(gateway.urls.websocket)).rejects.toMatchObject({ status: 429 });
  await expect(socketIo(accessToken)).rejects.toThrow();
  second.disconnect();
  let fourth: Client | null = null;
  await until(async () => {
    fourth = await connectTo(gateway.urls.websocket).catch(() => null);
    return fourth !== null;
  }, 'a place');
  for (const client of [first, third, fourth as Client | null]) client?.close();
});

test('the messages of a user are counted over both, and what is refused is in the log of either', async () => {
  const { accessToken, userId } = await gateway.logIn(1);
  let client: Client | null = null;
  await until(async () => {
    client = await connectTo(gateway.urls.websocket).catch(() => null);
    return client !== null;
  }, 'a place');
  const web = client as unknown as Client;
  await logInOn(web, accessToken);
  const socket = await socketIo(accessToken);
  const ask = () => socket.timeout(5000).emitWithAck('/evm/buy/quote', {});
  for (let n = 0; n < 6; n += 1) await ask();
  for (let id = 0; id < 8; id += 1) web.send({ op: 'ping', id: `p${id}` });
  await web.hear(({ id }) => id === 'p7');
  expect(await ask()).toMatchObject({ success: false, error: { code: 'RATE_LIMITED' } });
  expect(web.heard.filter(({ code }) => code === 1003).length).toBeGreaterThan(1);
  const refused = lines.filter(({ event }) => event === 'command.refused');
  for (const dialect of ['ethgas', 'chainworks']) {
    expect(refused).toContainEqual(expect.objectContaining({ dialect, userId, code: 'rate_limited' }));
  }
  // Another tier counts on sockets that are open.
  await gateway.adminFetch(`/users/${userId}`, { tier: 'pro' }, 'PATCH');
  for (let n = 0; n < 12; n += 1) expect((await ask()).error?.code).not.toBe('RATE_LIMITED');
});
