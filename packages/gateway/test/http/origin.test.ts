import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { GOOD_ACCESS, GOOD_REFRESH, type OpenDoor, openDoor } from './door.ts';

const LISTED = 'https://app.example';
let open: OpenDoor;
beforeAll(async () => {
  open = await openDoor({ config: { http: { origins: [LISTED, 'null', '*', 'http://localhost:5173'] } } });
});
afterAll(() => open.close());

const own = () => `http://127.0.0.1:${open.port}`;
const refused = [
  'null',
  '*',
  'https://evil.example',
  'http://app.example',
  'https://app.example:444',
  'https://app.example.evil.example',
  'https://evil-app.example',
  'https://sub.app.example',
  'https://app.example/',
  'https://APP.example',
  'https://app.example\\@evil.example',
  'https://app.examplE',
  'file://',
  'http://localhost',
  'http://localhost:51733',
  'https://127.0.0.1',
  'http://127.0.0.1',
  'https://app.example https://evil.example',
];
const routes: [string, string][] = [
  ['POST', '/v1/user/login'],
  ['POST', '/api/v1/user/login/refresh'],
  ['GET', '/v1/user/info'],
  ['GET', '/v1/p/network'],
  ['GET', '/.well-known/jwks.json'],
  ['GET', '/nowhere'],
];

describe.each(routes)('CORS on %s %s', (method, path) => {
  it.each(refused)('gives nothing to %s', async (origin) => {
    const answer = await open.ask({ method, path, headers: { origin } });
    expect(Object.keys(answer.headers).filter((name) => name.startsWith('access-control'))).toEqual([]);
    expect(answer.headers.vary).toBe('Origin');
    const preflight = await open.ask({
      method: 'OPTIONS',
      path,
      headers: { origin, 'access-control-request-method': method },
    });
    expect(preflight.status).toBe(403);
    expect(Object.keys(preflight.headers).filter((name) => name.startsWith('access-control'))).toEqual([]);
  });

  it('names a listed origin and its own, with credentials', async () => {
    for (const origin of [LISTED, 'http://localhost:5173', own()]) {
      const answer = await open.ask({ method, path, headers: { origin } });
      expect(answer.headers).toMatchObject({
        'access-control-allow-origin': origin,
        'access-control-allow-credentials': 'true',
        vary: 'Origin',
      });
      const preflight = await open.ask({
        method: 'OPTIONS',
        path,
        headers: {
          origin,
          'access-control-request-method': method,
          'access-control-request-headers': 'authorization',
        },
      });
      expect(preflight.status).toBe(204);
      expect(preflight.headers).toMatchObject({
        'access-control-allow-origin': origin,
        'access-control-allow-methods': 'GET, POST, PATCH, DELETE',
        'access-control-allow-headers': 'authorization, content-type, x-request-id',
      });
    }
  });

  it('says nothing to a program that sends no origin, but varies all the same', async () => {
    const answer = await open.ask({ method, path });
    expect(answer.headers['access-control-allow-origin']).toBeUndefined();
    expect(answer.headers.vary).toBe('Origin');
  });
});

describe('a cookie counts', () => {
  const cookie = `x_auth_refresh_token=${GOOD_REFRESH}`;
  const table: [title: string, headers: Record<string, string>, counts: boolean][] = [
    ['from a program without browser headers', {}, true],
    ['from a listed origin', { origin: LISTED, 'sec-fetch-site': 'cross-site' }, true],
    ['from the same origin by Sec-Fetch-Site', { 'sec-fetch-site': 'same-origin' }, true],
    ['from the address bar', { 'sec-fetch-site': 'none' }, true],
    ['not from another site', { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' }, false],
    ['not from a sandboxed page', { origin: 'null' }, false],
    ['not from a sibling host', { 'sec-fetch-site': 'same-site' }, false],
    ['not from a cross-site form without an origin', { 'sec-fetch-site': 'cross-site' }, false],
    [
      'not when the origin is foreign and the site claims to be ours',
      { origin: 'https://evil.example', 'sec-fetch-site': 'same-origin' },
      false,
    ],
  ];

  it.each(table)('on refresh %s', async (_title, headers, counts) => {
    const answer = await open.ask({ path: '/v1/user/login/refresh', headers: { ...headers, cookie } });
    expect(answer.status).toBe(counts ? 200 : 403);
    if (!counts) expect(answer.json.errorMsgKey).toBe('error.auth.originRefused');
  });

  it.each(table)('on logout %s', async (_title, headers, counts) => {
    open.calls.length = 0;
    const answer = await open.ask({ path: '/v1/user/logout', headers: { ...headers, cookie } });
    expect(answer.status).toBe(200);
    expect(open.calls).toEqual(counts ? [['logout', 'sid-of-refresh']] : []);
    expect(answer.headers['set-cookie'] !== undefined).toBe(counts);
  });

  it('and a token in the body needs neither header nor a listed origin', async () => {
    const answer = await open.ask({
      path: '/v1/user/login/refresh',
      headers: { origin: 'https://evil.example' },
      body: `refreshToken=${GOOD_REFRESH}`,
    });
    expect(answer.status).toBe(200);
  });

  it('but never for anything besides refresh and logout', async () => {
    const answer = await open.ask({
      method: 'GET',
      path: '/v1/user/info',
      headers: { cookie: `${cookie}; access=${GOOD_ACCESS}` },
    });
    expect(answer.status).toBe(401);
  });
});
