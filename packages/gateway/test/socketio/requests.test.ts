import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Any, ask, type House, next, openHouse, record } from './kit.ts';

let house: House;
let secret: string;
let userId: number;
beforeAll(async () => {
  house = await openHouse();
  ({ secret, userId } = await house.token());
});
beforeEach(() => {
  house.venue.asked.length = 0;
  house.venue.answer = ({ event, params }) => ({ success: true, result: { event, ...params } });
});
afterAll(() => house.close());

describe('a request', () => {
  it('is answered by an event of its own name', async () => {
    const client = await house.connected(secret);
    const reply = next(client, '/evm/buy/quote');
    client.emit('/evm/buy/quote', { chain: 'eth' });
    expect(await reply).toEqual({ success: true, result: { event: '/evm/buy/quote', chain: 'eth' } });
  });

  it('is answered by acknowledgement if one was asked for, and then by nothing else', async () => {
    const client = await house.connected(secret);
    const seen = record(client);
    expect(await ask(client, '/svm/sell/quote', { chain: 'sol' })).toEqual({
      success: true,
      result: { event: '/svm/sell/quote', chain: 'sol' },
    });
    await ask(client, '/svm/sell/quote');
    expect(seen).toEqual([]);
  });

  it('reaches the venue with who asks, signed by the gateway', async () => {
    const client = await house.connected(secret);
    await ask(client, '/evm/buy/quote', { chain: 'eth' });
    const [asked] = house.venue.asked;
    expect(asked).toMatchObject({ event: '/evm/buy/quote', params: { chain: 'eth' } });
    const token = String(asked?.headers['x-countersign-identity']);
    const claims = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString());
    expect(claims).toMatchObject({ sub: String(userId), credential: 'handshake-token' });
    expect(JSON.stringify(asked?.headers)).not.toContain(secret);
  });

  it('is answered with the venue’s own failure as it is, what there is of a result included', async () => {
    const failure = {
      success: false,
      error: { code: 'NO_ROUTE_FOUND', message: 'none' },
      partialResult: { dex: 'x' },
    };
    house.venue.answer = () => failure;
    const client = await house.connected(secret);
    expect(await ask(client, '/evm/buy/quote')).toEqual(failure);
  });

  it.each<[string, object | number, string]>([
    ['has gone wrong', 500, 'CONNECTION_TIMEOUT'],
    ['limits the rate', 429, 'RATE_LIMITED'],
    ['does not know the event', 404, 'MISSING_PARAMETER'],
    ['answers in other words', { result: 5 }, 'CONNECTION_TIMEOUT'],
  ])('fails in the words of this API when the venue %s', async (_, answer, code) => {
    house.venue.answer = () => answer;
    const client = await house.connected(secret);
    expect(await ask(client, '/evm/buy/quote')).toEqual({
      success: false,
      error: { code, message: expect.any(String) },
    });
  });

  it('fails when the venue is silent, and holds nobody up meanwhile', async () => {
    const slow = await openHouse({ venue: { url: house.venue.url, timeoutMs: 300 } });
    const token = await slow.token();
    house.venue.answer = ({ params }) =>
      params.slow ? new Promise(() => {}) : { success: true, result: {} };
    const client = await slow.connected(token.secret);
    const order: string[] = [];
    const late = ask(client, '/evm/buy/quote', { slow: true }).then((reply) => {
      order.push('slow');
      return reply;
    });
    await ask(client, '/evm/buy/quote', {}).then(() => order.push('quick'));
    expect(await late).toMatchObject({ success: false, error: { code: 'CONNECTION_TIMEOUT' } });
    expect(order).toEqual(['quick', 'slow']);
    await slow.close();
  });

  it('is one of many at once, and each gets its own answer', async () => {
    const client = await house.connected(secret);
    const replies = await Promise.all(
      Array.from({ length: 50 }, (_, n) => ask(client, '/evm/buy/quote', { n, chain: 'eth' })),
    );
    const served = replies.filter(({ success }) => success);
    // Beyond what one connection may have under way the answer is a refusal, never silence.
    expect(
      replies.filter(({ success }) => !success).every(({ error }) => error.code === 'RATE_LIMITED'),
    ).toBe(true);
    expect(served.length).toBeGreaterThanOrEqual(32);
    for (const [n, reply] of replies.entries()) if (reply.success) expect(reply.result.n).toBe(n);
  });

  it('needs its permission, at every event, as it is at that moment', async () => {
    const reader = await house.token({ permissions: ['market_data'] });
    const client = await house.connected(reader.secret);
    expect(await ask(client, '/evm/buy/quote')).toMatchObject({ success: true });
    for (const event of ['/evm/buy/transaction', '/svm/transfer/transaction']) {
      expect(await ask(client, event)).toMatchObject({ success: false, error: { code: 'UNAUTHORIZED' } });
    }
    expect(house.venue.asked.map(({ event }) => event)).toEqual(['/evm/buy/quote']);
    const path = `/handshake-tokens/${reader.tokenId}`;
    await house.adminFetch(path, { permissions: ['market_data', 'trading'] }, 'PATCH');
    expect(await ask(client, '/evm/buy/transaction')).toMatchObject({ success: true });
    await house.adminFetch(path, { permissions: [] }, 'PATCH');
    expect(await ask(client, '/evm/buy/quote')).toMatchObject({ success: false });
  });

  it('cannot use a permission that the token has and its user has not', async () => {
    const rich = await house.token({ permissions: ['market_data', 'transfer'] });
    const client = await house.connected(rich.secret);
    expect(await ask(client, '/svm/transfer/transaction')).toMatchObject({
      error: { code: 'UNAUTHORIZED' },
    });
    await house.adminFetch(`/users/${rich.userId}`, { permissions: ['market_data', 'transfer'] }, 'PATCH');
    expect(await ask(client, '/svm/transfer/transaction')).toMatchObject({ success: true });
  });
});

