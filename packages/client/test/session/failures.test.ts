import { createFakeClock, type FakeClock } from '@countersign/testkit';
import { loginTypedData } from '@countersign/tokens';
import { describe, expect, test } from 'vitest';
import type { WalletSession } from '../../src/index.ts';
import { record, sessionAt, settle } from '../support.ts';

const BASE = 'http://127.0.0.1:9';

type Answer = (path: string) => Response | Promise<Response>;

/** A server in a function: logs in and refreshes well unless the test says otherwise. */
function server(clock: FakeClock, answer: (path: string) => Response | null = () => null) {
  const calls: { path: string; at: number; form: URLSearchParams }[] = [];
  let issued = 0;
  const token = () => {
    const iat = Math.floor(clock.now() / 1000);
    const claims = { iat, exp: iat + 3600, n: ++issued };
    return `e30.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.c2ln`;
  };
  const good: Answer = (path) => {
    if (path.endsWith('/user/login')) {
      const eip712Message = JSON.stringify(loginTypedData({ nonce: '52a90c73', chainId: 1 }));
      return Response.json({ success: true, data: { eip712Message, nonceHash: '52a90c73' } });
    }
    if (path.endsWith('/verify') || path.endsWith('/refresh')) {
      return Response.json({
        success: true,
        data: { accessToken: { token: token() }, refreshToken: `r${issued}` },
      });
    }
    return Response.json({ success: true, data: {} });
  };
  const fetch = (async (url: string | URL, init?: RequestInit) => {
    const path = new URL(url).pathname;
    calls.push({ path, at: clock.monotonic(), form: new URLSearchParams(String(init?.body ?? '')) });
    return answer(path) ?? good(path);
  }) as typeof globalThis.fetch;
  return { fetch, calls, to: (end: string) => calls.filter(({ path }) => path.endsWith(end)) };
}

/** Lets time pass in steps, with what it sets off. */
async function pass(clock: FakeClock, ms: number, step: number): Promise<void> {
  for (let left = ms; left > 0; left -= step) {
    clock.advance(Math.min(step, left));
    await settle(6);
  }
}

const down = () => {
  throw new TypeError('fetch failed');
};
const status = (code: number, headers: Record<string, string> = {}) =>
  Response.json(
    { success: false, errorCode: 9999, errorMsgKey: 'error.x', data: {} },
    { status: code, headers },
  );

async function started(clock: FakeClock, world: ReturnType<typeof server>): Promise<WalletSession> {
  const session = sessionAt(BASE, { clock, fetch: world.fetch, random: () => 0.5 });
  const token = session.accessToken();
  await settle();
  await token;
  return session;
}

describe('a server that is down', () => {
  test('is asked less and less often, within bounds, and the token in hand stays', async () => {
    const clock = createFakeClock();
    let broken = false;
    const world = server(clock, () => (broken ? down() : null));
    const session = await started(clock, world);
    const token = await session.accessToken();
    broken = true;
    await pass(clock, 0.74 * 3_600_000, 60_000);
    expect(world.to('/refresh')).toHaveLength(0);
    await pass(clock, 15 * 60_000, 1000);
    const times = world.to('/refresh').map(({ at }) => at);
    const gaps = times.slice(1).map((at, i) => at - (times[i] ?? 0));
    expect(times.length).toBeGreaterThan(20);
    // The ceiling is 30 s, and half of it is what this random gives.
    expect(times.length).toBeLessThan(80);
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(100);
    expect(gaps.at(-1)).toBeGreaterThanOrEqual(14_000);
    expect(session.state).toBe('retrying');
    expect(session.address).not.toBeNull();
    expect(await session.accessToken()).toBe(token);
    broken = false;
    await pass(clock, 40_000, 1000);
    expect(session.state).toBe('active');
    expect(world.to('/user/login')).toHaveLength(1);
  });

  test('before the first login is asked by callers only, however many, and they hear of it after their patience', async () => {
    const clock = createFakeClock();
    const world = server(clock, down);
    const session = sessionAt(BASE, { clock, fetch: world.fetch });
    const callers = Array.from({ length: 50 }, () => session.accessToken().catch((error: Error) => error));
    await pass(clock, 40_000, 100);
    for (const error of await Promise.all(callers)) {
      expect(error).toMatchObject({ code: 'unreachable', remedy: 'retry' });
    }
    expect(world.calls.length).toBeGreaterThan(3);
    expect(world.calls.length).toBeLessThan(60);
    const before = world.calls.length;
    await pass(clock, 3_600_000, 60_000);
    expect(world.calls).toHaveLength(before);
  });

  test('that answers too late is given up after the time limit', async () => {
    const clock = createFakeClock();
    const session = sessionAt(BASE, {
      clock,
      timeout: 2000,
      patience: 0,
      fetch: ((_url: string, init: RequestInit) =>
        new Promise((_resolve, reject) => {
          init.signal?.addEventListener('abort', () => reject(init.signal?.reason));
        })) as unknown as typeof fetch,
    });
    const token = session.accessToken().catch((error: Error) => error);
    await pass(clock, 2100, 100);
    expect(await token).toMatchObject({ code: 'timeout', remedy: 'retry' });
  });
});

