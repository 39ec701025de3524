import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  ADDRESS,
  type Answer,
  authentication,
  GOOD_ACCESS,
  GOOD_REFRESH,
  type OpenDoor,
  openDoor,
  spent,
  USER,
} from './door.ts';

let open: OpenDoor;
beforeAll(async () => {
  open = await openDoor({ config: { http: { trustedProxies: ['127.0.0.1'] } } });
});
afterAll(() => open.close());

const VERIFY = `/v1/user/login/verify?addr=${ADDRESS}&nonceHash=52a90c73&signature=0xab`;
const REFRESH = '/v1/user/login/refresh';
const bearer = { authorization: `Bearer ${GOOD_ACCESS}` };

function rawCookies({ rawHeaders }: Answer): string[] {
  return rawHeaders.filter((_, i) => i % 2 === 1 && rawHeaders[i - 1]!.toLowerCase() === 'set-cookie');
}

describe('cookies', () => {
  it.each([
    ['verify', VERIFY],
    ['refresh', `${REFRESH}?refreshToken=${GOOD_REFRESH}`],
  ])(
    'are set by %s in the order and form clients need, and nothing sets one before them',
    async (_name, path) => {
      const cookies = rawCookies(await open.ask({ path }));
      expect(cookies).toEqual([
        expect.stringMatching(
          /^x_auth_refresh_token=good\.refresh\.token; Path=\/; HttpOnly; SameSite=Lax; Max-Age=60(4800|4799)$/,
        ),
        expect.stringMatching(
          /^refreshToken=good\.refresh\.token; Path=\/; HttpOnly; SameSite=Lax; Max-Age=60(4800|4799)$/,
        ),
      ]);
    },
  );

  it('are Secure when a trusted proxy says that the client used https', async () => {
    const cookies = rawCookies(await open.ask({ path: VERIFY, headers: { 'x-forwarded-proto': 'https' } }));
    expect(cookies.map((cookie) => cookie.endsWith('; Secure'))).toEqual([true, true]);
  });

  it('are not Secure on the word of a client that is no trusted proxy', async () => {
    const plain = await openDoor();
    const cookies = rawCookies(await plain.ask({ path: VERIFY, headers: { 'x-forwarded-proto': 'https' } }));
    expect(cookies.map((cookie) => cookie.includes('Secure'))).toEqual([false, false]);
    await plain.close();
  });

  it('are both removed by logout', async () => {
    const answer = await open.ask({ path: '/v1/user/logout', headers: bearer });
    expect(rawCookies(answer)).toEqual([
      'x_auth_refresh_token=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0',
      'refreshToken=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0',
    ]);
  });

  it.each([VERIFY.replace('0xab', 'bad'), `${REFRESH}?refreshToken=wrong`])(
    'are not set by a refusal',
    async (path) => {
      expect(rawCookies(await open.ask({ path }))).toEqual([]);
    },
  );
});