describe('an event that is no request', () => {
  it.each([
    ['an unknown path', '/evm/steal', {}, 'MISSING_PARAMETER'],
    ['an unknown word', 'hello', {}, 'MISSING_PARAMETER'],
    ['a name from the prototype', '__proto__', {}, 'MISSING_PARAMETER'],
    ['the name "error"', 'error', { a: 1 }, 'MISSING_PARAMETER'],
    ['the name "message"', 'message', 'text', 'MISSING_PARAMETER'],
    ['a parameter that is no object', '/evm/buy/quote', [1], 'MISSING_PARAMETER'],
    ['one that is nested deeply', '/evm/buy/quote', nested(20), 'MISSING_PARAMETER'],
  ])('(%s) is answered with an error, and the connection goes on', async (_, event, params, code) => {
    const client = await house.connected(secret);
    expect(await ask(client, event, params as object)).toMatchObject({ success: false, error: { code } });
    const reply = next(client, event === '/evm/buy/quote' && deep(params) ? 'error' : event);
    client.emit(event, params);
    expect(await reply).toMatchObject({ success: false });
    expect(await ask(client, '/evm/buy/quote')).toMatchObject({ success: true });
  });

  it('with more than one parameter is refused', async () => {
    const client = await house.connected(secret);
    expect(await client.timeout(5000).emitWithAck('/evm/buy/quote', {}, {})).toMatchObject({
      success: false,
    });
  });
});

describe('usage', () => {
  it('is counted by token: connections and requests, on this door and on REST', async () => {
    const mine = await house.token();
    const client = await house.connected(mine.secret);
    await ask(client, '/evm/buy/quote');
    await ask(client, '/evm/buy/quote');
    const rest = await house.http.request('GET', '/v1/user/info', `Authorization: Bearer ${mine.secret}\r\n`);
    expect(rest.status).toBe(200);
    const { body } = await house.adminFetch(`/handshake-tokens/${mine.tokenId}`);
    expect(body.data.handshakeToken).toMatchObject({
      connects: 1,
      requests: 3,
      lastUsedAt: expect.any(Number),
    });
  });
});

function nested(depth: number): Any {
  return depth === 0 ? {} : { in: nested(depth - 1) };
}
const deep = (params: Any): boolean => params?.in?.in?.in !== undefined;
