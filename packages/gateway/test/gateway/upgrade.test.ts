import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestGateway, type TestGateway } from '../../../testkit/src/index.ts';
import { closeAll, connectTo, logInOn, subscribeOn, until } from './socket.ts';

let gateway: TestGateway;
let base: string;
const LISTED = 'https://app.example';

beforeAll(async () => {
  gateway = await startTestGateway({
    http: { origins: [LISTED] },
    websocket: { connectionsPerSource: 12, loginDeadline: 1, pingInterval: 1 },
  });
  base = gateway.urls.rest.replace('http', 'ws');
});
afterAll(async () => {
  closeAll();
  await gateway.close();
});

const status = (url: string, options: object = {}): Promise<number> =>
  connectTo(url, options).then(
    (client) => {
      client.close();
      return 101;
    },
    (error: { status?: number }) => error.status ?? 0,
  );

describe('an upgrade', () => {
  test.each([
    ['/', 101],
    ['/ws', 101],
    ['/ws/', 101],
    ['/ws?x=1', 101],
    ['/ws/x', 404],
    ['/wss', 404],
    ['/v1/ws', 404],
    ['//ws', 404],
    ['/socket.io', 404],
    ['/%77s', 404],
  ])('at %s answers %i', async (path, expected) => {
    const got = await status(`${base}${path}`);
    // The Socket.IO door answers for its own paths in its own way; what matters is that it is no socket of ours.
    if (path.startsWith('/socket.io')) expect(got).not.toBe(101);
    else expect(got).toBe(expected);
  });

  const own = () => gateway.urls.rest;
  test.each<[string, () => string | string[] | undefined, number]>([
    ['none', () => undefined, 101],
    ['one that is listed', () => LISTED, 101],
    ['the own one', () => own(), 101],
    ['the own one in capitals', () => own().toUpperCase(), 101],
    ['null', () => 'null', 403],
    ['an empty one', () => '', 403],
    ['a listed one with a suffix', () => `${LISTED}.evil.example`, 403],
    ['a listed one with a prefix', () => 'https://evil-app.example', 403],
    ['a subdomain of a listed one', () => 'https://x.app.example', 403],
    ['a parent of a listed one', () => 'https://example', 403],
    ['another scheme', () => 'http://app.example', 403],
    ['another port', () => `${LISTED}:8443`, 403],
    ['a path behind it', () => `${LISTED}/`, 403],
    ['a user before it', () => 'https://app.example@evil.example', 403],
    ['a wild card', () => '*', 403],
    ['a homograph in punycode', () => 'https://xn--pp-jlc.example', 403],
    ['the own host by another scheme', () => own().replace('http:', 'https:'), 403],
    ['the own host on another port', () => own().replace(/:\d+$/, ':1'), 403],
    ['localhost, which is not the own name', () => 'http://localhost', 403],
    ['a file', () => 'file://', 403],
    ['two', () => [LISTED, 'https://evil.example'], 403],
    ['the same twice', () => [LISTED, LISTED], 403],
  ])('with an origin that is %s answers as it should', async (_name, origin, expected) => {
    const value = origin();
    const headers = value === undefined ? {} : { origin: value };
    expect(await status(`${base}/ws`, { headers })).toBe(expected);
  });

  test('with a good Bearer token is signed in', async () => {
    const { accessToken, userId } = await gateway.logIn(0);
    const client = await connectTo(`${base}/ws`, { headers: { authorization: `Bearer ${accessToken}` } });
    const ack = await subscribeOn(client, { channel: 'accountOrderUpdate', marketType: 'wholeBlock' }, 1);
    expect(ack).toMatchObject({ event: 'subscribe', code: 0 });
    await gateway.sendEvent(userId, {
      channel: 'accountOrderUpdate',
      key: 'wholeBlock',
      data: { o: 'mine' },
    });
    expect((await client.hear(({ e }) => e === 'accountOrderUpdate')).P).toEqual({ o: 'mine' });
    client.close();
  });

  test('with a bad Bearer token is refused with 401 and no reason', async () => {
    const { accessToken } = await gateway.logIn(0);
    for (const token of ['x', 'a.b.c', `${accessToken}x`, accessToken.slice(0, -4)]) {
      const refused = await connectTo(`${base}/ws`, { headers: { authorization: `Bearer ${token}` } }).catch(
        (error) => error,
      );
      expect(refused.status).toBe(401);
      expect(refused.headers['www-authenticate']).toBe('Bearer');
      expect(JSON.parse(refused.body)).toMatchObject({ success: false, errorCode: 1000, data: {} });
      expect(refused.body).not.toContain(token);
    }
  });

  test('with Basic credentials, or a cookie, is nobody', async () => {
    const { refreshToken, accessToken } = await gateway.logIn(0);
    const headers = {
      authorization: `Basic ${Buffer.from('u:p').toString('base64')}`,
      cookie: `x_auth_refresh_token=${refreshToken}; refreshToken=${refreshToken}; accessToken=${accessToken}`,
    };
    const client = await connectTo(`${base}/ws`, { headers });
    const { data } = (await gateway.adminFetch('/connections')).body;
    expect(data.connections.map(({ userId }: { userId: number }) => userId)).toContain(null);
    client.close();
  });

  test('beyond the cap of a source is refused with 429, and possible again once one has left', async () => {
    await until(
      async () => (await gateway.adminFetch('/connections')).body.data.total === 0,
      'an idle gateway',
    );
    const clients = await Promise.all(Array.from({ length: 12 }, () => connectTo(`${base}/ws`)));
    const refused = await connectTo(`${base}/ws`).catch((error) => error);
    expect(refused.status).toBe(429);
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);
    clients.pop()?.close();
    await until(async () => (await status(`${base}/ws`)) === 101, 'room for one more');
    for (const client of clients) client.close();
  });
});

describe('a connection that does nothing', () => {
  test('is closed with 4100 in time, and one that reads a public channel or has logged in is not', async () => {
    const { accessToken } = await gateway.logIn(0);
    // Before they connect: the gateway may have begun to count before a loaded machine lets us know.
    const started = performance.now();
    const [silent, reader, signedIn, junk] = await Promise.all(
      [1, 2, 3, 4].map(() => connectTo(`${base}/ws`)),
    );
    await subscribeOn(reader as never, { channel: 'tickerUpdate', marketType: 'wholeBlock' }, 1);
    await logInOn(signedIn as never, accessToken);
    junk?.send('{"op":"ping"}');
    junk?.send('nonsense');
    const ends = await Promise.all([silent?.closed, junk?.closed]);
    expect(ends.map((end) => end?.code)).toEqual([4100, 4100]);
    expect((ends[0]?.at ?? 0) - started).toBeGreaterThan(900);
    expect((ends[0]?.at ?? 0) - started).toBeLessThan(3000);
    expect([reader?.socket.readyState, signedIn?.socket.readyState]).toEqual([1, 1]);
    reader?.close();
    signedIn?.close();
  });

  test('is dropped when it answers no pings, and kept when it does', async () => {
    const channel = { channel: 'tickerUpdate', marketType: 'wholeBlock' };
    const dead = await connectTo(`${base}/ws`, { autoPong: false });
    const alive = await connectTo(`${base}/ws`);
    await subscribeOn(dead, channel, 1);
    await subscribeOn(alive, channel, 1);
    const started = performance.now();
    const end = await dead.closed;
    expect(end.code).toBe(1006);
    // Two intervals of a second, and the tick that looks.
    expect(end.at - started).toBeGreaterThan(900);
    expect(end.at - started).toBeLessThan(4500);
    expect(alive.socket.readyState).toBe(1);
    alive.close();
  });
});