describe('a limit', () => {
  test('is waited for as long as the server says', async () => {
    const clock = createFakeClock();
    let limited = 2;
    const world = server(clock, (path) =>
      path.endsWith('/user/login') && limited-- > 0 ? status(429, { 'retry-after': '7' }) : null,
    );
    const session = sessionAt(BASE, { clock, fetch: world.fetch });
    const token = session.accessToken();
    await pass(clock, 30_000, 250);
    expect(await token).toMatch(/^e30\./);
    const times = world.to('/user/login').map(({ at }) => at);
    expect(times).toHaveLength(3);
    for (const [i, at] of times.slice(1).entries()) expect(at - (times[i] ?? 0)).toBeGreaterThanOrEqual(7000);
  });

  test('that is longer than the patience of a caller is told at once', async () => {
    const clock = createFakeClock();
    const world = server(clock, () => status(429, { 'retry-after': '600' }));
    const session = sessionAt(BASE, { clock, fetch: world.fetch });
    const error = session.accessToken().catch((thrown: Error) => thrown);
    await settle();
    expect(await error).toMatchObject({ code: 'rate_limited', remedy: 'retry', retryAfter: 600 });
    expect(clock.monotonic()).toBe(0);
    await session.accessToken().catch(() => {});
    expect(world.calls).toHaveLength(1);
  });
});

describe('refusals of a refresh', () => {
  test.each([400, 401, 403, 410])('with %d lead to one login', async (code) => {
    const clock = createFakeClock();
    const world = server(clock, (path) => (path.endsWith('/refresh') ? status(code) : null));
    const session = await started(clock, world);
    await pass(clock, 0.8 * 3_600_000, 60_000);
    expect(world.to('/refresh')).toHaveLength(1);
    expect(world.to('/user/login')).toHaveLength(2);
    expect(session.state).toBe('active');
  });

  test.each([500, 502, 503, 408, 429])('with %d lead to no login', async (code) => {
    const clock = createFakeClock();
    const world = server(clock, (path) => (path.endsWith('/refresh') ? status(code) : null));
    const session = await started(clock, world);
    await pass(clock, 0.8 * 3_600_000, 60_000);
    expect(world.to('/refresh').length).toBeGreaterThan(1);
    expect(world.to('/user/login')).toHaveLength(1);
    expect(session.state).toBe('retrying');
  });

  test('fall back on the token before, when the newest one never worked', async () => {
    const clock = createFakeClock();
    let lostIts = '';
    const world = server(clock, (path) => {
      const form = world.calls.at(-1)?.form;
      return path.endsWith('/refresh') && form?.get('refreshToken') === lostIts ? status(403) : null;
    });
    const session = await started(clock, world);
    await pass(clock, 0.76 * 3_600_000, 60_000);
    lostIts = 'r2';
    await pass(clock, 0.76 * 3_600_000, 60_000);
    expect(world.to('/refresh').map(({ form }) => form.get('refreshToken'))).toEqual(['r1', 'r2', 'r1']);
    expect(world.to('/user/login')).toHaveLength(1);
    expect(session.stats()).toMatchObject({ logins: 1, refreshes: 2 });
  });
});

