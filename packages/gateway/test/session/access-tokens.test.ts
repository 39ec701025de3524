import { generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto';
import type { JsonObject } from '@countersign/tokens';
import { signEs256 } from '@countersign/tokens/node';
import { beforeEach, describe, expect, it } from 'vitest';
import { createFakeClock, type FakeClock } from '../../../testkit/src/fake-clock.ts';
import { parseConfig } from '../../src/operations/config.ts';
import { createSteadyClock } from '../../src/operations/steady-clock.ts';
import { type AccessTokens, createAccessTokens } from '../../src/session/access-tokens.ts';
import type { Session, User } from '../../src/store/store.ts';
import { DAY, HOUR, refusal, refusedAs, SECOND } from './support.ts';

const config = parseConfig({ issuer: 'us', audience: 'api' });
const pair = (): { privateKey: KeyObject; publicKey: KeyObject } =>
  generateKeyPairSync('ec', { namedCurve: 'P-256' });

let clock: FakeClock;
let ours: ReturnType<typeof pair>;
let keys: Map<string, KeyObject>;
let verifications: number;
let tokens: AccessTokens;
let session: Session;

const user: User = {
  userId: 78,
  address: `0x${'ab'.repeat(20)}`,
  displayName: 'Ada',
  status: 1,
  userType: 1,
  userClass: 1,
  roles: ['ROLE_USER'],
  permissions: ['trading'],
  tier: 'free',
  payoutAddress: null,
  createdAt: 0,
  accounts: [],
};

beforeEach(() => {
  clock = createFakeClock();
  ours = pair();
  keys = new Map([['key-1', ours.publicKey]]);
  verifications = 0;
  tokens = createAccessTokens({
    signingKeys: {
      active: () => ({ kid: 'key-1', privateKey: ours.privateKey }),
      verifier: (kid) => {
        verifications += 1;
        return keys.get(kid) ?? null;
      },
    },
    clock: createSteadyClock(clock),
    config,
    random: randomBytes,
    maxCached: 3,
  });
  session = {
    sid: 'sid-1',
    userId: 78,
    chainId: 1,
    wallet: 'eoa',
    rotation: 'adaptive',
    createdAt: clock.now(),
    expiresAt: clock.now() + 7 * DAY,
    revokedAt: null,
    revokeReason: null,
    lastRefreshAt: null,
    source: 'here',
    userAgent: null,
  };
});

const claimsOf = (token: string): JsonObject =>
  JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString()) as JsonObject;
const headerOf = (token: string): JsonObject =>
  JSON.parse(Buffer.from(token.split('.')[0]!, 'base64url').toString()) as JsonObject;
/** The access token with some claims changed, signed with our own key. */
const altered = (claims: JsonObject, header: JsonObject = {}, key = ours.privateKey): string => {
  const merged: JsonObject = { ...claimsOf(tokens.issueAccess(user, session).token), ...claims };
  for (const [name, value] of Object.entries(merged)) if (value === undefined) delete merged[name];
  return signEs256(merged, { typ: 'JWT', kid: 'key-1', ...header }, key);
};

