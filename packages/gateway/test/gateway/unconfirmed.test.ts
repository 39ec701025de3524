/** R47 on open sockets: a node that is cut off from the change log, a revocation that it misses, and its return. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type CuttingProxy,
  findPostgres,
  type PostgresServer,
  startCuttingProxy,
  startPostgres,
  startTestGateway,
  type TestGateway,
} from '@countersign/testkit';
import { io, type Socket } from 'socket.io-client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Clock, systemClock } from '../../src/operations/clock.ts';
import { type Client, closeAll, connectTo, logInOn, subscribeOn, until } from './socket.ts';

const bin = findPostgres();
const MARKET = 'inclusionPreconf';
const PRIVATE = { channel: 'accountOrderUpdate', marketType: MARKET };
const PUBLIC = { channel: 'recentTradeUpdate', marketType: MARKET };

/** The machine's clock, with monotonic time that a test can move on. */
function skippingClock(): Clock & { skip(ms: number): void } {
  let skipped = 0;
  return {
    ...systemClock,
    monotonic: () => systemClock.monotonic() + skipped,
    skip(ms) {
      skipped += ms;
    },
  };
}

describe.skipIf(bin === null)('a node that cannot read the change log [needs postgresql]', () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'countersign-unconfirmed-'));
  const clock = skippingClock();
  let server: PostgresServer;
  let proxy: CuttingProxy;
  let cutOff: TestGateway;
  let other: TestGateway;
  const sockets: Socket[] = [];

  beforeAll(async () => {
    server = await startPostgres(bin as string);
    server.psql('postgres', 'create database gateway');
    const direct = server.url('gateway');
    proxy = await startCuttingProxy(direct);
    const through = new URL(direct);
    through.hostname = '127.0.0.1';
    through.port = String(proxy.port);
    cutOff = await startTestGateway({ store: { url: through.href } }, { clock, dataDir });
    other = await startTestGateway({ store: { url: direct } }, { dataDir });
  });
  afterAll(async () => {
    closeAll();
    for (const socket of sockets) socket.disconnect();
    await cutOff?.close();
    await other?.close();
    await proxy?.close();
    await server?.close();
    rmSync(dataDir, { recursive: true, force: true });
  });

  const numbers = (client: Client, channel: string) =>
    client.heard
      .filter(({ e }) => e === channel)
      .map(({ P, sequence }) => [P.n as number, sequence as number]);

  async function signedIn(wallet: number) {
    const session = await cutOff.logIn(wallet);
    const client = await connectTo(cutOff.urls.websocket);
    await logInOn(client, session.accessToken);
    const { position } = await subscribeOn(client, PRIVATE, 'private');
    await subscribeOn(client, PUBLIC, 'public');
    return { ...session, client, account: Object.keys(position)[0] as string };
  }

  it('stops what is private on every open socket after 30 s, tells them, and goes on without a hole', async () => {
    const ada = await signedIn(0);
    const bob = await signedIn(1);
    const socket = io(cutOff.urls.socketio, {
      transports: ['websocket'],
      auth: { token: ada.accessToken },
      reconnection: false,
    });
    sockets.push(socket);
    const events: { name: string; data: { data?: { n: number }; code?: string } }[] = [];
    socket.onAny((name: string, data) => events.push({ name, data }));
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('connect_error', reject);
    });
    const ask = (event: string, params: object) => socket.timeout(5000).emitWithAck(event, params);
    await ask('subscribe', PRIVATE);
    const order = (to: typeof ada, n: number) =>
      cutOff.publish({ channel: PRIVATE.channel, key: `${MARKET}/${to.account}`, data: { n } });
    const both = async (n: number) => {
      await order(ada, n);
      await order(bob, n);
    };
    await both(1);
    await Promise.all([ada, bob].map(({ client }) => client.hear(({ P }) => P?.n === 1)));

    proxy.down = true;
    proxy.cut();
    const cutAt = clock.monotonic();
    clock.skip(28_500);
    await both(2);
    await Promise.all([ada, bob].map(({ client }) => client.hear(({ P }) => P?.n === 2)));
    const told = await ada.client.hear(({ event }) => event === 'access_unconfirmed', 'the notice');
    const after = clock.monotonic() - cutAt;
    expect(after).toBeGreaterThan(28_000);
    expect(after).toBeLessThan(32_000);
    expect(told).toMatchObject({ code: 9999 });
    await bob.client.hear(({ event }) => event === 'access_unconfirmed');
    await until(() => events.some(({ name }) => name === 'access_unconfirmed'), 'the notice on Socket.IO');

    await both(3);
    await cutOff.publish({ channel: PUBLIC.channel, key: MARKET, data: { n: 100 } });
    await Promise.all([ada, bob].map(({ client }) => client.hear(({ P }) => P?.n === 100)));
    ada.client.send({ op: 'subscribe', args: [{ ...PRIVATE, marketType: 'wholeBlock' }], id: 'late' });
    expect(await ada.client.hear(({ id }) => id === 'late')).toMatchObject({ event: 'error', code: 9999 });
    expect(await ask('subscribe', { ...PRIVATE, marketType: 'wholeBlock' })).toMatchObject({
      success: false,
      error: { code: 'CONNECTION_TIMEOUT' },
    });
    const rest = await cutOff.http.request(
      'GET',
      '/v1/user/info',
      `Authorization: Bearer ${ada.accessToken}\r\n`,
    );
    expect(rest.status).toBe(503);
    for (const { client } of [ada, bob]) {
      expect(numbers(client, PRIVATE.channel).map(([n]) => n)).toEqual([1, 2]);
    }
    expect(events.filter(({ name }) => name === PRIVATE.channel).map(({ data }) => data.data?.n)).toEqual([
      1, 2,
    ]);

    // Bob is signed out where the store can be reached; this node learns of it before anything flows again.
    expect((await other.adminFetch(`/users/${bob.userId}/logout`, {})).status).toBe(200);
    proxy.down = false;
    await ada.client.hear(({ event }) => event === 'access_confirmed', 'the other notice');
    await ada.client.hear(({ P }) => P?.n === 3);
    expect((await bob.client.closed).code).toBe(4000);
    await order(ada, 4);
    await ada.client.hear(({ P }) => P?.n === 4);
    const got = numbers(ada.client, PRIVATE.channel);
    expect(got.map(([n]) => n)).toEqual([1, 2, 3, 4]);
    const [first] = got[0] === undefined ? [] : [got[0][1]];
    expect(got.map(([, sequence]) => sequence)).toEqual([0, 1, 2, 3].map((n) => (first ?? 0) + n));
    expect(numbers(bob.client, PRIVATE.channel).map(([n]) => n)).toEqual([1, 2]);
    await until(() => events.some(({ data }) => data.data?.n === 4), 'the order on Socket.IO');
    expect(events.filter(({ name }) => name === PRIVATE.channel).map(({ data }) => data.data?.n)).toEqual([
      1, 2, 3, 4,
    ]);
    expect(socket.connected).toBe(true);
    const metrics = await (await fetch(`${cutOff.urls.internal}/metrics`)).text();
    expect(metrics).toContain('countersign_access_unconfirmed_total 1');
    const age = Number(/^countersign_access_confirmed_age_seconds (\S+)/m.exec(metrics)?.[1]);
    expect(age).toBeLessThan(2);
  });

  it('learns within a second of what no signal tells it: these two share the store and no broker', async () => {
    // The time that was skipped is a wrong clock until the next heartbeat, and such a node lets nobody sign in.
    const ready = async () => (await fetch(`${cutOff.urls.internal}/readyz`)).ok;
    await until(ready, 'a node that is ready');
    const times: number[] = [];
    for (let n = 0; n < 12; n += 1) {
      const { client, sid } = await signedIn(2);
      const { accessToken } = await other.logIn(2);
      const revoked = await other.http.request(
        'DELETE',
        `/v1/user/sessions/${sid}`,
        `Authorization: Bearer ${accessToken}\r\n`,
      );
      const durable = performance.now();
      expect(revoked.status).toBe(200);
      const { code, at } = await client.closed;
      expect(code).toBe(4000);
      times.push(at - durable);
    }
    times.sort((a, b) => a - b);
    console.info(
      `from the answer to the close, without a signal: p50 ${times[6]?.toFixed(0)} ms, slowest ${times.at(-1)?.toFixed(0)} ms`,
    );
    expect(times.at(-1)).toBeLessThan(1000);
  });
});