describe('the answer to verify and refresh', () => {
  it.each([VERIFY, `${REFRESH}?refreshToken=${GOOD_REFRESH}`])(
    'is the superset that every client reads (%#)',
    async (path) => {
      const { status, json, headers } = await open.ask({ path });
      expect(status).toBe(200);
      expect(json).toEqual({
        success: true,
        data: {
          user: {
            userId: 78,
            address: ADDRESS,
            status: 1,
            userType: 1,
            userClass: 1,
            displayName: 'ada',
            payoutAddress: '',
            accounts: USER.accounts,
          },
          accessToken: {
            token: GOOD_ACCESS,
            expiresAt: expect.any(Number),
            data: {
              header: { alg: 'ES256', typ: 'JWT', kid: 'k1' },
              payload: expect.objectContaining({ access_type: 'access_token', exp: expect.any(Number) }),
            },
          },
          refreshToken: GOOD_REFRESH,
          expiresIn: expect.toSatisfy((left: number) => left === 3600 || left === 3599),
        },
      });
      expect(json.data.accessToken.expiresAt).toBe(json.data.accessToken.data.payload.exp);
      expect(headers['cache-control']).toBe('no-store');
      expect(headers['referrer-policy']).toBe('no-referrer');
    },
  );

  it.each([
    { path: `${VERIFY}&tokenFormat=string` },
    { path: VERIFY, body: 'tokenFormat=string' },
    { path: `${REFRESH}?tokenFormat=string`, body: JSON.stringify({ refreshToken: GOOD_REFRESH }) },
  ])('has the access token as a string when asked (%#)', async (request) => {
    const { json } = await open.ask(request);
    expect(json.data.accessToken).toBe(GOOD_ACCESS);
    expect(json.data.refreshToken).toBe(GOOD_REFRESH);
  });

  it('passes rotation=strict on, and refuses other words', async () => {
    open.calls.length = 0;
    await open.ask({ path: `${VERIFY}&rotation=strict` });
    await open.ask({ path: REFRESH, body: `refreshToken=${GOOD_REFRESH}&rotation=strict` });
    expect(open.calls[0]![1]).toMatchObject({ rotation: 'strict' });
    expect(open.calls[1]![2]).toMatchObject({ rotation: 'strict' });
    expect((await open.ask({ path: `${VERIFY}&rotation=none` })).status).toBe(400);
  });
});

describe('refresh', () => {
  const cookie = `other=1; refreshToken=second; x_auth_refresh_token=first`;

  it('offers every place a client may have put the token, in order, and never what is in Authorization', async () => {
    open.calls.length = 0;
    const { status } = await open.ask({
      path: `${REFRESH}?refreshToken=${GOOD_REFRESH}`,
      headers: { cookie, authorization: 'Bearer stale', 'content-type': 'application/json' },
      body: 'refreshToken=access.in.body',
    });
    expect(status).toBe(200);
    expect(open.calls).toEqual([
      [
        'refresh',
        ['access.in.body', GOOD_REFRESH, 'first', 'second'],
        { source: '127.0.0.1', userAgent: null },
      ],
    ]);
  });

  it.each([
    ['with a wrong token', { path: `${REFRESH}?refreshToken=wrong` }],
    ['with none', { path: REFRESH }],
    ['with a good access token as bearer only', { path: REFRESH, headers: bearer }],
    ['with JSON that has no text in it', { path: REFRESH, body: '{"refreshToken":{"a":1}}' }],
  ])('is refused with 403 %s, never 401', async (_title, request) => {
    const answer = await open.ask(request);
    expect(answer.status).toBe(403);
    expect(answer.json).toMatchObject({
      success: false,
      errorCode: 1000,
      errorMsgKey: 'error.auth.refreshRefused',
    });
    expect(answer.headers['www-authenticate']).toBeUndefined();
  });

  it('marks a token in the query as deprecated, and only that', async () => {
    expect((await open.ask({ path: `${REFRESH}?refreshToken=${GOOD_REFRESH}` })).headers.deprecation).toMatch(
      /^@\d+$/,
    );
    expect(
      (await open.ask({ path: REFRESH, body: `refreshToken=${GOOD_REFRESH}` })).headers.deprecation,
    ).toBeUndefined();
  });
});

describe('logout', () => {
  const message = 'Logged out successfully';

  it.each([
    ['a bearer token', bearer, [['logout', 'sid-1']]],
    ['a cookie', { cookie: `x_auth_refresh_token=${GOOD_REFRESH}` }, [['logout', 'sid-of-refresh']]],
    ['a bearer token that is not valid any more', { authorization: 'Bearer old' }, []],
    ['nothing', {}, []],
  ])('answers 200 with %s', async (_title, headers, expected) => {
    open.calls.length = 0;
    const answer = await open.ask({ path: '/v1/user/logout', headers: headers as Record<string, string> });
    expect(answer.status).toBe(200);
    expect(answer.json).toEqual({ success: true, message, data: { message } });
    expect(open.calls.filter(([name]) => name !== 'bearer')).toEqual(expected);
  });
});