describe('an access token', () => {
  it('carries the claims that seed clients read, in their order, and ours after them', () => {
    const { token, expiresAt, header, payload } = tokens.issueAccess(user, session);
    const now = clock.now() / 1000;
    expect(headerOf(token)).toEqual({ alg: 'ES256', typ: 'JWT', kid: 'key-1' });
    expect(Object.keys(headerOf(token))).toEqual(Object.keys(header));
    const claims = claimsOf(token);
    expect(Object.keys(claims)).toEqual([
      'user',
      'access_type',
      'iat',
      'exp',
      'iss',
      'aud',
      'sub',
      'sid',
      'jti',
    ]);
    expect(Object.keys(claims.user as object)).toEqual(['userId', 'address', 'roles']);
    expect(claims).toEqual(payload);
    expect(claims).toMatchObject({
      user: { userId: 78, address: user.address, roles: ['ROLE_USER'] },
      access_type: 'access_token',
      iat: now,
      exp: now + 3600,
      iss: 'us',
      aud: 'api',
      sub: '78',
      sid: 'sid-1',
    });
    expect(expiresAt).toBe(now + 3600);
    expect(tokens.verifyAccess(token)).toEqual({
      userId: 78,
      sid: 'sid-1',
      jti: claims.jti,
      issuedAt: now,
      expiresAt: now + 3600,
    });
  });

  it('never outlives its session', () => {
    clock.advance(7 * DAY - 10 * SECOND);
    expect(tokens.issueAccess(user, session).expiresAt).toBe(session.expiresAt / 1000);
  });

  it('is accepted for 60 s after its end, and no longer', async () => {
    const seen = tokens.issueAccess(user, session).token;
    tokens.verifyAccess(seen);
    const unseen = tokens.issueAccess(user, session).token;
    clock.advance(HOUR + 60 * SECOND - 1);
    tokens.verifyAccess(seen);
    clock.advance(1);
    for (const token of [seen, unseen]) {
      expect(await refusedAs(() => tokens.verifyAccess(token))).toBe('unauthorized');
      expect(await refusedAs(() => tokens.verifyAccessDetailed(token))).toBe('token_expired');
    }
  });

  it('of the future is refused beyond 5 s', async () => {
    const now = clock.now() / 1000;
    tokens.verifyAccess(altered({ iat: now + 5 }));
    expect(await refusedAs(() => tokens.verifyAccessDetailed(altered({ iat: now + 6 })))).toBe(
      'unauthorized',
    );
  });

  const missing = undefined as unknown as null;
  it.each<[string, JsonObject]>([
    ['another issuer', { iss: 'them' }],
    ['no issuer', { iss: missing }],
    ['another audience', { aud: 'other' }],
    ['the audience in a list', { aud: ['api'] }],
    ['no audience', { aud: missing }],
    ['the audience of refresh tokens', { aud: 'api/refresh' }],
    ['another kind', { access_type: 'refresh_token' }],
    ['no kind', { access_type: missing }],
    ['a subject that is not the user', { sub: '79' }],
    ['a subject that is a number', { sub: 78 }],
    ['no user', { user: missing }],
    ['a user that is a list', { user: [78] }],
    ['no session', { sid: missing }],
    ['no id', { jti: missing }],
    ['no end', { exp: missing }],
    ['an end as text', { exp: '9999999999' }],
    ['an end beyond a double', { exp: 2 ** 53 }],
    ['a longer life than ours', { exp: Date.UTC(2026, 0, 2) / 1000 }],
    ['no beginning', { iat: missing }],
  ])('with %s is refused although we signed it', async (_, claims) => {
    expect(await refusedAs(() => tokens.verifyAccess(altered(claims)))).toBe('unauthorized');
  });

  it.each<[string, JsonObject]>([
    ['an unknown key', { kid: 'key-2' }],
    ['no key', { kid: undefined as unknown as null }],
    ['a key name out of bounds', { kid: 'k'.repeat(161) }],
    ['an embedded key', { jwk: { kty: 'EC' } }],
    ['an extension', { crit: ['b64'] }],
  ])('naming %s is refused', async (_, header) => {
    expect(await refusedAs(() => tokens.verifyAccess(altered({}, header)))).toBe('unauthorized');
  });

  it('signed by somebody else under our key name is refused', async () => {
    const token = altered({}, {}, pair().privateKey);
    expect(await refusedAs(() => tokens.verifyAccess(token))).toBe('unauthorized');
  });

  it('in any other spelling is refused, before and after the right one was seen', async () => {
    const { token } = tokens.issueAccess(user, session);
    const spellings = [
      ` ${token}`,
      `${token} `,
      `${token}=`,
      `${token}\n`,
      `${token}.`,
      token.replaceAll('.', '..'),
      token.split('.').slice(0, 2).join('.'),
      `${token.slice(0, -1)}${String.fromCharCode(token.charCodeAt(token.length - 1) + 1)}`,
      'x'.repeat(5000),
      '',
    ];
    for (const spelling of spellings)
      expect(await refusedAs(() => tokens.verifyAccess(spelling))).toBe('unauthorized');
    tokens.verifyAccess(token);
    for (const spelling of spellings)
      expect(await refusedAs(() => tokens.verifyAccess(spelling))).toBe('unauthorized');
  });

  it('is refused with a reason that holds nothing of it', async () => {
    const { reason, message } = await refusal(() => tokens.verifyAccess(altered({ iss: 'secret-issuer' })));
    expect(reason + message).not.toContain('secret-issuer');
  });
});

