/** Budgets, caps and tiers on a whole gateway: three doors, real sockets, time held still where a window matters. */
import { once } from 'node:events';
import { createFakeClock } from '@countersign/testkit';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import type { ConfigInput } from '../../src/operations/config.ts';
import { type Any, type House, openHouse } from '../socketio/kit.ts';

const opened: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close();
});

const tier = (limit: number, more: object = {}) => ({
  requests: { limit },
  connections: 100,
  subscriptions: 100,
  ...more,
});

async function house(config: ConfigInput, clock = createFakeClock(Date.now())) {
  const made = await openHouse(config, { clock });
  opened.push(() => made.close());
  return Object.assign(made, { clock });
}

interface Line {
  socket: WebSocket;
  /** Sends a message and gives the next text back. */
  ask(message: object): Promise<Any>;
}

async function line(to: House, query = '', token?: string): Promise<Line> {
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const socket = new WebSocket(`${to.urls.websocket}${query}`, { headers });
  opened.push(() => socket.terminate());
  await once(socket, 'open');
  return {
    socket,
    async ask(message) {
      const answer = once(socket, 'message');
      socket.send(JSON.stringify(message));
      return JSON.parse(String((await answer)[0]));
    },
  };
}

const login = (token: string) => ({ op: 'login', args: [{ accessToken: token }] });
const TRADES = { op: 'subscribe', args: [{ channel: 'recentTradeUpdate', marketType: 'wholeBlock' }] };
const UNSUBSCRIBE = { ...TRADES, op: 'unsubscribe' };

const get = (to: House, token: string, path = '/v1/user/info') =>
  fetch(`${to.urls.rest}${path}`, { headers: { authorization: `Bearer ${token}` } });

const setTier = async (to: House, userId: number, name: string) =>
  expect((await to.adminFetch(`/users/${userId}`, { tier: name }, 'PATCH')).status).toBe(200);

describe('one budget', () => {
  it('is shared by REST, WebSocket and Socket.IO of a user, exact, and leaves others alone', async () => {
    const to = await house({ tiers: { free: tier(60), pro: tier(150) } });
    for (const [n, name, limit] of [
      [0, 'free', 60],
      [1, 'pro', 150],
    ] as const) {
      const who = await to.logIn(n);
      await setTier(to, who.userId, name);
      const ws = await line(to);
      expect((await ws.ask(login(who.accessToken))).code).toBe(0);
      const io = await to.connected(who.accessToken);
      const rest = async () => {
        let admitted = 0;
        for (let i = 0; i < 80; i += 1) if ((await get(to, who.accessToken)).status === 200) admitted += 1;
        return admitted;
      };
      const socket = async () => {
        let admitted = 0;
        for (let i = 0; i < 80; i += 1) if ((await ws.ask(UNSUBSCRIBE)).code === 0) admitted += 1;
        return admitted;
      };
      const events = async () => {
        let admitted = 0;
        for (let i = 0; i < 80; i += 1) {
          const reply = await io.emitWithAck('/evm/buy/quote', { chain: 'eth' });
          if (reply.success) admitted += 1;
          else expect(reply.error.code).toBe('RATE_LIMITED');
        }
        return admitted;
      };
      const counts = await Promise.all([rest(), socket(), events()]);
      expect(counts.reduce((a, b) => a + b)).toBe(limit);
      expect(counts.every((count) => count > 0)).toBe(true);
    }
    const other = await to.logIn(2);
    expect((await get(to, other.accessToken)).status).toBe(200);

    // A node that has not looked for revocations for a while does nothing private: let it look in between.
    for (let i = 0; i < 7; i += 1) {
      to.clock.advance(9_000);
      await to.adminFetch('/changes/position');
    }
    const again = await to.logIn(0);
    expect((await get(to, again.accessToken)).status).toBe(200);
  });

  it('takes a new tier into account on open connections as soon as the change is made', async () => {
    const to = await house({ tiers: { free: tier(3), pro: tier(100) } });
    const who = await to.logIn(0);
    const ws = await line(to);
    await ws.ask(login(who.accessToken));
    for (let i = 0; i < 3; i += 1) expect((await ws.ask(UNSUBSCRIBE)).code).toBe(0);
    expect((await ws.ask(UNSUBSCRIBE)).code).toBe(1003);
    const begun = performance.now();
    await setTier(to, who.userId, 'pro');
    expect(await ws.ask(UNSUBSCRIBE)).toMatchObject({ code: 0, limits: { limit: 100 } });
    expect(performance.now() - begun).toBeLessThan(2000);
    await setTier(to, who.userId, 'free');
    expect((await ws.ask(UNSUBSCRIBE)).code).toBe(1003);
  });

  it('counts strangers by their address, and hardly limits programs of this machine', async () => {
    const anonymous = { limit: 2, window: 60 };
    const local = await house({ venue: { url: null }, limits: { anonymous } });
    const open = () => fetch(`${local.urls.rest}/v1/p/network`);
    for (let i = 0; i < 5; i += 1) expect((await open()).headers.get('ratelimit-limit')).toBe('10000000');

    const strict = await house({ venue: { url: null }, limits: { anonymous, loopback: null } });
    const statuses = [];
    for (let i = 0; i < 3; i += 1) {
      const answer = await fetch(`${strict.urls.rest}/v1/p/network`);
      statuses.push(answer.status);
      expect(answer.headers.get('ratelimit-limit')).toBe('2');
    }
    expect(statuses[2]).toBe(429);
  });

  it('keeps a reserve for what reduces risk', async () => {
    const to = await house({ tiers: { free: tier(1, { reserve: 1 }) } });
    const { accessToken } = await to.logIn(0);
    const post = (path: string) =>
      fetch(`${to.urls.rest}/api/v3/brokerage/${path}`, {
        method: 'POST',
        headers: { authorization: `Bearer ${accessToken}` },
        body: '{}',
      });
    await get(to, accessToken);
    expect((await post('orders')).status).toBe(429);
    expect((await post('orders/batch_cancel')).status).not.toBe(429);
    expect((await post('orders/batch_cancel')).status).toBe(429);
  });
});

