import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createFakeClock } from '../../../testkit/src/fake-clock.ts';
import { createGateway } from '../../src/gateway.ts';
import { createLog } from '../../src/operations/log.ts';
import { ask, type House, next, openHouse, pass, record, refusal, until } from './kit.ts';

let house: House;
beforeAll(async () => {
  house = await openHouse();
});
afterAll(() => house.close());

describe('a token that is revoked while it is connected', () => {
  it('ends its connections and no others: first a word, then a server disconnect, within the bound', async () => {
    const { secret, tokenId } = await house.token();
    const other = await house.connected((await house.token()).secret, { reconnection: true });
    const clients = await Promise.all(
      [1, 2, 3].map(() => house.connected(secret, { reconnection: true, reconnectionDelay: 10 })),
    );
    const begun = performance.now();
    const ends = clients.map(async (client) => {
      const seen = record(client);
      const reason = await next(client, 'disconnect');
      return { reason, seen, active: client.active, ms: performance.now() - begun };
    });
    expect((await house.adminFetch(`/handshake-tokens/${tokenId}`, undefined, 'DELETE')).status).toBe(200);
    for (const { reason, seen, active, ms } of await Promise.all(ends)) {
      expect(reason).toBe('io server disconnect');
      expect(active).toBe(false);
      expect(ms).toBeLessThan(1000);
      expect(seen).toEqual([
        { event: 'unauthorized', data: { code: 'UNAUTHORIZED', message: expect.any(String) } },
      ]);
    }
    expect(await ask(other, '/evm/buy/quote')).toMatchObject({ success: true });
    expect((await refusal(house.client(secret))).message).toContain('unauthorized');
  });

  it('ends with its user too', async () => {
    const { secret, userId } = await house.token();
    const client = await house.connected(secret);
    const end = next(client, 'disconnect');
    await house.adminFetch(`/users/${userId}`, { status: 2 }, 'PATCH');
    expect(await end).toBe('io server disconnect');
    expect((await refusal(house.client(secret))).data.code).toBe('UNAUTHORIZED');
  });

  it('ends where the allow list leaves it out', async () => {
    const { secret, tokenId } = await house.token();
    const client = await house.connected(secret);
    const end = next(client, 'disconnect');
    await house.adminFetch(`/handshake-tokens/${tokenId}`, { allowedIps: ['192.0.2.1'] }, 'PATCH');
    expect(await end).toBe('io server disconnect');
  });

  it('cannot slip in between the check and the connection', async () => {
    for (let i = 0; i < 10; i += 1) {
      const { secret, tokenId } = await house.token();
      const client = house.client(secret);
      const over = new Promise<void>((resolve) => {
        client.once('connect_error', () => resolve());
        client.once('disconnect', () => resolve());
      });
      await Promise.all([house.adminFetch(`/handshake-tokens/${tokenId}`, undefined, 'DELETE'), over]);
      expect(client.connected).toBe(false);
    }
  });
});

describe('a token that is rotated', () => {
  it('works beside its successor for the overlap, then ends; the successor has the same rights', async () => {
    const clock = createFakeClock();
    const own = await openHouse({}, { clock });
    const { secret, tokenId } = await own.token({ permissions: ['market_data'], tier: 'pro' });
    const before = await own.connected(secret);
    const { body } = await own.adminFetch(`/handshake-tokens/${tokenId}/rotate`, { overlapSeconds: 60 });
    const successor = body.data;
    expect(successor.secret).not.toBe(secret);
    expect(successor.handshakeToken).toMatchObject({
      permissions: ['market_data'],
      tier: 'pro',
      name: 'desk',
    });
    expect(successor.replaced).toMatchObject({ tokenId, replacedBy: successor.handshakeToken.tokenId });

    const during = await own.connected(secret);
    const after = await own.connected(successor.secret);
    for (const client of [before, during, after]) {
      expect(await ask(client, '/evm/buy/quote')).toMatchObject({ success: true });
    }
    const ends = [before, during].map(async (client) => {
      const seen = record(client);
      return { reason: await next(client, 'disconnect'), events: seen.map(({ event }) => event) };
    });
    await pass(clock, 59_000);
    expect(before.connected && during.connected).toBe(true);
    await pass(clock, 2000);
    for (const end of await Promise.all(ends)) {
      expect(end).toEqual({ reason: 'io server disconnect', events: ['unauthorized'] });
    }
    expect(await ask(after, '/evm/buy/quote')).toMatchObject({ success: true });
    expect((await refusal(own.client(secret))).message).toContain('unauthorized');
    expect((await own.adminFetch(`/handshake-tokens/${tokenId}/rotate`, {})).status).toBe(409);
    await own.close();
  });

  it('without an overlap ends at once', async () => {
    const { secret, tokenId } = await house.token();
    const client = await house.connected(secret);
    const end = next(client, 'disconnect');
    const { body } = await house.adminFetch(`/handshake-tokens/${tokenId}/rotate`, { overlapSeconds: 0 });
    expect(await end).toBe('io server disconnect');
    await house.connected(body.data.secret);
  });
});

describe('a token with an end', () => {
  it('is let in until then, and its connections end then', async () => {
    const clock = createFakeClock();
    const own = await openHouse({}, { clock });
    const { secret } = await own.token({ expiresAt: clock.now() + 10_000 });
    const client = await own.connected(secret);
    const end = next(client, 'disconnect');
    await pass(clock, 10_500);
    expect(await end).toBe('io server disconnect');
    expect((await refusal(own.client(secret))).data.code).toBe('UNAUTHORIZED');
    await own.close();
  });
});

