/** The internal door over the real session services, a real SQLite file and the memory broker. */
import fc from 'fast-check';
import { pino } from 'pino';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createAdministration } from '../../src/backend/administration.ts';
import { createPublisher } from '../../src/backend/publish.ts';
import { createMemoryBroker } from '../../src/broker/memory.ts';
import { createInternalDoor, type InternalDoor } from '../../src/doors/internal/server.ts';
import type { ConnectionInfo } from '../../src/doors/internal/services.ts';
import { systemClock } from '../../src/operations/clock.ts';
import { brokerRoundTrip, createHealth } from '../../src/operations/health.ts';
import { createMetrics } from '../../src/operations/metrics.ts';
import { type Channel, channelTable } from '../../src/streams/channel.ts';
import { ask } from '../http/door.ts';
import { type House, login, openHouse, refusedAs, wallet } from '../session/support.ts';

const base = { permission: null, history: 10 } as const;
const channels = channelTable([
  { ...base, name: 'level2', kind: 'book', audience: 'public', keyedBy: 'product' },
  { ...base, name: 'ticker', kind: 'latest', audience: 'public', keyedBy: 'product' },
  { ...base, name: 'orders', kind: 'log', audience: 'account', keyedBy: 'marketType' },
  { ...base, name: 'user', kind: 'log', audience: 'user', keyedBy: 'nothing' },
] satisfies Channel[]);

let house: House;
let door: InternalDoor;
let port: number;
let connections: ConnectionInfo[] = [];
let draining = false;
let broken = false;

beforeAll(async () => {
  house = await openHouse();
  const broker = createMemoryBroker({ clock: systemClock, channels });
  const metrics = createMetrics({ defaults: false });
  door = createInternalDoor({
    config: { internalHost: '127.0.0.1', internalPort: 0 },
    health: createHealth({
      clock: { ...systemClock, monotonic: () => performance.now() * 1000 },
      draining: () => draining,
      facts: () => ({ changes: house.changes.position() }),
      checks: {
        store: () => (broken ? Promise.reject(new Error('gone')) : house.store.probe()),
        broker: brokerRoundTrip(broker, systemClock, Math.random),
      },
    }),
    registry: metrics.registry,
    admin: {
      administration: createAdministration(house),
      signingKeys: house.signingKeys,
      connections: { list: () => connections },
      drain: { draining: () => draining, start: () => (draining = true) },
      tiers: ['free', 'pro'],
    },
    backend: {
      publisher: createPublisher({ channels, broker, clock: systemClock }),
      channels,
      connections: { list: () => connections },
      accountsOf: async (userId) => (await house.store.users.find(userId))?.accounts ?? null,
    },
    adminToken: { matches: (token) => token === 'admin' },
    backendToken: { matches: (token) => token === 'backend' },
    log: pino({ level: 'silent' }),
  });
  ({ port } = await door.listen());
});
afterAll(async () => {
  await door.close();
  await house.dispose();
});
beforeEach(() => {
  connections = [];
  draining = false;
  broken = false;
});

