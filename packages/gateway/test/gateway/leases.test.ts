/** Leases through the doors of a real gateway: a real socket, a real receiver, and a clock of the test's. */
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setImmediate } from 'node:timers/promises';
import { verifyWebhook } from '@countersign/tokens/node';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { createFakeClock, type FakeClock } from '../../../testkit/src/fake-clock.ts';
import { startTestGateway, type TestGateway } from '../../../testkit/src/in-process-gateway.ts';

interface Received {
  headers: IncomingHttpHeaders;
  body: string;
  at: number;
}

let clock: FakeClock;
let gateway: TestGateway;
let receiver: Server;
let webhook: string;
let received: Received[];
let answer: (response: ServerResponse) => void;
const sockets: WebSocket[] = [];

beforeEach(async () => {
  clock = createFakeClock();
  received = [];
  answer = (response) => response.end();
  receiver = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += String(chunk);
    received.push({ headers: request.headers, body, at: clock.monotonic() });
    answer(response);
  });
  receiver.listen(0, '127.0.0.1');
  await once(receiver, 'listening');
  const { port } = receiver.address() as AddressInfo;
  webhook = `http://127.0.0.1:${port}/gone?of=venue`;
  gateway = await startTestGateway({ leases: { webhook } }, { clock });
});
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.terminate();
  await gateway.close();
  receiver.closeAllConnections();
  receiver.close();
});

/** Lets time pass in small steps, with real sockets and a real store working in between. */
async function pass(ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 250) {
    clock.advance(250);
    for (let turn = 0; turn < 60; turn += 1) await setImmediate();
  }
}

async function until(what: () => boolean | Promise<boolean>, most = 60_000): Promise<void> {
  for (let waited = 0; waited < most; waited += 250) {
    if (await what()) return;
    await pass(250);
  }
  throw new Error('it did not happen');
}

async function connect(token: string): Promise<WebSocket> {
  const socket = new WebSocket(gateway.urls.websocket, { headers: { authorization: `Bearer ${token}` } });
  sockets.push(socket);
  await once(socket, 'open');
  return socket;
}

const lease = async (id: string) => (await gateway.backendFetch(`/leases/${id}`)).body.data.lease;
const put = (id: string, body: object) => gateway.backendFetch(`/leases/${id}`, body, 'PUT');