describe('what a refused peer sees', () => {
  it('is 429, Retry-After and the budget on REST', async () => {
    const to = await house({ tiers: { free: tier(1) } });
    const { accessToken } = await to.logIn(0);
    const first = await get(to, accessToken);
    expect([first.status, first.headers.get('ratelimit-remaining')]).toEqual([200, '0']);
    const refused = await get(to, accessToken);
    expect(refused.status).toBe(429);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThanOrEqual(60);
    expect(refused.headers.get('ratelimit-limit')).toBe('1');
    expect(Number(refused.headers.get('ratelimit-reset'))).toBeGreaterThan(0);
    expect(await refused.json()).toMatchObject({ success: false, errorMsgKey: 'error.limit.rate' });
    const brokerage = await get(to, accessToken, '/api/v3/brokerage/key_permissions');
    expect(brokerage.status).toBe(429);
    expect(brokerage.headers.get('x-ratelimit-remaining')).toBe('0');
    expect(await brokerage.text()).toBe(
      '{"errors":[{"id":"rate_limit_exceeded","message":"Too many requests"}]}',
    );
  });

  it('is on every reply of the ethgas dialect, with the wait where it is refused', async () => {
    const to = await house({ tiers: { free: tier(2) } });
    const { accessToken } = await to.logIn(0);
    const ws = await line(to);
    expect((await ws.ask(login(accessToken))).limits.limit).toBe(10_000_000);
    expect(await ws.ask(TRADES)).toMatchObject({
      event: 'subscribe',
      limits: { limit: 2, remaining: 1, reset: expect.any(Number) },
    });
    await ws.ask(UNSUBSCRIBE);
    expect(await ws.ask({ op: 'ping' })).toMatchObject({ event: 'pong', limits: { remaining: 0 } });
    const refused = await ws.ask(TRADES);
    expect(refused).toMatchObject({ event: 'error', code: 1003, limits: { limit: 2, remaining: 0 } });
    expect(refused.limits.retryAfter).toBeGreaterThanOrEqual(60);
    expect(await ws.ask({ cmd: 'unsubscribe', args: TRADES.args[0] })).toMatchObject({
      cmd: 'error',
      status: 'error',
      error: { code: 429 },
      limits: { remaining: 0 },
    });
  });

  it('is shown in the coinbase dialect only to those who asked, and to the refused', async () => {
    const to = await house({ limits: { anonymous: { limit: 2, burst: null }, loopback: null } });
    const heartbeats = { type: 'subscribe', channel: 'heartbeats' };
    const quiet = await line(to);
    expect(await quiet.ask({ ...heartbeats, type: 'unsubscribe' })).not.toHaveProperty('limits');
    const asking = await line(to);
    expect(await asking.ask({ ...heartbeats, type: 'unsubscribe', limits: true })).toMatchObject({
      channel: 'subscriptions',
      limits: { limit: 2, remaining: 0 },
    });
    const refused = await quiet.ask(heartbeats);
    expect(refused).toMatchObject({ type: 'error', message: 'rate limit exceeded', limits: { limit: 2 } });
    expect(refused.limits.retryAfter).toBeGreaterThanOrEqual(1);
    const byAddress = await line(to, '?limits=true');
    expect((await byAddress.ask({ type: 'odd' })).limits.limit).toBe(2);
  });

  it('is shown over Socket.IO to those who asked when they connected', async () => {
    const to = await house({ tiers: { free: tier(5) } });
    const { accessToken } = await to.logIn(0);
    const plain = await to.connected(accessToken);
    expect(await plain.emitWithAck('/evm/buy/quote', {})).not.toHaveProperty('limits');
    const asking = await to.connected(accessToken, { query: { limits: 'true' } });
    expect(await asking.emitWithAck('/evm/buy/quote', {})).toMatchObject({
      success: true,
      limits: { limit: 5, remaining: 3 },
    });
  });
});

