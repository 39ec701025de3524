import { Refusal } from '@countersign/protocol';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { RestCall } from '../../src/backend/forward.ts';
import { answered, authentication, GOOD_ACCESS, type OpenDoor, openDoor, spent } from './door.ts';

const LEFT = { ...spent(0), admitted: true, remaining: 28, reset: 0.2, retryAfter: null };

let open: OpenDoor;
let calls: RestCall[] = [];
let answer: () => { status: number; body: unknown };
let permissions: Set<'market_data' | 'account_updates' | 'trading' | 'transfer'>;
beforeAll(async () => {
  open = await openDoor({
    venue: {
      rest: async (call) => {
        calls.push(call);
        return answered(answer());
      },
      stream: () => Promise.reject(new Error('nothing is streamed here')),
    },
    authenticator: {
      bearer: (token) => {
        if (token !== GOOD_ACCESS) throw new Refusal('unauthorized', 'unknown');
        return authentication({ permissions });
      },
    },
    limits: {
      charge: (kind) => (kind === 'private' ? LEFT : null),
      foresee: () => null,
    },
  });
});
afterAll(() => open.close());
beforeEach(() => {
  calls = [];
  answer = () => ({ status: 200, body: { tokens: [] } });
  permissions = new Set(['market_data', 'account_updates', 'trading']);
});

const bearer = { authorization: `Bearer ${GOOD_ACCESS}` };

describe('public data', () => {
  it.each([
    '/p/network?chainId=1',
    '/p/tokens',
    '/p/inclusion-preconf/markets',
    '/p/wholeblock/markets',
    '/p/wholeblock/market?slot=5',
    '/p/user/fees',
    '/p/builders',
    '/p/builder/5',
    '/p/validators',
  ])('%s is the answer of the venue in the envelope, under either prefix', async (path) => {
    for (const prefix of ['/v1', '/api/v1']) {
      calls = [];
      const { status, json } = await open.ask({ method: 'GET', path: prefix + path, headers: bearer });
      expect([status, json]).toEqual([200, { success: true, data: { tokens: [] } }]);
      const [route, query = ''] = path.split('?');
      expect(calls).toMatchObject([
        { method: 'GET', path: `/v1${route}`, query, body: null, principal: null },
      ]);
    }
  });

  it('passes an envelope of the venue as it is', async () => {
    const body = { success: false, errorCode: 1002, errorMsgKey: 'error.order.done', data: {} };
    answer = () => ({ status: 200, body });
    expect((await open.ask({ method: 'GET', path: '/v1/p/tokens' })).json).toEqual(body);
  });

  it.each([
    [401, 503, 'error.server.unavailable'],
    [500, 503, 'error.server.unavailable'],
    [302, 503, 'error.server.unavailable'],
    [400, 400, 'error.request.invalid'],
    [403, 403, 'error.auth.forbidden'],
    [404, 404, 'error.request.notFound'],
    [409, 409, 'error.request.conflict'],
    [418, 400, 'error.request.invalid'],
    [429, 429, 'error.limit.rate'],
  ])('words a bare %s of the venue as %s', async (from, to, key) => {
    answer = () => ({ status: from, body: { secret: 'inside' } });
    const { status, json, text } = await open.ask({ method: 'GET', path: '/v1/p/tokens' });
    expect([status, json.errorMsgKey]).toEqual([to, key]);
    expect(text).not.toContain('inside');
  });

  it.each([
    ['upstream_timeout', 504],
    ['unavailable', 503],
  ] as const)('is %s when the forwarder says so', async (code, expected) => {
    answer = () => {
      throw new Refusal(code, 'test');
    };
    expect((await open.ask({ method: 'GET', path: '/v1/p/tokens' })).status).toBe(expected);
  });
});

describe('private calls of the venue', () => {
  it.each(['/validator/register?publicKey=0x1', '/validator/verify/batch'])(
    '%s carry who asks',
    async (path) => {
      expect((await open.ask({ path: `/api/v1${path}` })).status).toBe(401);
      expect(calls).toEqual([]);
      const { status } = await open.ask({ path: `/api/v1${path}`, headers: bearer, body: 'a=1' });
      expect(status).toBe(200);
      expect(calls[0]).toMatchObject({ method: 'POST', body: { a: '1' }, principal: { userId: 78 } });
      permissions = new Set(['market_data']);
      expect((await open.ask({ path: `/api/v1${path}`, headers: bearer })).status).toBe(403);
    },
  );

  it('tell what is left of the limit, in lower-case names', async () => {
    const path = '/api/v3/brokerage/key_permissions';
    const { rawHeaders, headers } = await open.ask({ method: 'GET', path, headers: bearer });
    expect(headers).toMatchObject({
      'x-ratelimit-limit': '30',
      'x-ratelimit-remaining': '28',
      'x-ratelimit-reset': '1',
      'ratelimit-limit': '30',
    });
    expect(rawHeaders).toContain('x-ratelimit-limit');
  });
});

