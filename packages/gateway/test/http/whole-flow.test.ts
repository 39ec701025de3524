/** The door over the real session services and a real SQLite file. */
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createRouteTable } from '../../src/backend/routes.ts';
import { createHttpDoor, type HttpDoor } from '../../src/doors/http/server.ts';
import { type House, MINUTE, openHouse, wallet } from '../session/support.ts';
import { type Answer, type AskOptions, ask } from './door.ts';

let house: House;
let door: HttpDoor;
let port: number;
const go = (options: AskOptions) => ask(port, options);

beforeAll(async () => {
  house = await openHouse({ port: 0 });
  door = createHttpDoor({
    ...house,
    profiles: house.store.users,
    limits: { charge: () => null, foresee: () => null },
    routes: createRouteTable([]),
    venue: null,
    log: pino({ level: 'silent' }),
  });
  ({ port } = await door.listen());
});
afterAll(async () => {
  await door.close();
  await house.dispose();
});

const ada = wallet('ada');

async function signIn(more = ''): Promise<Answer> {
  const begun = await go({ path: `/v1/user/login?addr=${ada.address}&chainId=560048` });
  const { eip712Message, nonceHash } = begun.json.data;
  expect(JSON.parse(eip712Message).message.hash).toBe(nonceHash);
  return go({
    path: '/api/v1/user/login/verify',
    body:
      new URLSearchParams({
        addr: ada.address,
        nonceHash,
        signature: ada.signTypedData(eip712Message),
      }).toString() + more,
  });
}

const info = (token: string) =>
  go({ method: 'GET', path: '/v1/user/info', headers: { authorization: `Bearer ${token}` } });

describe('a wallet', () => {
  it('signs in, looks, refreshes by cookie, and signs out everywhere at once', async () => {
    const first = await signIn();
    expect(first.status).toBe(200);
    const { accessToken, refreshToken, user } = first.json.data;
    expect(first.headers['set-cookie']![0]).toMatch(
      new RegExp(`^x_auth_refresh_token=${refreshToken}; Path=/; `),
    );
    expect(user.accounts.map(({ type }: { type: number }) => type)).toContain(2);
    expect((await info(accessToken.token)).json.data.user.userId).toBe(user.userId);

    const again = await go({
      path: '/v1/user/login/refresh',
      headers: { cookie: `x_auth_refresh_token=${refreshToken}` },
      // python-ethgas 0.3.0 puts its access token here.
      body: `refreshToken=${accessToken.token}`,
    });
    expect(again.status).toBe(200);
    expect(again.json.data.refreshToken).not.toBe(refreshToken);

    const out = await go({
      path: '/v1/user/logout',
      headers: { cookie: `x_auth_refresh_token=${again.json.data.refreshToken}` },
    });
    expect(out.status).toBe(200);
    for (const token of [accessToken.token, again.json.data.accessToken.token]) {
      expect((await info(token)).status).toBe(401);
    }
    expect((await go({ path: '/v1/user/login/refresh', body: `refreshToken=${refreshToken}` })).status).toBe(
      403,
    );
  });

  it('is never given a bearer right by a refresh token, nor a refresh by an access token', async () => {
    const { accessToken, refreshToken } = (await signIn()).json.data;
    expect((await info(refreshToken)).status).toBe(401);
    const refused = await go({ path: '/v1/user/login/refresh', body: `refreshToken=${accessToken.token}` });
    expect(refused.status).toBe(403);
  });

  it('gets one and the same answer to every login that fails', async () => {
    const begun = await go({ path: `/v1/user/login?addr=${ada.address}` });
    const { eip712Message, nonceHash } = begun.json.data;
    const other = wallet('eve').signTypedData(eip712Message);
    const bodies = new Set<string>();
    for (const [nonce, signature] of [
      ['00000000', other],
      [nonceHash, other],
      [nonceHash, ada.signTypedData(eip712Message)],
      [nonceHash, `0x${'00'.repeat(65)}`],
    ]) {
      const answer = await go({
        path: '/v1/user/login/verify',
        body: JSON.stringify({ addr: ada.address, nonceHash: nonce, signature }),
      });
      expect(answer.status).toBe(401);
      bodies.add(answer.text);
    }
    expect(bodies.size).toBe(1);
  });

  it('sees an expired token as any other that is not good, after the leeway and not before', async () => {
    const { accessToken } = (await signIn()).json.data;
    await house.pass(60 * MINUTE + 59_000);
    expect((await info(accessToken.token)).status).toBe(200);
    await house.pass(2_000);
    const late = await info(accessToken.token);
    expect(late.status).toBe(401);
    expect(late.text).toBe((await info('garbage')).text);
  });

  it('lists its sessions and ends another one', async () => {
    await go({ path: '/v1/user/login' });
    const one = (await signIn()).json.data;
    const two = (await signIn('&rotation=strict')).json.data;
    const headers = { authorization: `Bearer ${two.accessToken.token}` };
    const { sessions } = (await go({ method: 'GET', path: '/v1/user/sessions', headers })).json.data;
    const listed = sessions as { sid: string; current: boolean; rotation: string }[];
    expect(listed.filter(({ current }) => current)).toMatchObject([{ rotation: 'strict' }]);
    const other = listed.find(({ sid }) => sid === one.accessToken.data.payload.sid)!;
    expect(other).toMatchObject({ current: false, rotation: 'adaptive' });
    expect((await go({ method: 'DELETE', path: `/v1/user/sessions/${other.sid}`, headers })).status).toBe(
      200,
    );
    expect((await info(one.accessToken.token)).status).toBe(401);
    expect((await info(two.accessToken.token)).status).toBe(200);
    await go({ path: '/v1/user/logout/all', headers, body: 'keepCurrent=true' });
    expect((await info(two.accessToken.token)).status).toBe(200);
    await go({ path: '/v1/user/logout/all', headers });
    expect((await info(two.accessToken.token)).status).toBe(401);
  });

  it('refuses a chain that is not served with 400', async () => {
    const answer = await go({ path: `/v1/user/login?addr=${ada.address}&chainId=5` });
    expect([answer.status, answer.json.errorMsgKey]).toEqual([400, 'error.request.unknownChain']);
  });

  it('publishes the keys that its tokens verify with', async () => {
    const answer = await go({ method: 'GET', path: '/.well-known/jwks.json' });
    expect(answer.headers['content-type']).toMatch(/^application\/jwk-set\+json/);
    expect(answer.headers['cache-control']).toMatch(/^public, max-age=\d+$/);
    const header = (await signIn()).json.data.accessToken.data.header;
    const key = answer.json.keys.find(({ kid }: { kid: string }) => kid === header.kid);
    expect(Object.keys(key).sort()).toEqual(['alg', 'crv', 'kid', 'kty', 'use', 'x', 'y']);
  });
});