const call = (token: string | null, method: string, path: string, body?: unknown) =>
  ask(port, {
    method,
    path,
    headers: token === null ? {} : { authorization: `Bearer ${token}` },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
const admin = (method: string, path: string, body?: unknown) =>
  call('admin', method, `/admin/v1${path}`, body);
const backend = (method: string, path: string, body?: unknown) =>
  call('backend', method, `/backend/v1${path}`, body);

describe('health', () => {
  it('is live whatever happens, and ready when the store and the broker answer', async () => {
    expect((await call(null, 'GET', '/livez')).json).toEqual({ status: 'live' });
    for (const path of ['/readyz', '/health', '/healthz']) {
      const answer = await call(null, 'GET', path);
      expect([answer.status, answer.json]).toEqual([200, { status: 'ready' }]);
    }
    expect((await call(null, 'GET', '/readyz?verbose')).json).toEqual({
      status: 'ready',
      age: expect.any(Number),
      checks: { store: { ok: true, ms: expect.any(Number) }, broker: { ok: true, ms: expect.any(Number) } },
      facts: { changes: expect.any(Number) },
    });
  });

  it('is not ready while draining or when a part is gone', async () => {
    draining = true;
    const drain = await call(null, 'GET', '/readyz');
    expect([drain.status, drain.json, drain.headers['retry-after']]).toEqual([
      503,
      { status: 'draining' },
      '5',
    ]);
    draining = false;
    broken = true;
    const answer = await call(null, 'GET', '/readyz?verbose');
    expect([answer.status, answer.json.status]).toEqual([503, 'failing']);
    expect(answer.json.checks.store).toEqual({ ok: false, ms: null });
    expect((await call(null, 'GET', '/livez')).status).toBe(200);
  });

  it('shows metrics under one prefix', async () => {
    const { text, headers } = await call(null, 'GET', '/metrics');
    expect(headers['content-type']).toMatch(/^text\/plain; version=0\.0\.4/);
    const names = [...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name);
    expect(names.length).toBeGreaterThan(15);
    expect(names.filter((name) => !name!.startsWith('countersign_'))).toEqual([]);
  });
});

describe('tokens', () => {
  it('of one API open nothing of the other, and neither do those of the public door', async () => {
    const { access, refresh } = await login(house);
    for (const token of [null, '', 'backend', access.token, refresh.token]) {
      expect((await call(token, 'GET', '/admin/v1/users')).status).toBe(401);
    }
    for (const token of [null, 'admin', access.token]) {
      expect((await call(token, 'GET', '/backend/v1/principals')).status).toBe(401);
      expect((await call(token, 'POST', '/backend/v1/publish', { publications: [] })).status).toBe(401);
    }
    expect(await refusedAs(() => house.authenticator.accessToken('admin'))).toBe('unauthorized');
  });
});

describe('an operator', () => {
  it('lists users, changes what one may do, and it holds at once and is in the audit log', async () => {
    const { user, access } = await login(house, wallet('bob'));
    expect((await admin('GET', '/users?limit=1')).json.data.users[0].userId).toBe(user.userId);
    expect((await admin('GET', `/users/${user.userId}`)).json.data.user.address).toBe(user.address);
    const changed = await admin('PATCH', `/users/${user.userId}`, {
      permissions: ['market_data'],
      tier: 'pro',
    });
    expect(changed.json.data.user).toMatchObject({ permissions: ['market_data'], tier: 'pro' });
    const { principal } = await house.authenticator.accessToken(access.token);
    expect([[...principal.permissions], principal.tier]).toEqual([['market_data'], 'pro']);
    const [entry] = (await admin('GET', '/audit?limit=1')).json.data.entries;
    expect(entry).toMatchObject({
      action: 'user.access',
      actor: 'operator:admin',
      target: `user:${user.userId}`,
    });
    expect(JSON.parse(entry.detail)).toMatchObject({ before: { tier: 'free' }, after: { tier: 'pro' } });
    expect((await admin('GET', '/audit/verify')).json.data.brokenAt).toBeNull();
    const { head, applied, fresh } = (await admin('GET', '/changes/position')).json.data;
    expect([applied, fresh]).toEqual([head, true]);
  });

  it('suspends a user, whose tokens are then refused', async () => {
    const { user, access } = await login(house, wallet('carol'));
    expect((await admin('PATCH', `/users/${user.userId}`, { status: 2 })).status).toBe(200);
    expect(await refusedAs(async () => house.authenticator.accessToken(access.token))).toBe('unauthorized');
  });

  it('sees and ends sessions', async () => {
    const dave = wallet('dave');
    const one = await login(house, dave);
    await login(house, dave);
    const { sessions } = (await admin('GET', `/users/${one.user.userId}/sessions`)).json.data;
    expect(sessions).toHaveLength(2);
    expect((await admin('DELETE', `/sessions/${one.session.sid}`)).status).toBe(200);
    expect((await admin('DELETE', `/sessions/${one.session.sid}`)).status).toBe(404);
    expect((await admin('POST', `/users/${one.user.userId}/logout`)).json.data).toEqual({ ended: 1 });
    const ends = (await house.audited()).filter(({ actor }) => actor === 'operator:admin');
    expect(ends.map(({ action }) => action)).toEqual(
      expect.arrayContaining(['session.end', 'session.end_all']),
    );
  });

  it('rotates signing keys, in an emergency ending every token', async () => {
    const { access } = await login(house, wallet('erin'));
    const rotated = await admin('POST', '/signing-keys/rotate');
    expect(rotated.json.data.rotation.kid).toEqual(expect.any(String));
    expect(await house.authenticator.accessToken(access.token)).toBeTruthy();
    await admin('POST', '/signing-keys/rotate', { emergency: true });
    await house.changes.catchUp();
    expect(await refusedAs(async () => house.authenticator.accessToken(access.token))).toBe('unauthorized');
  });

  it('starts a drain, which is in the audit log', async () => {
    const answer = await admin('POST', '/drain');
    expect([answer.status, answer.json.data]).toEqual([202, { draining: true }]);
    expect(draining).toBe(true);
    expect((await house.audited())[0]).toMatchObject({ action: 'node.drain', actor: 'operator:admin' });
  });

  it.each([
    ['PATCH', '/users/1', {}, 400],
    ['PATCH', '/users/1', { status: 3 }, 400],
    ['PATCH', '/users/1', { tier: 'gold' }, 400],
    ['PATCH', '/users/1', { permissions: ['everything'] }, 400],
    ['PATCH', '/users/1', { roles: ['admin'] }, 400],
    ['PATCH', '/users/1', { userId: 2 }, 400],
    ['PATCH', '/users/999999', { status: 1 }, 404],
    ['GET', '/users/x', undefined, 404],
    ['GET', '/users/0', undefined, 404],
    ['GET', '/users?limit=x', undefined, 400],
    ['POST', '/signing-keys/rotate', { emergency: 'yes' }, 400],
    ['PATCH', '/users/1', { roles: ['x'.repeat(70_000)] }, 413],
    ['GET', '/nowhere', undefined, 404],
  ])('is refused %s %s %j with %s', async (method, path, body, status) => {
    const answer = await admin(method, path, body);
    expect(answer.status).toBe(status);
    expect(answer.json.success).toBe(false);
  });
});

describe('the backend', () => {
  const level = { channel: 'level2', key: 'ETH-USD', data: { levels: [['ask', '2000', '1.5']] } };

  it('publishes one or many, and learns where each landed', async () => {
    const one = await backend('POST', '/publish', level);
    expect(one.json.data.results).toMatchObject([{ stream: 'level2/ETH-USD', sequence: expect.any(Number) }]);
    const many = await backend('POST', '/publish', {
      publications: [level, { channel: 'x' }],
      idempotencyKey: 'a',
    });
    const again = await backend('POST', '/publish', {
      publications: [level, { channel: 'x' }],
      idempotencyKey: 'a',
    });
    const { sequence } = many.json.data.results[0];
    expect(many.json.data.results[1]).toEqual({ error: 'there is no such channel' });
    expect(again.json.data.results[0]).toMatchObject({ sequence, duplicate: true });
    const position = await backend('GET', '/streams/level2/ETH-USD/position');
    expect(position.json.data).toMatchObject({ stream: 'level2/ETH-USD', position: { sequence } });
  });

  it('replaces a book, and sends a snapshot of what has one', async () => {
    const { key, channel } = level;
    const reset = await backend('POST', '/snapshot', { channel, key, levels: level.data.levels });
    expect(reset.json.data.results[0].sequence).toEqual(expect.any(Number));
    const ticker = await backend('POST', '/snapshot', { channel: 'ticker', key, data: { p: '1' } });
    expect(ticker.json.data.results[0].stream).toBe('ticker/ETH-USD');
    expect((await backend('POST', '/snapshot', { channel: 'user', key: '1', data: {} })).status).toBe(400);
    expect((await backend('POST', '/snapshot', { channel: 'x' })).json.errorMsgKey).toBe(
      'error.request.unknownChannel',
    );
  });

  it('takes a batch of several MiB, and no more than 8', async () => {
    const levels = Array.from({ length: 200 }, (_, i) => ['bid', `1000.${i + 1}`, '1']);
    const publications = Array.from({ length: 1000 }, () => ({ ...level, data: { levels } }));
    const answer = await backend('POST', '/publish', { publications });
    expect(answer.json.data.results).toHaveLength(1000);
    expect((await backend('POST', '/publish', { pad: 'x'.repeat(8 * 1024 * 1024) })).status).toBe(413);
    expect((await backend('POST', '/publish', { publications: [...publications, level] })).status).toBe(400);
  });

  it('sends a user events by whose they are, not by connection', async () => {
    const { user } = await login(house, wallet('frank'));
    const event = { channel: 'orders', key: 'inclusionPreconf', data: { o: 1 } };
    const all = await backend('POST', `/users/${user.userId}/events`, event);
    expect(all.json.data.results.map(({ stream }: { stream: string }) => stream)).toEqual(
      user.accounts.map(({ accountId }) => `orders/inclusionPreconf/${accountId}`),
    );
    const accountId = user.accounts[1]!.accountId;
    const one = await backend('POST', `/users/${user.userId}/events`, {
      ...event,
      key: undefined,
      accountId,
    });
    expect(one.json.data.results.map(({ stream }: { stream: string }) => stream)).toEqual([
      `orders/${accountId}`,
    ]);
    const own = await backend('POST', `/users/${user.userId}/events`, { channel: 'user', data: {} });
    expect(own.json.data.results[0].stream).toBe(`user/${user.userId}`);
    for (const [id, body, status] of [
      [user.userId, { ...event, accountId: 1_000_000 }, 404],
      ['999999', event, 404],
      ['x', event, 404],
      [user.userId, { ...event, channel: 'ticker' }, 400],
      [user.userId, { ...event, channel: 'nope' }, 400],
    ] as const) {
      expect((await backend('POST', `/users/${id}/events`, body)).status).toBe(status);
    }
  });

  it('sees who is connected, each once', async () => {
    const info = (id: string, userId: number | null): ConnectionInfo => ({
      id,
      state: userId === null ? 'anonymous' : 'signed-in',
      door: 'websocket',
      dialect: 'ethgas',
      source: '192.0.2.1',
      openedAt: 1,
      userId,
      address: userId === null ? null : '0x01',
      accounts:
        userId === null ? [] : [{ accountId: 7, userId, type: 1, name: 'Current', status: 1, updateDate: 1 }],
      subscriptions: 1,
    });
    connections = [info('a', 1), info('b', null), info('c', 1), info('d', 2)];
    expect((await backend('GET', '/principals')).json.data).toEqual({
      principals: [
        { userId: 1, address: '0x01', accounts: [7], connections: 2 },
        { userId: 2, address: '0x01', accounts: [7], connections: 1 },
      ],
      truncated: false,
    });
    // The token of the first connection has expired: it names no accounts any more, the second does.
    connections = [{ ...info('a', 1), address: null, accounts: [] }, info('c', 1)];
    expect((await backend('GET', '/principals')).json.data.principals).toEqual([
      { userId: 1, address: '0x01', accounts: [7], connections: 2 },
    ]);
    connections = [info('a', 1), info('b', null), info('c', 1), info('d', 2)];
    const listed = (await admin('GET', '/connections?limit=2')).json.data;
    expect([listed.total, listed.connections.length]).toEqual([4, 2]);
  });

  it('is refused a question that streams do not answer', async () => {
    expect((await backend('GET', '/streams/level2/ETH-USD')).status).toBe(404);
    expect((await backend('GET', '/streams/nope/x/position')).status).toBe(400);
  });
});

describe('any request whatever to either API', () => {
  const routes: [method: string, path: string][] = [
    ['GET', '/admin/v1/users'],
    ['PATCH', '/admin/v1/users/1'],
    ['GET', '/admin/v1/users/1/sessions'],
    ['DELETE', '/admin/v1/sessions/x'],
    ['GET', '/admin/v1/connections'],
    ['GET', '/admin/v1/audit'],
    ['POST', '/backend/v1/publish'],
    ['POST', '/backend/v1/snapshot'],
    ['POST', '/backend/v1/users/1/events'],
    ['GET', '/backend/v1/streams/level2/x/position'],
    ['GET', '/backend/v1/principals'],
    ['GET', '/readyz'],
  ];
  const name = fc.constantFrom(
    'channel',
    'key',
    'data',
    'levels',
    'publications',
    'item',
    'time',
    'status',
    'roles',
    'tier',
    'permissions',
    'idempotencyKey',
    'accountId',
    'limit',
    'before',
    '__proto__',
  );
  const value = fc.oneof(
    fc.jsonValue({ maxDepth: 3 }),
    fc.constantFrom('level2', 'ticker', 'orders', 'user', 'toString', 'ETH-USD', 1, 2, [['bid', '1', '1']]),
  );

  it('is answered below 500', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...routes),
        fc.dictionary(name, value, { maxKeys: 6 }),
        fc.array(fc.tuple(name, fc.string({ maxLength: 20 })), { maxLength: 3 }),
        async ([method, path], body, query) => {
          const { status, text } = await call(
            path.startsWith('/admin') ? 'admin' : 'backend',
            method,
            `${path}?${new URLSearchParams(query)}`,
            method === 'GET' ? undefined : body,
          );
          expect(status).toBeLessThan(500);
          expect(text).not.toMatch(/\n\s+at |FST_|SQLITE/);
        },
      ),
      { numRuns: 300 },
    );
  });
});