describe('caps of a tier', () => {
  it('hold the connections of a user over all doors, and make room again', async () => {
    const to = await house({ tiers: { free: tier(100, { connections: 2 }) } });
    const { accessToken } = await to.logIn(0);
    const first = await line(to, '', accessToken);
    await to.connected(accessToken);
    await expect(line(to, '', accessToken)).rejects.toThrow('429');
    const third = await line(to);
    expect(await third.ask(login(accessToken))).toMatchObject({ event: 'error', code: 1003 });
    // A login again on a connection that counts already takes no more room.
    expect((await first.ask(login(accessToken))).code).toBe(0);
    first.socket.close();
    await once(first.socket, 'close');
    expect((await third.ask(login(accessToken))).code).toBe(0);
  });

  it('hold the streams of a user over all connections', async () => {
    const to = await house({ tiers: { free: tier(100, { subscriptions: 1 }) } });
    const { accessToken } = await to.logIn(0);
    const [first, second] = [await line(to, '', accessToken), await line(to, '', accessToken)];
    expect((await first.ask(TRADES)).code).toBe(0);
    expect(await second.ask(TRADES)).toMatchObject({ event: 'error', code: 1003 });
    await first.ask(UNSUBSCRIBE);
    expect((await second.ask(TRADES)).code).toBe(0);
  });

  it('count handshakes of an address before anything is looked at', async () => {
    const to = await house({ limits: { handshakesPerSecond: 2, loopback: null } });
    await line(to);
    await line(to);
    await expect(line(to, '', 'not a token')).rejects.toThrow('429');
    to.clock.advance(1200);
    await line(to);
  });
});

