/** What each brokerage route asks of a key, and the exact words of its refusals (wire facts coinbase 3, "REST answers"). */
import { Refusal } from '@countersign/protocol';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { RestCall } from '../../src/backend/forward.ts';
import type { Permission } from '../../src/session/principal.ts';
import { answered, authentication, GOOD_ACCESS, type OpenDoor, openDoor } from './door.ts';

const BASE = '/api/v3/brokerage';
const ALL: readonly Permission[] = ['market_data', 'account_updates', 'trading', 'transfer'];
let open: OpenDoor;
let calls: RestCall[] = [];
let answer: () => { status: number; body: unknown };
let permissions: Set<Permission>;
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
  });
});
afterAll(() => open.close());
beforeEach(() => {
  calls = [];
  answer = () => ({ status: 200, body: { some: 'answer' } });
  permissions = new Set(ALL);
});

const go = (method: string, path: string, body?: string) =>
  open.ask({
    method,
    path: BASE + path,
    headers: { authorization: `Bearer ${GOOD_ACCESS}` },
    ...(body === undefined ? {} : { body }),
  });

describe('a private route', () => {
  it.each<[string, string, Permission | null]>([
    ['GET', '/key_permissions', null],
    ['GET', '/products', 'market_data'],
    ['GET', '/products/BTC-USD', 'market_data'],
    ['GET', '/products/BTC-USD/candles?start=1&end=2&granularity=FIVE_MINUTE', 'market_data'],
    ['GET', '/products/BTC-USD/ticker', 'market_data'],
    ['GET', '/best_bid_ask?product_ids=BTC-USD&product_ids=ETH-USD', 'market_data'],
    ['GET', '/product_book?product_id=BTC-USD', 'market_data'],
    ['GET', '/accounts', 'account_updates'],
    ['GET', '/accounts/8bfc20d7-f7c6-4422-bf07-8243ca4169fe', 'account_updates'],
    ['GET', '/orders/historical/batch', 'account_updates'],
    ['GET', '/orders/historical/fills', 'account_updates'],
    ['GET', '/orders/historical/0000', 'account_updates'],
    ['GET', '/portfolios', 'account_updates'],
    ['GET', '/transaction_summary', 'account_updates'],
    ['GET', '/products_of_others', 'account_updates'],
    ['POST', '/orders', 'trading'],
    ['POST', '/orders/preview', 'trading'],
    ['POST', '/orders/batch_cancel', 'trading'],
    ['POST', '/orders/edit', 'trading'],
    ['DELETE', '/portfolios/1', 'trading'],
    ['POST', '/portfolios/move_funds', 'transfer'],
    ['POST', '/accounts/1/transfers', 'transfer'],
  ])('%s %s needs %s and nothing else', async (method, path, needed) => {
    const body = method === 'POST' ? '{"a":1}' : undefined;
    permissions = new Set(needed === null ? [] : [needed]);
    const allowed = await go(method, path, body);
    expect(allowed.status).toBe(200);
    expect(allowed.headers['cache-control']).toBe('no-store');
    if (needed === null) return;
    const [route, query = ''] = path.split('?');
    expect(calls).toMatchObject([{ method, path: BASE + route, query, principal: { userId: 78 } }]);
    calls = [];
    permissions = new Set(ALL.filter((permission) => permission !== needed));
    const refused = await go(method, path, body);
    expect([refused.status, refused.headers['content-type'], refused.text]).toEqual([
      403,
      'application/json; charset=utf-8',
      '{"error":"unknown","error_details":"Missing required scopes","message":"Missing required scopes"}',
    ]);
    expect(calls).toEqual([]);
  });

  it.each([
    [401, 503],
    [500, 503],
    [400, 400],
    [404, 404],
  ])(
    'turns a %s of the venue into %s: a client whose token is good must not be told otherwise',
    async (from, to) => {
      answer = () => ({ status: from, body: { error: 'NOT_FOUND' } });
      expect((await go('GET', '/accounts')).status).toBe(to);
    },
  );

  it('rewords a refusal that the venue gave in other words than clients of this API read', async () => {
    answer = () => ({
      status: 404,
      body: { success: false, errorCode: 1002, message: 'There is no such product.' },
    });
    const { status, json } = await go('GET', '/products/X');
    const message = 'There is no such product.';
    expect([status, json]).toEqual([404, { error: 'NOT_FOUND', error_details: message, message }]);
    answer = () => ({ status: 422, body: null });
    expect((await go('POST', '/orders', '{}')).json.error).toBe('INVALID_ARGUMENT');
    const own = { error: 'INVALID_ARGUMENT', error_details: 'x', message: 'x' };
    answer = () => ({ status: 400, body: own });
    expect((await go('POST', '/orders', '{}')).json).toEqual(own);
  });

  it('answers only 2xx, 4xx and 503, whatever its path and body (R84)', async () => {
    const segment = fc.oneof(
      fc.constantFrom(
        'accounts',
        'orders',
        'products',
        'market',
        '..',
        '.',
        '%2e%2e',
        '%00',
        '%',
        '%c0%af',
        '*',
        'move_funds',
      ),
      fc.stringMatching(/^[!$&-;=@-Z_a-z~]{1,12}$/),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom('GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'HEAD'),
        fc.array(segment, { minLength: 1, maxLength: 5 }),
        fc.oneof(fc.json(), fc.string()),
        async (method, path, body) => {
          const { status } = await go(
            method,
            `/${path.join('/')}`,
            ['POST', 'PUT', 'PATCH'].includes(method) ? body : undefined,
          );
          expect(status === 503 || status < 500).toBe(true);
        },
      ),
      { numRuns: 200 },
    );
  });
});