describe('the brokerage routes', () => {
  const path = '/api/v3/brokerage';

  it('give the market and the time to anybody', async () => {
    answer = () => ({ status: 200, body: { products: [] } });
    const market = await open.ask({ method: 'GET', path: `${path}/market/products/ETH-USD?limit=1` });
    expect([market.status, market.json]).toEqual([200, { products: [] }]);
    expect(calls).toMatchObject([
      { path: `${path}/market/products/ETH-USD`, query: 'limit=1', principal: null },
    ]);
    const time = (await open.ask({ method: 'GET', path: `${path}/time` })).json;
    expect(Number(time.epochMillis) - Number(time.epochSeconds) * 1000).toBeLessThan(1000);
    expect(time.iso).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
  });

  it.each([
    ['GET', '/accounts'],
    ['POST', '/orders'],
    ['GET', '/key_permissions'],
    ['DELETE', '/portfolios/x'],
    ['GET', '/nowhere/at/all'],
  ])('answer %s %s without a good token with the text that clients know', async (method, route) => {
    for (const headers of [
      {},
      { authorization: 'Bearer x' },
      { 'cb-access-key': 'legacy', 'cb-access-sign': 's' },
    ]) {
      const refused = await open.ask({
        method,
        path: path + route,
        headers: headers as Record<string, string>,
      });
      expect([refused.status, refused.text]).toEqual([401, 'Unauthorized']);
    }
    expect(calls).toEqual([]);
  });

  it('accept a GET with a JSON body, as the SDK sends it', async () => {
    answer = () => ({ status: 200, body: { accounts: [] } });
    const headers = { ...bearer, 'content-type': 'application/json', 'content-length': '2' };
    const { status, json } = await open.ask({ method: 'GET', path: `${path}/accounts`, headers, body: '{}' });
    expect([status, json]).toEqual([200, { accounts: [] }]);
    expect(calls).toMatchObject([{ principal: { userId: 78 } }]);
  });

  it('say which permission is missing in the exact bytes that the SDK searches', async () => {
    permissions = new Set(['account_updates']);
    const refused = await open.ask({ path: `${path}/orders`, headers: bearer, body: '{}' });
    expect(refused.status).toBe(403);
    expect(refused.text).toContain('"error_details":"Missing required scopes"');
    expect((await open.ask({ method: 'GET', path: `${path}/accounts`, headers: bearer })).status).toBe(200);
    expect(
      (await open.ask({ method: 'GET', path: `${path}/key_permissions`, headers: bearer })).json,
    ).toEqual({
      can_view: true,
      can_trade: false,
      can_transfer: false,
      portfolio_uuid: '',
      portfolio_type: 'DEFAULT',
    });
  });

  it('let only those move funds who may transfer', async () => {
    const move = { path: `${path}/portfolios/move_funds`, headers: bearer, body: '{}' };
    expect((await open.ask(move)).status).toBe(403);
    permissions.add('transfer');
    expect((await open.ask(move)).status).toBe(200);
  });

  it('word a limit and a broken request as that API does', async () => {
    const limited = await openDoor({
      limits: {
        charge: () => spent(2),
        foresee: () => null,
      },
    });
    const refused = await limited.ask({ method: 'GET', path: `${path}/accounts`, headers: bearer });
    await limited.close();
    expect([refused.status, refused.headers['retry-after'], refused.text]).toEqual([
      429,
      '2',
      '{"errors":[{"id":"rate_limit_exceeded","message":"Too many requests"}]}',
    ]);
    const broken = await open.ask({ path: `${path}/orders`, headers: bearer, body: '{' });
    expect([broken.status, broken.json.error]).toEqual([400, 'INVALID_ARGUMENT']);
  });

  it('do not let a dot segment turn a public path into a private one', async () => {
    answer = () => ({ status: 200, body: {} });
    for (const odd of ['/market/../accounts', '/market/%2e%2e/accounts', '/market/..%2faccounts']) {
      await open.ask({ method: 'GET', path: path + odd });
    }
    // The forwarder refuses what is left of such paths (test/backend/forward.test.ts); none becomes another path here.
    expect(calls.map((call) => call.path).filter((one) => !one.startsWith(`${path}/market/`))).toEqual([]);
  });
});
