import { createFakeClock, startCuttingProxy } from '@countersign/testkit';
import { describe, expect, test } from 'vitest';
import { memoryStore } from '../../src/index.ts';
import {
  clockOff,
  closing,
  countingFetch,
  fetchAt,
  gatewayWith,
  keyOf,
  next,
  record,
  sessionAt,
  settle,
} from '../support.ts';

const HOUR = 3_600_000;
const SHORT = { tokens: { accessTtl: 2, leeway: 0 } };

describe('a refresh', () => {
  test('comes between 70 and 80 % of the life of the token, again and again, without another login', async () => {
    const clock = createFakeClock(Date.now());
    const { urls } = await gatewayWith({}, { clock });
    const fetch = countingFetch(fetchAt(clock));
    const session = sessionAt(urls.rest, { clock, fetch });
    let last = await session.accessToken();
    for (let round = 0; round < 5; round++) {
      const begun = clock.now();
      clock.advance(0.69 * HOUR);
      expect(await session.accessToken()).toBe(last);
      const renewed = next(session, 'token');
      clock.advance(0.12 * HOUR);
      const { how, token, expiresAt } = await renewed;
      expect(how).toBe('refresh');
      expect(token).not.toBe(last);
      expect(Math.abs(expiresAt - begun - HOUR)).toBeLessThanOrEqual(HOUR);
      last = token;
      await settle();
    }
    expect(fetch.calls.filter((path) => path === '/v1/user/login')).toHaveLength(1);
    expect(fetch.calls.filter((path) => path === '/v1/user/login/refresh')).toHaveLength(5);
  });

  test('comes at another moment for each of many clients', async () => {
    const clock = createFakeClock(Date.now());
    const { urls } = await gatewayWith({}, { clock });
    const due: number[] = [];
    for (let n = 0; n < 8; n++) {
      const session = sessionAt(urls.rest, { clock, fetch: fetchAt(clock) });
      await session.accessToken();
      due.push((session.stats().nextAttemptAt ?? 0) - clock.now());
    }
    expect(new Set(due).size).toBe(8);
    for (const wait of due) {
      expect(wait).toBeGreaterThan(0.69 * HOUR);
      expect(wait).toBeLessThan(0.81 * HOUR);
    }
  });

  test('keeps a session of two-second tokens alive past four of them', async () => {
    const { urls } = await gatewayWith(SHORT);
    const session = sessionAt(urls.rest);
    await session.accessToken();
    const seen = record(session, 'token');
    await next(session, 'token', () => seen.length >= 4);
    expect((await session.fetch('/v1/user/info')).status).toBe(200);
    expect(seen.map(({ how }) => how)).toEqual(['refresh', 'refresh', 'refresh', 'refresh']);
    expect((await session.sessions()).length).toBe(1);
  });

  test('gives way to a login before the session ends, where nobody has to be asked', async () => {
    const clock = createFakeClock(Date.now());
    const { urls } = await gatewayWith({ tokens: { refreshTtl: 4 * 3600 } }, { clock });
    const session = sessionAt(urls.rest, { clock, fetch: fetchAt(clock) });
    await session.accessToken();
    const how: string[] = [];
    session.onToken((event) => how.push(event.how));
    const lost = record(session, 'lost');
    let tokens = 0;
    for (let hours = 0; hours < 12; hours += 0.25) {
      clock.advance(0.25 * HOUR);
      await session.accessToken();
      // Let the renewal that the clock set off come to its end.
      if (session.stats().attempts > how.length + 1) await next(session, 'token');
      tokens += 1;
    }
    expect(tokens).toBe(48);
    expect(how.filter((one) => one === 'login').length).toBeGreaterThanOrEqual(3);
    expect(how.filter((one) => one === 'refresh').length).toBeGreaterThan(3);
    expect(lost).toEqual([]);
    expect(session.stats().failures).toBe(0);
  });

  test('whose answer is lost is repeated in time and gives the same successor', async () => {
    const { urls } = await gatewayWith();
    const proxy = closing(await startCuttingProxy(urls.rest));
    const session = sessionAt(proxy.url);
    const first = await session.accessToken();
    const lost = proxy.loseNextAnswerTo('/v1/user/login/refresh');
    const failure = next(session, 'failure');
    session.invalidate(first, 'refused');
    const renewed = next(session, 'token');
    await lost;
    expect((await failure).error).toMatchObject({ code: 'unreachable', remedy: 'retry' });
    expect(await renewed).toMatchObject({ how: 'refresh' });
    expect((await session.fetch('/v1/user/info')).status).toBe(200);
    expect(session.stats()).toMatchObject({ logins: 1, refreshes: 1 });
  });

  test('under way is let finish by close, and its token is kept', async () => {
    const { urls } = await gatewayWith();
    const proxy = closing(await startCuttingProxy(urls.rest));
    const store = memoryStore();
    const session = sessionAt(proxy.url, { store });
    const first = await session.accessToken();
    const before = await store.read();
    proxy.delay = 50;
    session.invalidate(first, 'refused');
    const waiting = session.accessToken();
    await next(session, 'attempt');
    await session.close();
    expect(await waiting).not.toBe(first);
    expect(await store.read()).not.toBe(before);
    await expect(session.accessToken()).rejects.toMatchObject({ code: 'closed' });
  });

  test('goes on for others when one caller stops waiting', async () => {
    const { urls } = await gatewayWith();
    const proxy = closing(await startCuttingProxy(urls.rest));
    proxy.delay = 30;
    const session = sessionAt(proxy.url);
    const controller = new AbortController();
    const impatient = session.accessToken({ signal: controller.signal });
    const patient = session.accessToken();
    controller.abort(new Error('no time'));
    await expect(impatient).rejects.toThrow('no time');
    expect(await patient).toMatch(/^eyJ/);
    expect(session.stats()).toMatchObject({ attempts: 1, logins: 1 });
  });
});

