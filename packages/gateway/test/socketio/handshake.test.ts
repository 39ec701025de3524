import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ask, type House, next, openHouse, refusal, until } from './kit.ts';
import { openRaw } from './raw.ts';

let house: House;
beforeAll(async () => {
  house = await openHouse();
});
afterAll(() => house.close());

/** A token whose checksum is right and that nobody ever made: good enough to be looked up. */
const stranger = 'cst_0000000000000000000000000000002C8GjS';

async function connections(): Promise<number> {
  return (await house.adminFetch('/connections')).body.data.total;
}

describe('a handshake', () => {
  it('with a handshake token is let in within 300 ms, as the user of the token', async () => {
    const { secret, userId } = await house.token();
    const begun = performance.now();
    const client = await house.connected(secret);
    expect(performance.now() - begun).toBeLessThan(300);
    const { body } = await house.adminFetch('/connections');
    expect(body.data.connections).toContainEqual(
      expect.objectContaining({ door: 'socketio', dialect: 'chainworks', userId }),
    );
    client.disconnect();
    await until(async () => (await connections()) === 0);
  });

  it('with the access token of a session is let in, as text and as the object that a login answers with', async () => {
    const { accessToken } = await house.logIn(0);
    for (const token of [accessToken, { token: accessToken, expiresAt: 1 }]) {
      const client = house.client({ token });
      await next(client, 'connect');
      client.disconnect();
    }
  });

  it.each<[string, object | string]>([
    ['no token', {}],
    ['an empty one', { token: '' }],
    ['one that is no text', { token: 5 }],
    ['one that nobody made', stranger],
    ['one with a wrong checksum', `cst_${'a'.repeat(36)}`],
    ['nonsense', 'abc'],
    ['a very long one', 'x'.repeat(9000)],
  ])('with %s is refused by connect_error, in the words that seed 004 looks for', async (_, auth) => {
    const error = await refusal(house.client(auth));
    expect(error.message.includes('unauthorized')).toBe(true);
    expect(error.data).toEqual({ code: 'UNAUTHORIZED', message: expect.any(String) });
  });

  it('gets no other answer for a token that is revoked, expired, or shown from elsewhere', async () => {
    const revoked = await house.token();
    await house.adminFetch(`/handshake-tokens/${revoked.tokenId}`, undefined, 'DELETE');
    const elsewhere = await house.token({ allowedIps: ['192.0.2.0/24'] });
    const unknown = await refusal(house.client(stranger));
    for (const { secret } of [revoked, elsewhere]) {
      const error = await refusal(house.client(secret));
      expect([error.message, error.data]).toEqual([unknown.message, unknown.data]);
    }
    const here = await house.token({ allowedIps: ['127.0.0.0/8'] });
    await house.connected(here.secret);
  });

  it('that is refused leaves no transport behind', async () => {
    const client = house.client('abc');
    await refusal(client);
    await until(() => !client.io.engine || client.io.engine.readyState === 'closed');
    // One that does not hang up by itself is hung up on.
    const raw = await openRaw(house.urls.socketio);
    raw.send('40{"token":"abc"}');
    await raw.closing;
    expect(raw.texts[1]).toContain('44{"message":"unauthorized: The token is not valid."');
    raw.drop();
  });

  it('that never shows a token ends', async () => {
    const impatient = await openHouse({ socketio: { connectDeadline: 0.2 } });
    const raw = await openRaw(impatient.urls.socketio);
    await raw.closing;
    raw.drop();
    await impatient.close();
  });

  it('with a token in the address is refused, even if auth has a good one', async () => {
    const { secret } = await house.token();
    for (const query of [{ token: secret }, { anything: secret }, { access_token: 'x' }]) {
      const error = await refusal(house.client(secret, { query }));
      expect(error.message).toContain('unauthorized: A token in the address is never accepted');
      expect(JSON.stringify(error.data)).not.toContain(secret);
    }
    await house.connected(secret, { query: { room: 'a' } });
  });

  it('in another namespace is refused there and does not touch the first', async () => {
    const { secret } = await house.token();
    const client = await house.connected(secret);
    const admin = client.io.socket('/admin', { auth: { token: secret } } as never);
    expect((await refusal(admin.connect())).message).toBe('Invalid namespace');
    expect(await ask(client, '/evm/buy/quote')).toMatchObject({ success: true });
  });
});