describe('private routes', () => {
  const routes: [string, string][] = [
    ['GET', '/v1/user/info'],
    ['GET', '/api/v1/user/info'],
    ['GET', '/v1/user/accounts'],
    ['GET', '/v1/user/account/242'],
    ['GET', '/v1/user/account/242/txs'],
    ['GET', '/v1/user/account/txs'],
    ['POST', '/v1/user/update?displayName=bob'],
    ['POST', `/v1/user/payoutAddress?payoutAddress=${ADDRESS}`],
    ['POST', '/v1/user/collateralPerSlot?collateralPerSlot=0.5'],
    ['POST', '/v1/user/delegate/pricer?enable=true'],
    ['GET', '/v1/user/sessions'],
    ['DELETE', '/v1/user/sessions/sid-1'],
    ['POST', '/v1/user/logout/all'],
  ];

  it.each(routes)('%s %s answers 200 with a good token', async (method, path) => {
    const answer = await open.ask({ method, path, headers: bearer });
    expect(answer.json).toMatchObject({ success: true });
    expect(answer.status).toBe(200);
    expect(answer.headers['cache-control']).toBe('no-store');
  });

  it.each(routes)('%s %s answers the same 401 to every token that is not good', async (method, path) => {
    const relay = `Basic ${Buffer.from(`0x${'88'.repeat(48)}:`).toString('base64')}`;
    const headers = [
      undefined,
      'Bearer wrong',
      'Bearer',
      'Bearer ',
      relay,
      `Basic ${GOOD_ACCESS}`,
      GOOD_ACCESS,
      `Bearer ${'x'.repeat(9000)}`,
    ];
    for (const authorization of headers) {
      const answer = await open.ask({
        method,
        path,
        headers: authorization === undefined ? {} : { authorization },
      });
      expect(answer.status).toBe(401);
      expect(answer.headers['www-authenticate']).toBe('Bearer');
      expect(answer.json).toEqual({
        success: false,
        errorCode: 1000,
        errorMsgKey: 'error.auth.unauthorized',
        message: 'A valid access token is needed. Refresh the access token or log in again.',
        data: {},
      });
    }
  });

  it('knows the Bearer scheme in any case', async () => {
    for (const scheme of ['bearer', 'BEARER', 'bEaReR']) {
      const headers = { authorization: `${scheme} ${GOOD_ACCESS}` };
      expect((await open.ask({ method: 'GET', path: '/v1/user/info', headers })).status).toBe(200);
    }
  });

  it('binds the token to method, host and path without the query, as seen on the wire', async () => {
    open.calls.length = 0;
    await open.ask({ method: 'GET', path: '/api/v1/user/info?a=1', headers: bearer });
    expect(open.calls).toEqual([
      [
        'bearer',
        GOOD_ACCESS,
        {
          door: 'rest',
          method: 'GET',
          host: `127.0.0.1:${open.port}`,
          path: '/api/v1/user/info',
          source: '127.0.0.1',
          address: '127.0.0.1',
        },
      ],
    ]);
  });

  it('gives python-ethgas an account of type 2', async () => {
    const { json } = await open.ask({ method: 'GET', path: '/v1/user/info', headers: bearer });
    expect(json.data.user.userId).toBe(78);
    expect(json.data.user.accounts.map(({ type }: { type: number }) => type)).toEqual([1, 2]);
  });

  it('echoes a new display name, and refuses one with characters that do not show', async () => {
    const path = '/v1/user/update?displayName=';
    const { json } = await open.ask({ path: `${path}bob%20b`, headers: bearer });
    expect(json.data.user.displayName).toBe('bob b');
    expect((await open.ask({ path: `${path}a%E2%80%AEb`, headers: bearer })).status).toBe(400);
    expect((await open.ask({ path: `${path}a%0d%0ab`, headers: bearer })).status).toBe(400);
    expect((await open.ask({ path: `${path}${'a'.repeat(65)}`, headers: bearer })).status).toBe(400);
  });

  it('answers for an account of somebody else as for one that does not exist', async () => {
    for (const path of ['/v1/user/account/1', '/v1/user/account/999999/txs', '/v1/user/account/x']) {
      expect((await open.ask({ method: 'GET', path, headers: bearer })).status).toBe(404);
    }
  });

  it.each([
    ['collateralPerSlot=-1', 'COLLATERAL_PER_SLOT_NEGATIVE'],
    ['collateralPerSlot=x', 'collateralPerSlot: must be an amount'],
    ['', 'collateralPerSlot: is missing'],
  ])('refuses collateral "%s"', async (query, message) => {
    const answer = await open.ask({ path: `/v1/user/collateralPerSlot?${query}`, headers: bearer });
    expect(answer.status).toBe(400);
    expect(answer.json.message).toBe(message);
  });

  it('keeps what changes things from a key that may only look, and sessions from every key', async () => {
    const asKey = await openDoor({
      authenticator: {
        bearer: async () =>
          authentication({
            permissions: new Set(['market_data', 'account_updates']),
            credential: { kind: 'api-key', keyId: 'k' },
          }),
      },
    });
    const statuses: Record<string, number> = {};
    for (const [method, path] of routes) {
      statuses[`${method} ${path.split('?')[0]}`] = (
        await asKey.ask({ method, path, headers: bearer })
      ).status;
    }
    await asKey.close();
    expect(statuses).toEqual({
      'GET /v1/user/info': 200,
      'GET /api/v1/user/info': 200,
      'GET /v1/user/accounts': 200,
      'GET /v1/user/account/242': 200,
      'GET /v1/user/account/242/txs': 200,
      'GET /v1/user/account/txs': 200,
      'POST /v1/user/update': 403,
      'POST /v1/user/payoutAddress': 403,
      'POST /v1/user/collateralPerSlot': 403,
      'POST /v1/user/delegate/pricer': 403,
      'GET /v1/user/sessions': 403,
      'DELETE /v1/user/sessions/sid-1': 403,
      'POST /v1/user/logout/all': 403,
    });
  });

  it('ends another session of the user, all of them, or all but this one', async () => {
    open.calls.length = 0;
    await open.ask({ method: 'DELETE', path: '/v1/user/sessions/sid-1', headers: bearer });
    expect(
      (await open.ask({ method: 'DELETE', path: '/v1/user/sessions/other', headers: bearer })).status,
    ).toBe(404);
    await open.ask({ path: '/v1/user/logout/all', headers: bearer });
    await open.ask({ path: '/v1/user/logout/all', headers: bearer, body: '{"keepCurrent":"true"}' });
    expect(open.calls.filter(([name]) => name !== 'bearer')).toEqual([
      ['revoke', 78, 'sid-1'],
      ['revoke', 78, 'other'],
      ['logoutAll', 78, undefined],
      ['logoutAll', 78, 'sid-1'],
    ]);
  });
});

describe('limits', () => {
  it.each([
    ['login', '/v1/user/login'],
    ['login', VERIFY],
    ['refresh', REFRESH],
    ['private', '/v1/user/logout/all'],
    ['public', '/v1/p/network'],
  ])('on %s answer 429 with Retry-After of at least a second', async (kind, path) => {
    for (const [retryAfter, header] of [
      [0, '1'],
      [0.2, '1'],
      [7.5, '8'],
    ] as const) {
      const limited = await openDoor({
        limits: {
          charge: (charged) => (charged === kind ? spent(retryAfter) : null),
          foresee: () => null,
        },
      });
      const answer = await limited.ask({ method: kind === 'public' ? 'GET' : 'POST', path, headers: bearer });
      await limited.close();
      expect(answer.status).toBe(429);
      expect(answer.headers).toMatchObject({
        'retry-after': header,
        'ratelimit-limit': '30',
        'ratelimit-remaining': '0',
        'ratelimit-reset': '60',
      });
      expect(answer.json.errorMsgKey).toBe('error.limit.rate');
    }
  });
});