describe('a session that ended at the server', () => {
  test('is replaced by one login, and the call is repeated once', async () => {
    const { urls, adminFetch } = await gatewayWith();
    const fetch = countingFetch();
    const session = sessionAt(urls.rest, { fetch });
    await session.accessToken();
    const lost = record(session, 'lost');
    const ended = await adminFetch(`/users/${session.userId}/logout`, {});
    expect(ended.status).toBe(200);
    expect((await session.fetch('/v1/user/info')).status).toBe(200);
    expect(lost).toHaveLength(1);
    expect(lost[0]?.error).toMatchObject({ code: 'forbidden', serverCode: 'error.auth.refreshRefused' });
    expect(session.stats()).toMatchObject({ logins: 2 });
    expect(fetch.calls.filter((path) => path === '/v1/user/info')).toHaveLength(2);
  });

  test('because a spent refresh token was seen again is noticed and replaced', async () => {
    const { urls } = await gatewayWith({ tokens: { rotationGrace: { strict: 0 } } });
    const store = memoryStore();
    const session = sessionAt(urls.rest, { store });
    await session.accessToken();
    const stolen = JSON.parse((await store.read()) ?? '').refreshToken as string;
    const token = next(session, 'token');
    session.invalidate(await session.accessToken(), 'expired');
    await token;
    const thief = await fetch(`${urls.rest}/v1/user/login/refresh`, {
      method: 'POST',
      body: new URLSearchParams({ refreshToken: stolen }),
    });
    expect(thief.status).toBe(403);
    expect((await session.fetch('/v1/user/info')).status).toBe(200);
    expect(session.stats()).toMatchObject({ logins: 2, refreshes: 1 });
  });

  test('needs the user where the wallet has to be asked', async () => {
    const { urls, adminFetch } = await gatewayWith();
    const session = sessionAt(urls.rest, { unattended: false });
    await session.login();
    const gone = next(session, 'ended');
    await adminFetch(`/users/${session.userId}/logout`, {});
    expect((await session.fetch('/v1/user/info').catch((error: Error) => error)) as object).toMatchObject({
      code: 'sign_in_needed',
      remedy: 'user',
    });
    await gone;
    await session.login();
    expect((await session.fetch('/v1/user/info')).status).toBe(200);
  });
});