describe('explain', () => {
  const ask = async (to: House, who: unknown, what: string, from?: string): Promise<Any> => {
    const { status, body } = await to.adminFetch('/explain', { who, do: what, ...(from ? { from } : {}) });
    expect([status, body]).toEqual([200, expect.anything()]);
    return body.data;
  };

  it('names the rule that decided, those before it, and what would change the answer', async () => {
    const to = await house({ tiers: { free: tier(2) } });
    const { userId, accessToken, sid } = await to.logIn(0);
    await to.adminFetch(`/users/${userId}`, { permissions: ['market_data'] }, 'PATCH');
    expect(await ask(to, { userId }, 'call POST /v1/user/update')).toMatchObject({
      allowed: false,
      rule: 'permission',
      code: 'forbidden',
      mend: expect.stringContaining('operator'),
      who: { userId, tier: 'free', permissions: ['market_data'] },
    });
    const { tried } = await ask(to, { sid }, 'subscribe level2/ETH-USD');
    expect(tried.map(({ rule }: Any) => rule)).toEqual([
      'known',
      'credential',
      'suspended',
      'allow-list',
      'public',
      'subscriptions',
      'limit',
    ]);
    await get(to, accessToken);
    await get(to, accessToken);
    expect(await ask(to, { userId }, 'call GET /v1/user/info')).toMatchObject({
      allowed: false,
      rule: 'limit',
      code: 'rate_limited',
      budget: { remaining: 0 },
    });
    expect(await ask(to, 'anonymous', 'subscribe user')).toMatchObject({ rule: 'signed-in' });
    expect(await ask(to, { userId }, 'publish level2/ETH-USD')).toMatchObject({ rule: 'known' });
    expect(await ask(to, { sid: 'none' }, 'call GET /v1/user/info')).toMatchObject({ rule: 'credential' });
    await to.adminFetch(`/users/${userId}`, { status: 2 }, 'PATCH');
    expect(await ask(to, { userId }, 'call GET /v1/user/info')).toMatchObject({ rule: 'suspended' });
  });

  it('says when an address is not on the list of a token', async () => {
    const to = await house({});
    const { tokenId } = await to.token({ allowedIps: ['192.0.2.0/24'] });
    expect(await ask(to, { tokenId }, 'event /evm/buy/quote', '198.51.100.1')).toMatchObject({
      allowed: false,
      rule: 'allow-list',
    });
    expect(await ask(to, { tokenId }, 'event /evm/buy/quote', '192.0.2.7')).toMatchObject({ allowed: true });
    expect(await ask(to, { tokenId }, 'event /svm/transfer/transaction')).toMatchObject({
      rule: 'permission',
    });
  });

  it('refuses questions that cannot be read', async () => {
    const to = await house({});
    for (const question of [
      { who: {}, do: 'query x' },
      { who: 'anonymous', do: 'dance' },
      { who: 'anonymous', do: 'query x', from: 'here' },
      { who: { userId: 1, sid: 'x' }, do: 'query x' },
    ]) {
      expect((await to.adminFetch('/explain', question)).status).toBe(400);
    }
    expect((await to.adminFetch('/explain?anonymous=true&do=query%20recentTrades')).status).toBe(200);
  });

  it('says what the doors do', async () => {
    const to = await house({ venue: { url: null }, tiers: { free: tier(1_000_000) } });
    const users = await Promise.all([0, 1, 2].map((n) => to.logIn(n)));
    const calls = [
      'GET /v1/user/info',
      'GET /v1/user/accounts',
      'GET /v1/user/account/txs',
      'POST /v1/user/update',
      'POST /v1/user/payoutAddress',
      'POST /v1/user/collateralPerSlot',
      'POST /v1/user/delegate/pricer',
      'POST /v1/validator/register',
      'GET /v1/user/sessions',
      'GET /v1/user/keys',
      'GET /v1/p/network',
      'GET /api/v1/p/builders',
      'GET /api/v3/brokerage/time',
      'GET /api/v3/brokerage/market/products',
      'GET /api/v3/brokerage/products',
      'GET /api/v3/brokerage/accounts',
      'GET /api/v3/brokerage/key_permissions',
      'POST /api/v3/brokerage/orders',
      'POST /api/v3/brokerage/orders/batch_cancel',
      'POST /api/v3/brokerage/portfolios/move_funds',
      'DELETE /api/v3/brokerage/orders/1',
    ];
    const joins = ['recentTradeUpdate/wholeBlock', 'orderUpdate/wholeBlock', 'accountFundUpdate'];
    const permissions = fc.subarray(['market_data', 'account_updates', 'trading', 'transfer']);
    const who = fc.constantFrom(0, 1, 2, null);
    const what = fc.oneof(
      fc.constantFrom(...calls).map((one) => `call ${one}`),
      fc.constantFrom(...joins).map((one) => `subscribe ${one}`),
    );
    await fc.assert(
      fc.asyncProperty(who, permissions, what, async (n, held, wish) => {
        const user = n === null ? null : users[n];
        if (user) await to.adminFetch(`/users/${user.userId}`, { permissions: held }, 'PATCH');
        const said = await ask(to, user ? { sid: user.sid } : 'anonymous', wish);
        const [verb, first = '', path = ''] = wish.split(' ');
        if (verb === 'call') {
          const headers = user ? { authorization: `Bearer ${user.accessToken}` } : {};
          const answer = await fetch(`${to.urls.rest}${path}`, {
            method: first,
            headers,
            ...(first === 'GET' ? {} : { body: '{}' }),
          });
          // What the venue, or the handler behind the rules, makes of an empty request is another matter.
          expect([wish, held, said.allowed]).toEqual([wish, held, ![401, 403, 429].includes(answer.status)]);
          if (!said.allowed) expect(answer.status).toBe(said.code === 'unauthorized' ? 401 : 403);
        } else {
          const ws = await line(to);
          if (user) await ws.ask(login(user.accessToken));
          const [channel, marketType] = first.split('/');
          const answer = await ws.ask({ op: 'subscribe', args: [{ channel, marketType }] });
          expect([wish, held, said.allowed]).toEqual([wish, held, answer.code === 0]);
          ws.socket.terminate();
        }
      }),
      { numRuns: 60 },
    );
  });
});