describe('a lease', () => {
  it('says when a user has been gone for so long, once, signed, to the one configured address', async () => {
    const { accessToken, userId } = await gateway.logIn(0);
    const socket = await connect(accessToken);
    const { body } = await put('desk-1', { user: userId, seconds: 10, data: 'all orders' });
    expect(body.data.lease).toMatchObject({ id: 'desk-1', user: userId, state: 'armed', absentSince: null });
    await pass(30_000);
    expect(received).toEqual([]);

    socket.close();
    await until(async () => (await lease('desk-1')).absentSince !== null);
    const { absentSince, dueAt, eventId } = await lease('desk-1');
    expect(dueAt).toBe(absentSince + 10_000);
    await pass(9_000);
    expect(received).toEqual([]);
    await until(() => received.length > 0, 20_000);
    const [{ body: text, headers }] = received as [Received];
    const event = JSON.parse(text);
    expect(event).toEqual({
      id: eventId,
      type: 'user.gone',
      lease: 'desk-1',
      subject: String(userId),
      goneSince: absentSince,
      seconds: 10,
      data: 'all orders',
    });
    const keys = (await (await fetch(`${gateway.urls.rest}/.well-known/jwks.json`)).json()) as { keys: [] };
    const expected = { keys, issuer: 'countersign', now: Math.floor(clock.now() / 1000) };
    const signature = headers['x-countersign-signature'] as string;
    expect(verifyWebhook({ signature, body: text, ...expected })).toEqual(event);
    expect(() => verifyWebhook({ signature, body: text.replace('10', '11'), ...expected })).toThrow();
    await until(async () => (await lease('desk-1')).state === 'delivered');
    await pass(30_000);
    expect(received).toHaveLength(1);
  });

  it('counts a subject that nobody ever connected as absent from its arming, and starts again when armed again', async () => {
    const { sid } = await gateway.logIn(0);
    await put('l', { session: sid, seconds: 5 });
    await pass(4_000);
    await put('l', { session: sid, seconds: 5 });
    await pass(4_000);
    expect(received).toEqual([]);
    await until(() => received.length > 0, 20_000);
    expect(JSON.parse(received[0]!.body)).toMatchObject({ type: 'session.gone', subject: sid, data: '' });
  });

  it('does not notice an absence that was shorter', async () => {
    const { accessToken, userId } = await gateway.logIn(0);
    const socket = await connect(accessToken);
    await put('l', { user: userId, seconds: 10 });
    socket.close();
    await until(async () => (await lease('l')).absentSince !== null);
    await pass(8_000);
    await connect(accessToken);
    await pass(30_000);
    expect(received).toEqual([]);
  });

  it('is gone when the proof of the last connection has expired, though the socket is still open', async () => {
    await gateway.close();
    gateway = await startTestGateway(
      { leases: { webhook }, tokens: { accessTtl: 20, leeway: 5 } },
      { clock },
    );
    const { accessToken, userId } = await gateway.logIn(0);
    const socket = await connect(accessToken);
    const expired = clock.monotonic() + 25_000;
    await put('l', { user: userId, seconds: 5 });
    await until(() => received.length > 0);
    expect(received[0]!.at).toBeGreaterThanOrEqual(expired + 4_000);
    expect(socket.readyState).toBe(WebSocket.OPEN);
  });

  it('tries again with the same event until somebody takes it, and waits as long as it is asked to', async () => {
    const { userId } = await gateway.logIn(0);
    answer = (response) =>
      response.writeHead(received.length === 1 ? 302 : 503, { 'retry-after': '20', location: '/x' }).end();
    await put('l', { user: userId, seconds: 5 });
    await until(() => received.length === 3);
    const gaps = received.map(({ at }, i) => at - (received[i - 1]?.at ?? 0)).slice(1);
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(19_500);
    expect(Math.max(...gaps)).toBeLessThan(25_000);
    answer = (response) => response.writeHead(204).end();
    await until(async () => (await lease('l')).state === 'delivered');
    const events = received.map(({ body }) => JSON.parse(body));
    expect(new Set(events.map(({ id }) => id)).size).toBe(1);
    expect((await lease('l')).delivery).toMatchObject({ attempts: received.length, outcome: '204' });
  });

  it('gives up after a day, stays to be looked at, and delivers again when it is told to', async () => {
    const { userId } = await gateway.logIn(0);
    answer = (response) => response.writeHead(500).end();
    await put('l', { user: userId, seconds: 5 });
    await until(() => received.length > 0);
    const { eventId } = await lease('l');
    clock.advance(24 * 3_600_000);
    await until(async () => (await lease('l')).state === 'failed');
    expect(
      (await gateway.backendFetch(`/leases?user=${userId}&state=failed`)).body.data.leases,
    ).toMatchObject([{ id: 'l', delivery: { outcome: '500' } }]);
    answer = (response) => response.end();
    received = [];
    expect((await gateway.backendFetch('/leases/l/redeliver', {})).status).toBe(200);
    await until(() => received.length === 1);
    expect(JSON.parse(received[0]!.body).id).toBe(eventId);
  });

  it('goes on with what was armed and not delivered when the gateway is started again', async () => {
    const { userId } = await gateway.logIn(0);
    answer = (response) => response.destroy();
    await put('gone', { user: userId, seconds: 5 });
    await put('armed', { user: userId, seconds: 60 });
    await until(() => received.length > 0);
    await gateway.gateway.close();
    received = [];
    answer = (response) => response.end();
    const { config } = gateway.gateway;
    const again = await startTestGateway({ leases: config.leases }, { clock, dataDir: gateway.dataDir });
    try {
      await until(() => received.length === 2, 120_000);
      expect(received.map(({ body }) => JSON.parse(body).lease)).toEqual(['gone', 'armed']);
    } finally {
      await again.close();
    }
  });

  it('is refused with a reason where it makes no sense', async () => {
    const { userId, sid } = await gateway.logIn(0);
    const refusals: [object, number, RegExp][] = [
      [{ user: userId }, 400, /seconds/],
      [{ user: userId, seconds: 4 }, 400, /seconds/],
      [{ user: userId, seconds: 86_401 }, 400, /seconds/],
      [{ seconds: 5 }, 400, /"user" or "session"/],
      [{ user: userId, session: sid, seconds: 5 }, 400, /"user" or "session"/],
      [{ user: userId, seconds: 5, data: 'é'.repeat(513) }, 400, /data/],
      [{ user: userId, seconds: 5, url: 'http://example.com' }, 400, /url/],
      [{ user: 999_999, seconds: 5 }, 404, /./],
      [{ session: 'nobody', seconds: 5 }, 404, /./],
    ];
    for (const [body, status, words] of refusals) {
      const refused = await put('l', body);
      expect(refused.status, JSON.stringify(body)).toBe(status);
      expect(refused.body.message).toMatch(words);
    }
    expect((await put('no%20id', { user: userId, seconds: 5 })).status).toBe(400);
    expect((await gateway.backendFetch('/leases/l')).status).toBe(404);
    expect((await gateway.backendFetch('/leases/l', undefined, 'DELETE')).status).toBe(404);
    expect((await gateway.backendFetch('/leases?state=lost')).status).toBe(400);
    await put('l', { user: userId, seconds: 5 });
    expect((await gateway.backendFetch('/leases/l/redeliver', {})).status).toBe(400);
    expect((await gateway.backendFetch('/leases/l', undefined, 'DELETE')).status).toBe(200);
    const made = await gateway.backendFetch('/leases', { user: userId, seconds: 5 });
    expect(made.body.data.lease.id).toMatch(/^lease_[0-9a-f]{32}$/);
  });
});

describe('nodes', () => {
  it('are listed with how far they are, and confirm what an operator changes', async () => {
    const { userId } = await gateway.logIn(0);
    const { body } = await gateway.adminFetch('/nodes');
    expect(body.data.nodes).toMatchObject([{ self: true, alive: true, behind: 0 }]);
    const ended = await gateway.adminFetch(`/users/${userId}/logout?wait=1000`, {});
    expect(ended.body.data).toMatchObject({
      ended: 1,
      confirmation: { nodes: 1, confirmed: 1, missing: [] },
    });
    expect(ended.body.data.confirmation.sequence).toBeGreaterThan(0);
    expect((await gateway.adminFetch(`/users/${userId}/logout`, {})).body.data).toEqual({ ended: 0 });
    expect((await gateway.adminFetch(`/users/${userId}/logout?wait=soon`, {})).status).toBe(400);
  });
});