describe('a call that is refused', () => {
  test('is repeated once by each of many callers after one renewal', async () => {
    const { urls, adminFetch } = await gatewayWith();
    const fetch = countingFetch();
    const session = sessionAt(urls.rest, { fetch });
    await session.accessToken();
    await adminFetch(`/users/${session.userId}/logout`, {});
    const answers = await Promise.all(Array.from({ length: 10 }, () => session.fetch('/v1/user/info')));
    expect(answers.map(({ status }) => status)).toEqual(Array(10).fill(200));
    expect(fetch.calls.filter((path) => path === '/v1/user/login')).toHaveLength(2);
    expect(fetch.calls.filter((path) => path === '/v1/user/login/refresh')).toHaveLength(1);
    expect(fetch.calls.filter((path) => path === '/v1/user/info')).toHaveLength(20);
  });

  test('with 401 for every token leads to two renewals and no more', async () => {
    const { urls } = await gatewayWith();
    const calls: string[] = [];
    const session = sessionAt(urls.rest, {
      fetch: (async (...args: Parameters<typeof fetch>) => {
        const { pathname } = new URL(String(args[0]));
        calls.push(pathname);
        return pathname === '/v1/user/info' ? new Response('', { status: 401 }) : fetch(...args);
      }) as typeof fetch,
    });
    for (let n = 0; n < 20; n++) expect((await session.fetch('/v1/user/info')).status).toBe(401);
    expect(calls.filter((path) => path.endsWith('/refresh'))).toHaveLength(2);
    expect(calls.filter((path) => path === '/v1/user/login')).toHaveLength(1);
  });

  test('is not repeated when its body was a stream', async () => {
    const { urls, adminFetch } = await gatewayWith();
    const fetch = countingFetch();
    const session = sessionAt(urls.rest, { fetch });
    await session.accessToken();
    await adminFetch(`/users/${session.userId}/logout`, {});
    const answer = await session.fetch('/v1/user/update', {
      method: 'POST',
      body: new Blob(['displayName=x']).stream(),
      duplex: 'half',
    } as RequestInit);
    expect(answer.status).toBe(401);
  });

  test.each([
    'https://evil.example/v1/user/info',
    '//evil.example/x',
    '/\\evil.example/x',
    'v1/user/info',
    'http://u:p@127.0.0.1/',
  ])('because it would carry the token to %s is not sent', async (target) => {
    const fetch = countingFetch();
    const session = sessionAt('http://127.0.0.1:9', { fetch });
    await expect(async () => session.fetch(target)).rejects.toMatchObject({ code: 'foreign_url' });
    expect(fetch.calls).toEqual([]);
  });
});

describe('a wrong clock', () => {
  test.each([10, -10])('of %d minutes is noticed and makes no difference', async (minutes) => {
    const { urls } = await gatewayWith(SHORT);
    const off = minutes * 60_000;
    const session = sessionAt(urls.rest, { clock: clockOff(off) });
    await session.accessToken();
    expect(Math.abs(session.stats().clockOffset + off)).toBeLessThan(3000);
    const seen = record(session, 'token');
    await next(session, 'token', () => seen.length >= 2);
    expect(seen.every(({ how }) => how === 'refresh')).toBe(true);
    expect((await session.fetch('/v1/user/info')).status).toBe(200);
    expect(session.stats()).toMatchObject({ logins: 1, failures: 0 });
  });

  test('is learned from the token where answers have no readable date', async () => {
    const { urls } = await gatewayWith();
    const session = sessionAt(urls.rest, {
      clock: clockOff(600_000),
      fetch: (async (...args: Parameters<typeof fetch>) => {
        const { status, body } = await fetch(...args);
        return new Response(body, { status });
      }) as typeof fetch,
    });
    await session.accessToken();
    expect(Math.abs(session.stats().clockOffset + 600_000)).toBeLessThan(2000);
  });
});

test('a private key never shows in what a session prints', async () => {
  const { urls } = await gatewayWith();
  const session = sessionAt(urls.rest);
  await session.accessToken();
  const shown = JSON.stringify(session) + Object.values(session.stats()).join();
  expect(shown).not.toContain(keyOf(0));
  expect(shown).not.toContain('eyJ');
});

describe('the signal of a session', () => {
  test('closes it, also when it was aborted before', async () => {
    const controller = new AbortController();
    const session = sessionAt('http://127.0.0.1:9', { signal: controller.signal });
    controller.abort();
    expect(session.state).toBe('closed');
    const late = sessionAt('http://127.0.0.1:9', { signal: controller.signal });
    await expect(late.accessToken()).rejects.toMatchObject({ code: 'closed', remedy: 'permanent' });
  });
});

describe('logging out', () => {
  test('everywhere ends the user’s other sessions, and spares this one on request', async () => {
    const { urls } = await gatewayWith();
    const one = sessionAt(urls.rest);
    const other = sessionAt(urls.rest);
    await one.login();
    await other.login();
    expect((await one.sessions()).length).toBe(2);
    await one.logoutEverywhere({ keepCurrent: true });
    expect(await one.sessions()).toMatchObject([{ current: true }]);
    const token = await one.accessToken();
    await one.logoutEverywhere();
    await expect(one.accessToken()).rejects.toMatchObject({ code: 'logged_out' });
    const answer = await fetch(`${urls.rest}/v1/user/info`, {
      headers: { authorization: `Bearer ${token}` },
    });
    expect(answer.status).toBe(401);
  });

  test('is done here also when the server cannot be reached, which is told', async () => {
    const { urls } = await gatewayWith();
    const proxy = closing(await startCuttingProxy(urls.rest));
    const store = memoryStore();
    const session = sessionAt(proxy.url, { store });
    await session.accessToken();
    proxy.down = true;
    proxy.cut();
    await expect(session.logout()).rejects.toMatchObject({ code: 'unreachable', remedy: 'retry' });
    expect(session.state).toBe('ended');
    expect(await store.read()).not.toContain('accessToken');
  });
});
