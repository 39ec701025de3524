import { createPublicKey, type JsonWebKeyInput, verify } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createIdentitySigner } from '../../src/backend/venue-identity.ts';
import type { Principal } from '../../src/session/principal.ts';
import { type House, login, openHouse, refusedAs } from '../session/support.ts';

let house: House;
let ada: Principal;
beforeAll(async () => {
  house = await openHouse();
  ada = (await house.authenticator.accessToken((await login(house)).access.token)).principal;
});
afterAll(() => house.dispose());

const decode = (part: string) => JSON.parse(Buffer.from(part, 'base64url').toString());

it('signs who is asking, for a minute, with a key of the published set', () => {
  const sign = createIdentitySigner({
    signingKeys: house.signingKeys,
    clock: house.clock,
    issuer: 'countersign',
  });
  const token = sign(ada);
  const [header, payload, signature] = token.split('.') as [string, string, string];
  const jwk = house.signingKeys.jwks().keys.find(({ kid }) => kid === decode(header).kid)!;
  const key = createPublicKey({ key: jwk as unknown as JsonWebKeyInput['key'], format: 'jwk' });
  const input = Buffer.from(`${header}.${payload}`);
  expect(
    verify('sha256', input, { key, dsaEncoding: 'ieee-p1363' }, Buffer.from(signature, 'base64url')),
  ).toBe(true);
  const iat = Math.floor(house.clock.now() / 1000);
  expect(decode(payload)).toEqual({
    iss: 'countersign',
    aud: 'venue',
    sub: String(ada.userId),
    address: ada.address,
    roles: ['ROLE_USER'],
    permissions: ['account_updates', 'market_data', 'trading'],
    tier: 'free',
    accounts: ada.accounts.map(({ accountId }) => accountId),
    credential: 'session',
    iat,
    exp: iat + 60,
    jti: expect.any(String),
  });
});

it('uses a token again for 30 s, and never across a change of rights or of the key', async () => {
  const sign = createIdentitySigner({
    signingKeys: house.signingKeys,
    clock: house.clock,
    issuer: 'countersign',
  });
  const first = sign(ada);
  expect(sign(ada)).toBe(first);
  expect(sign({ ...ada, permissions: new Set(['market_data']) })).not.toBe(first);
  await house.pass(29_999);
  expect(sign(ada)).toBe(first);
  await house.pass(1);
  const second = sign(ada);
  expect(second).not.toBe(first);
  await house.signingKeys.rotate({ actor: 'test' });
  expect(sign(ada)).not.toBe(second);
});

it('gives the venue nothing that a door of ours would take', async () => {
  const sign = createIdentitySigner({
    signingKeys: house.signingKeys,
    clock: house.clock,
    issuer: 'countersign',
  });
  const token = sign(ada);
  expect(await refusedAs(async () => house.authenticator.accessToken(token))).toBe('unauthorized');
  expect(house.sessions.sidOfRefreshToken(token)).toBeNull();
});