describe('the origin', () => {
  const from = (origin: string) => ({ extraHeaders: { origin } });

  it('of a page that is not listed gets no socket, on the WebSocket transport too', async () => {
    const { secret } = await house.token();
    for (const origin of ['https://evil.example', 'null', 'http://127.0.0.1']) {
      const error = await refusal(house.client(secret, from(origin)));
      expect(error.message).toBe('websocket error');
    }
  });

  it('of the gateway itself, or of a listed page, is let in', async () => {
    const listed = await openHouse({ http: { origins: ['https://app.example'] } });
    const { secret } = await listed.token();
    await listed.connected(secret, from('https://app.example'));
    await listed.connected(secret, from(listed.urls.rest));
    await listed.close();
  });
});

describe('long-polling', () => {
  it('is off, and says which transport there is', async () => {
    const { secret } = await house.token();
    const error = await refusal(house.client(secret, { transports: ['polling'] }));
    expect(error.message).toBe('xhr poll error');
    const answer = await fetch(`${house.urls.rest}/socket.io/?EIO=4&transport=polling`);
    expect(answer.status).toBe(400);
    expect(await answer.json()).toMatchObject({ code: 0, message: expect.stringContaining('websocket') });
  });

  it('can be switched on: requests and streams are the same, and another address cannot use the id', async () => {
    const polling = await openHouse({
      socketio: { polling: true },
      http: { trustedProxies: ['127.0.0.1'] },
    });
    const { secret } = await polling.token();
    const bad = await refusal(polling.client('abc', { transports: ['polling'] }));
    expect(bad.message).toContain('unauthorized');
    for (const transports of [['polling'], ['polling', 'websocket'], ['websocket']]) {
      const client = await polling.connected(secret, { transports });
      expect(await ask(client, '/evm/buy/quote', { chain: 'eth' })).toMatchObject({ success: true });
      const pushed = next(client, 'tickerUpdate');
      expect(await ask(client, 'subscribe', { channel: 'tickerUpdate', key: 'wholeBlock' })).toMatchObject({
        success: true,
      });
      await polling.publish({ channel: 'tickerUpdate', key: 'wholeBlock', item: 'a', data: { p: 'é' } });
      expect(await pushed).toMatchObject({ data: { p: 'é' } });
      const { id } = client.io.engine as unknown as { id: string };
      const stolen = await fetch(`${polling.urls.rest}/socket.io/?EIO=4&transport=polling&sid=${id}`, {
        headers: { 'x-forwarded-for': '203.0.113.9' },
      });
      expect(stolen.status).toBe(400);
      client.disconnect();
    }
    await polling.close();
  });
});

describe('a bad token that comes again and again', () => {
  it('is refused without being looked at, and told when to come back', async () => {
    const own = await openHouse();
    const { secret } = await own.token();
    const codes: string[] = [];
    let last: Error & { data?: { retryAfter?: number } } = new Error();
    for (let i = 0; i < 7; i += 1) {
      last = await refusal(own.client(stranger));
      codes.push((last.data as { code?: string } | undefined)?.code ?? '');
    }
    expect(codes).toEqual([...Array(5).fill('UNAUTHORIZED'), 'RATE_LIMITED', 'RATE_LIMITED']);
    expect(last.message).toContain('unauthorized');
    expect(last.data?.retryAfter).toBeGreaterThan(0);
    // The good one next to it is none the worse for it.
    await own.connected(secret);
    await own.close();
  });
});