describe('a session’s access token', () => {
  it('is told when it expires and ends after the leeway, public streams and all', async () => {
    const clock = createFakeClock();
    const own = await openHouse({ tokens: { accessTtl: 100, leeway: 30 } }, { clock });
    const { accessToken } = await own.logIn(0);
    const client = await own.connected(accessToken);
    const seen = record(client);
    const end = next(client, 'disconnect');
    await pass(clock, 101_000);
    await until(() => seen.length === 1);
    expect(seen).toEqual([
      { event: 'token_expired', data: { code: 'UNAUTHORIZED', message: expect.any(String) } },
    ]);
    expect(await ask(client, '/evm/buy/quote')).toMatchObject({ success: true });
    await pass(clock, 30_000);
    expect(await end).toBe('io server disconnect');
    expect(seen.at(-1)?.event).toBe('unauthorized');
    const late = await refusal(own.client(accessToken));
    expect(late.message).toContain('unauthorized: Access token has expired');
    await own.close();
  });

  it('lives on when another is sent by the login event, or when REST refreshes the session', async () => {
    const clock = createFakeClock();
    const own = await openHouse({ tokens: { accessTtl: 100, leeway: 30 } }, { clock });
    const first = await own.logIn(0);
    const [byEvent, byRest] = [
      await own.connected(first.accessToken),
      await own.connected(first.accessToken),
    ];
    await pass(clock, 90_000);
    const second = await own.logIn(0);
    expect(await ask(byEvent, 'login', { token: second.accessToken })).toMatchObject({
      success: true,
      result: { userId: String(first.userId) },
    });
    const answer = await fetch(`${own.urls.rest}/v1/user/login/refresh`, {
      method: 'POST',
      body: new URLSearchParams({ refreshToken: first.refreshToken }),
    });
    expect(answer.status).toBe(200);
    await pass(clock, 60_000);
    for (const client of [byEvent, byRest]) {
      expect(await ask(client, '/evm/buy/quote')).toMatchObject({ success: true });
    }
    await own.close();
  });

  it('of somebody else does not change whose connection it is', async () => {
    const [ada, bob] = [await house.logIn(0), await house.logIn(1)];
    const client = await house.connected(ada.accessToken);
    for (const token of [bob.accessToken, (await house.token()).secret]) {
      expect(await ask(client, 'login', { token })).toMatchObject({ success: false });
    }
    expect(await ask(client, 'login', {})).toMatchObject({ error: { code: 'UNAUTHORIZED' } });
    expect((await house.adminFetch('/connections')).body.data.connections).toContainEqual(
      expect.objectContaining({ door: 'socketio', userId: ada.userId }),
    );
  });

  it('ends with its session', async () => {
    const ada = await house.logIn(2);
    const client = await house.connected(ada.accessToken);
    const end = next(client, 'disconnect');
    await house.adminFetch(`/sessions/${ada.sid}`, undefined, 'DELETE');
    expect(await end).toBe('io server disconnect');
  });
});

describe('a restart', () => {
  it('makes clients with the options of seed 004 come back by themselves', async () => {
    const dataDir = mkdtempSync(join(tmpdir(), 'countersign-restart-'));
    const own = await openHouse({ drain: { window: 0 } }, { dataDir });
    const { secret } = await own.token();
    const client = await own.connected(secret, {
      reconnection: true,
      reconnectionAttempts: 5,
      reconnectionDelay: 1000,
      reconnectionDelayMax: 5000,
    });
    const seen = record(client);
    const lost = next(client, 'disconnect');
    const { port } = new URL(own.urls.socketio);
    await own.gateway.drain();
    expect(await lost).toBe('transport close');
    expect(seen).toEqual([
      { event: 'closing', data: { code: 1012, message: expect.any(String), next: 'recover' } },
    ]);
    const back = next(client, 'connect');
    const again = await createGateway(
      { port: Number(port), internalPort: 0, dataDir },
      { log: createLog({ level: 'silent' }) },
    );
    await again.start();
    await back;
    expect(client.connected).toBe(true);
    await again.close();
    await own.close();
    rmSync(dataDir, { recursive: true, force: true });
  });
});

describe('REST', () => {
  const info = (token: string, path = '/v1/user/info') =>
    house.http.request('GET', path, `Authorization: Bearer ${token}\r\n`);

  it('takes the same token behind Bearer, until it is revoked, and never in the address', async () => {
    const { secret, tokenId, userId } = await house.token();
    const answer = await info(secret);
    expect(JSON.parse(answer.body).data.user.userId).toBe(userId);
    expect((await house.http.request('GET', `/v1/user/info?token=${secret}`)).status).toBe(401);
    await house.adminFetch(`/handshake-tokens/${tokenId}`, undefined, 'DELETE');
    expect((await info(secret)).status).toBe(401);
  });

  it('does not let a token manage sessions or keys', async () => {
    const { secret } = await house.token();
    expect((await info(secret, '/v1/user/sessions')).status).toBe(403);
  });

  it('is the only other place: a login command on the WebSocket door refuses it', async () => {
    const { secret } = await house.token();
    const { WebSocket } = await import('ws');
    const socket = new WebSocket(house.urls.websocket);
    await new Promise((resolve) => socket.once('open', resolve));
    const reply = new Promise((resolve) =>
      socket.once('message', (data) => resolve(JSON.parse(String(data)))),
    );
    socket.send(JSON.stringify({ op: 'login', args: [{ accessToken: secret }] }));
    expect(await reply).toMatchObject({ event: 'error', code: 1000 });
    socket.close();
  });
});