describe('a verified access token', () => {
  it('is remembered, but not past the end of its key', async () => {
    const { token } = tokens.issueAccess(user, session);
    expect(tokens.verifyAccess(token)).toBe(tokens.verifyAccess(token));
    keys.delete('key-1');
    expect(await refusedAs(() => tokens.verifyAccess(token))).toBe('unauthorized');
  });

  it('is never mistaken for another', () => {
    const issued = Array.from({ length: 200 }, (_, i) => {
      const of = { ...session, sid: `sid-${i}` };
      return { sid: of.sid, token: tokens.issueAccess(user, of).token };
    });
    for (let round = 0; round < 3; round += 1)
      for (const { sid, token } of issued) expect(tokens.verifyAccess(token).sid).toBe(sid);
  });

  it('is no other text that ends with its signature', async () => {
    const [ours, others] = ['sid-1', 'sid-2'].map(
      (sid) => tokens.issueAccess(user, { ...session, sid }).token,
    );
    tokens.verifyAccess(ours!);
    const [header = '', , signature = ''] = ours!.split('.');
    const [, payload = ''] = others!.split('.');
    for (const text of [`${header}.${payload}.${signature}`, `${others!.slice(0, -24)}${ours!.slice(-24)}`])
      expect(await refusedAs(() => tokens.verifyAccess(text))).toBe('unauthorized');
    expect(tokens.verifyAccess(ours!).sid).toBe('sid-1');
  });

  it('is forgotten when more are seen than are remembered', () => {
    const first = tokens.issueAccess(user, session).token;
    const claims = tokens.verifyAccess(first);
    for (let i = 0; i < 3; i += 1) tokens.verifyAccess(tokens.issueAccess(user, session).token);
    expect(tokens.verifyAccess(first)).not.toBe(claims);
    expect(tokens.verifyAccess(first)).toEqual(claims);
    expect(verifications).toBeGreaterThan(0);
  });

  it('is forgotten when it is dead, as others come', () => {
    const { token } = tokens.issueAccess(user, session);
    const claims = tokens.verifyAccess(token);
    clock.jump(3 * HOUR);
    tokens.verifyAccess(tokens.issueAccess(user, session).token);
    clock.jump(-3 * HOUR);
    expect(tokens.verifyAccess(token)).toEqual(claims);
    expect(tokens.verifyAccess(token)).not.toBe(claims);
  });

  it.each([
    ['and was seen before', true],
    ['and was not seen before', false],
  ])('does not live longer when the wall clock is set back, %s', async (_, seen) => {
    const { token } = tokens.issueAccess(user, session);
    if (seen) tokens.verifyAccess(token);
    clock.advance(HOUR + 59 * SECOND);
    clock.jump(-30 * 60 * SECOND);
    if (seen) tokens.verifyAccess(token);
    clock.advance(SECOND);
    expect(await refusedAs(() => tokens.verifyAccessDetailed(token))).toBe('token_expired');
    clock.advance(10 * HOUR);
    for (let n = 0; n < 5; n += 1) tokens.verifyAccess(tokens.issueAccess(user, session).token);
    clock.jump(-10 * HOUR);
    expect(await refusedAs(() => tokens.verifyAccessDetailed(token))).toBe('token_expired');
  });

  it('dies at once when the wall clock is set past its end', async () => {
    const { token } = tokens.issueAccess(user, session);
    tokens.verifyAccess(token);
    clock.jump(2 * HOUR);
    expect(await refusedAs(() => tokens.verifyAccessDetailed(token))).toBe('token_expired');
  });
});

describe('a refresh token', () => {
  it('has its own audience and kind and ends with the session', () => {
    const { token, expiresAt } = tokens.issueRefresh(user, session, 'secret');
    expect(claimsOf(token)).toMatchObject({
      access_type: 'refresh_token',
      aud: 'api/refresh',
      jti: 'secret',
    });
    expect(expiresAt).toBe(session.expiresAt / 1000);
    expect(tokens.verifyRefresh(token)).toMatchObject({
      userId: 78,
      sid: 'sid-1',
      jti: 'secret',
      proof: null,
    });
  });

  it('is no access token, and an access token is no refresh token', async () => {
    const refresh = tokens.issueRefresh(user, session, 'secret').token;
    expect(await refusedAs(() => tokens.verifyAccess(refresh))).toBe('unauthorized');
    expect(tokens.verifyRefresh(tokens.issueAccess(user, session).token)).toBeNull();
  });

  it('carries the proof of a contract wallet and still fits a cookie', () => {
    const proof = { digest: randomBytes(32), signature: randomBytes(1536) };
    const { token } = tokens.issueRefresh(user, session, randomBytes(32).toString('base64url'), proof);
    expect(token.length).toBeLessThan(3900);
    const read = tokens.verifyRefresh(token)!.proof!;
    expect(Buffer.from(read.digest)).toEqual(proof.digest);
    expect(Buffer.from(read.signature)).toEqual(proof.signature);
  });

  it('dies with the session, without leeway', () => {
    const { token } = tokens.issueRefresh(user, session, 'secret');
    clock.advance(7 * DAY - 1);
    expect(tokens.verifyRefresh(token)).not.toBeNull();
    clock.advance(1);
    expect(tokens.verifyRefresh(token)).toBeNull();
  });

  it.each(['', 'x', 'a.b.c', 'x'.repeat(10_000), '....', 'ey.ey.ey'])('is not %j', (text) => {
    expect(tokens.verifyRefresh(text)).toBeNull();
  });
});