describe('other servers', () => {
  const jwt = (clock: FakeClock) => {
    const iat = Math.floor(clock.now() / 1000);
    return `e30.${Buffer.from(JSON.stringify({ iat, exp: iat + 3600 })).toString('base64url')}.c2ln`;
  };
  const shapes: [string, (clock: FakeClock, n: number) => Response, string[]][] = [
    [
      'a token as text, no new refresh token',
      (clock, n) =>
        Response.json({
          success: true,
          data: { accessToken: jwt(clock), ...(n === 1 ? { refreshToken: 'only' } : {}) },
        }),
      ['only', 'only'],
    ],
    [
      'a token as object, refresh token in the first cookie',
      (clock, n) =>
        new Response(JSON.stringify({ success: true, data: { accessToken: { token: jwt(clock) } } }), {
          headers: [['set-cookie', `x_auth_refresh_token=c${n}; Path=/; HttpOnly`]],
        }),
      ['c1', 'c2'],
    ],
    [
      'a quoted refresh token in the other cookie',
      (clock, n) =>
        new Response(JSON.stringify({ data: { accessToken: jwt(clock) } }), {
          headers: [
            ['set-cookie', 'theme=dark'],
            ['set-cookie', `refreshToken="d${n}"; Path=/`],
          ],
        }),
      ['d1', 'd2'],
    ],
    [
      'a token that is no JWT, with its life beside it',
      (_clock, n) =>
        Response.json({
          success: true,
          data: { accessToken: `opaque${n}`, refreshToken: `o${n}`, expiresIn: 3600 },
        }),
      ['o1', 'o2'],
    ],
    [
      'a life inside the object',
      (clock, n) => {
        const iat = Math.floor(clock.now() / 1000);
        const payload = { iat, exp: iat + 3600 };
        return Response.json({
          data: { accessToken: { token: `t${n}`, data: { payload } }, refreshToken: `p${n}` },
        });
      },
      ['p1', 'p2'],
    ],
  ];

  test.each(shapes)('that answer with %s are understood', async (_name, shape, sent) => {
    const clock = createFakeClock();
    let n = 0;
    const world = server(clock, (path) =>
      path.endsWith('/verify') || path.endsWith('/refresh') ? shape(clock, ++n) : null,
    );
    const session = await started(clock, world);
    await pass(clock, 1.6 * 3_600_000, 60_000);
    expect(world.to('/refresh').map(({ form }) => form.get('refreshToken'))).toEqual(sent);
    expect(session.stats()).toMatchObject({ logins: 1, failures: 0 });
  });

  test('that answer with another account on a refresh are not believed', async () => {
    const clock = createFakeClock();
    const world = server(clock, (path) =>
      path.endsWith('/refresh')
        ? Response.json({
            data: { accessToken: jwt(clock), user: { userId: 2, address: `0x${'9'.repeat(40)}` } },
          })
        : null,
    );
    const session = await started(clock, world);
    await pass(clock, 0.8 * 3_600_000, 60_000);
    expect(world.to('/user/login')).toHaveLength(2);
    expect(session.userId).not.toBe(2);
  });

  test('that hand out one token until it ends are not asked over and over', async () => {
    const clock = createFakeClock();
    const token = jwt(clock);
    const world = server(clock, (path) =>
      path.endsWith('/verify') || path.endsWith('/refresh')
        ? Response.json({ data: { accessToken: token, refreshToken: 'r' } })
        : null,
    );
    await started(clock, world);
    await pass(clock, 0.99 * 3_600_000, 10_000);
    expect(world.to('/refresh').length).toBeLessThan(12);
  });

  test('that answer nonsense with status 200 are asked again later', async () => {
    const clock = createFakeClock();
    const world = server(clock, () => new Response('<html>welcome to the hotel network</html>'));
    const session = sessionAt(BASE, { clock, fetch: world.fetch, patience: 0 });
    const error = session.accessToken().catch((thrown: Error) => thrown);
    await settle();
    expect(await error).toMatchObject({ code: 'unexpected_answer', remedy: 'retry' });
  });
});

test('events tell the story of a session, and a listener that throws does not stop it', async () => {
  const clock = createFakeClock();
  const world = server(clock);
  const session = sessionAt(BASE, { clock, fetch: world.fetch });
  const states = record(session, 'state');
  const token = session.accessToken();
  await settle();
  await token;
  await pass(clock, 0.8 * 3_600_000, 60_000);
  await session.logout();
  expect(states.map(({ state }) => state)).toEqual(['signing-in', 'active', 'ended']);
  await expect(session.accessToken()).rejects.toMatchObject({ code: 'logged_out', remedy: 'user' });
  expect(world.to('/logout')).toHaveLength(1);
});
