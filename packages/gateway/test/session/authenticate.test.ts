import { generateKeyPairSync } from 'node:crypto';
import { buildApiKeyJwt } from '@countersign/tokens/node';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { BearerContext } from '../../src/session/authenticate.ts';
import type { Authentication } from '../../src/session/principal.ts';
import {
  challenge,
  DAY,
  HOUR,
  type House,
  login,
  openHouse,
  refusal,
  refusedAs,
  SECOND,
  SOURCE,
  wallet,
} from './support.ts';

let house: House;
beforeEach(async () => {
  house = await openHouse();
});
afterEach(() => house.dispose());

const rest: BearerContext = {
  door: 'rest',
  method: 'GET',
  host: 'localhost',
  path: '/v1/user/info',
  address: SOURCE,
  source: SOURCE,
};
const socket: BearerContext = { door: 'websocket', address: SOURCE, source: SOURCE };

describe('an access token', () => {
  it('stands for its user, with the accounts and access of now, until its end and leeway', async () => {
    const { user, session, access } = await login(house);
    const { principal, expiresAt } = await house.authenticator.accessToken(access.token);
    expect(principal).toEqual({
      userId: user.userId,
      address: user.address,
      displayName: null,
      roles: ['ROLE_USER'],
      permissions: new Set(['market_data', 'account_updates', 'trading']),
      tier: 'free',
      accounts: user.accounts,
      credential: { kind: 'session', sid: session.sid },
    });
    expect(expiresAt).toBe((access.expiresAt + 60) * 1000);
  });

  it('is answered without a promise once its session is known', async () => {
    const { access } = await login(house);
    expect(house.authenticator.accessToken(access.token)).toBeInstanceOf(Promise);
    await house.authenticator.accessToken(access.token);
    const again = house.authenticator.accessToken(access.token);
    expect(again).not.toBeInstanceOf(Promise);
    expect((again as Authentication).principal.tier).toBe('free');
    expect(house.authenticator.bearer(access.token, rest)).not.toBeInstanceOf(Promise);
  });

  it('is called expired on sockets and just unauthorized on REST', async () => {
    const { access } = await login(house);
    await house.pass(HOUR + 60 * SECOND);
    expect(await refusedAs(() => house.authenticator.accessToken(access.token))).toBe('token_expired');
    expect(await refusedAs(() => house.authenticator.bearer(access.token, socket))).toBe('token_expired');
    const expired = await refusal(() => house.authenticator.bearer(access.token, rest));
    const garbage = await refusal(() => house.authenticator.bearer('garbage', rest));
    expect([expired.code, expired.message]).toEqual([garbage.code, garbage.message]);
    expect(expired.code).toBe('unauthorized');
  });
});

const outcomeOf = (answer: unknown): Promise<string> => Promise.resolve(answer).then(() => 'in');

describe('kinds of tokens', () => {
  it('never stand in for each other', async () => {
    const signedIn = await login(house);
    const { nonceHash } = await challenge(house, wallet());
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const apiKey = buildApiKeyJwt({
      keyName: house.signingKeys.active().kid,
      key: { alg: 'ES256', key: privateKey },
      now: house.clock.now() / 1000,
    });
    const kinds = {
      access: signedIn.access.token,
      refresh: signedIn.refresh.token,
      apiKey,
      handshake: `cwk_${'a'.repeat(40)}`,
      nonce: nonceHash,
      sid: signedIn.session.sid,
    };
    const doors: Record<string, (token: string) => unknown> = {
      'socket login': (token) => house.authenticator.accessToken(token),
      REST: (token) => house.authenticator.bearer(token, rest),
      'WebSocket upgrade': (token) => house.authenticator.bearer(token, socket),
      'Socket.IO': (token) =>
        house.authenticator.bearer(token, { door: 'socketio', address: SOURCE, source: SOURCE }),
      refresh: (token) => house.sessions.refresh([token], { source: SOURCE, userAgent: 'test' }),
    };
    for (const [door, present] of Object.entries(doors))
      for (const [kind, token] of Object.entries(kinds)) {
        const fits = door === 'refresh' ? kind === 'refresh' : kind === 'access';
        const outcome = await (fits ? outcomeOf(present(token)) : refusedAs(() => present(token)));
        const expected = fits ? 'in' : door === 'refresh' ? 'refresh_refused' : 'unauthorized';
        expect([door, kind, outcome]).toEqual([door, kind, expected]);
      }
  });

  it('of other schemes are handed to those, and nothing else is', async () => {
    const { access, user, session } = await login(house);
    const seen: string[] = [];
    const authentication: Authentication = await house.authenticator.accessToken(access.token);
    const other = await house.secondNode({
      schemes: () => ({
        other: {
          claims: (token: string) => token.startsWith('key.'),
          authenticate: (token: string, { door }: BearerContext) => {
            seen.push(`${door} ${token}`);
            return authentication;
          },
        },
      }),
    });
    expect(await other.authenticator.bearer('key.1', rest)).toBe(authentication);
    const mine = await other.authenticator.bearer(access.token, rest);
    expect(mine.principal).toMatchObject({ userId: user.userId, credential: { sid: session.sid } });
    expect(await refusedAs(() => other.authenticator.accessToken('key.1'))).toBe('unauthorized');
    expect(seen).toEqual(['rest key.1']);
  });
});

describe('revocation', () => {
  it('ends a token that is cached as verified, on the node that revokes and on others within a second', async () => {
    const other = await house.secondNode();
    const { access, session } = await login(house);
    await house.authenticator.accessToken(access.token);
    await other.authenticator.accessToken(access.token);
    await house.sessions.logout(session.sid);
    expect(await refusedAs(() => house.authenticator.accessToken(access.token))).toBe('unauthorized');
    await house.pass(SECOND);
    expect(await refusedAs(() => other.authenticator.accessToken(access.token))).toBe('unauthorized');
  });

  it('before a node started is known to it', async () => {
    const { access, session } = await login(house);
    await house.sessions.logout(session.sid);
    const later = await house.secondNode();
    expect(await refusedAs(() => later.authenticator.accessToken(access.token))).toBe('unauthorized');
  });

  it('that arrives while the session is being looked up is not lost', async () => {
    const { access, session } = await login(house);
    const find = house.store.sessions.find.bind(house.store.sessions);
    house.store.sessions.find = async (sid) => {
      const found = await find(sid);
      house.store.sessions.find = find;
      await house.sessions.logout(session.sid);
      return found;
    };
    expect(await refusedAs(() => house.authenticator.accessToken(access.token))).toBe('unauthorized');
    expect(await refusedAs(() => house.authenticator.accessToken(access.token))).toBe('unauthorized');
  });

  it('of a user suspends every session at once, and lifting it brings them back', async () => {
    const { access, user } = await login(house);
    await house.authenticator.accessToken(access.token);
    const suspended = await house.store.users.updateAccess(user.userId, { status: 2 }, house.clock.now());
    await house.changes.announce(suspended!.change);
    expect(await refusedAs(() => house.authenticator.accessToken(access.token))).toBe('unauthorized');
    const lifted = await house.store.users.updateAccess(user.userId, { status: 1 }, house.clock.now());
    await house.changes.announce(lifted!.change);
    await house.authenticator.accessToken(access.token);
  });

  it('holds for a session that the store does not know, as after a restored backup', async () => {
    const { user, session } = await login(house);
    const { token } = house.accessTokens.issueAccess(user, { ...session, sid: 'from-another-life' });
    expect(await refusedAs(() => house.authenticator.accessToken(token))).toBe('unauthorized');
  });

  it("holds for a session that is another user's", async () => {
    const ada = await login(house);
    const bob = await login(house, wallet('bob'));
    const { token } = house.accessTokens.issueAccess(bob.user, ada.session);
    expect(await refusedAs(() => house.authenticator.accessToken(token))).toBe('unauthorized');
    await house.authenticator.accessToken(ada.access.token);
    expect(await refusedAs(() => house.authenticator.accessToken(token))).toBe('unauthorized');
  });
});

describe('a change of access', () => {
  it('applies to tokens that are out, with the next request', async () => {
    const { access, user } = await login(house);
    await house.authenticator.accessToken(access.token);
    const changed = await house.store.users.updateAccess(
      user.userId,
      { tier: 'pro', permissions: ['market_data', 'not a permission'], roles: [] },
      house.clock.now(),
    );
    await house.changes.announce(changed!.change);
    const { principal } = await house.authenticator.accessToken(access.token);
    expect(principal).toMatchObject({ tier: 'pro', roles: [], permissions: new Set(['market_data']) });
  });

  it('that overtakes a look-up is not hidden by it', async () => {
    const { access, user } = await login(house);
    const find = house.store.users.find.bind(house.store.users);
    house.store.users.find = async (userId) => {
      const found = await find(userId);
      house.store.users.find = find;
      const changed = await house.store.users.updateAccess(user.userId, { tier: 'pro' }, house.clock.now());
      await house.changes.announce(changed!.change);
      return found;
    };
    expect((await house.authenticator.accessToken(access.token)).principal.tier).toBe('pro');
    expect((await house.authenticator.accessToken(access.token)).principal.tier).toBe('pro');
  });
});

describe('a node that cannot tell', () => {
  it('refuses private work after 30 s without confirmation, and serves again after one', async () => {
    const { access } = await login(house);
    await house.authenticator.accessToken(access.token);
    const { since } = house.store.changes;
    house.store.changes.since = () => Promise.reject(new Error('no store'));
    house.clock.advance(30 * SECOND);
    await house.authenticator.accessToken(access.token);
    house.clock.advance(1);
    const { code, retryAfter } = await refusal(() => house.authenticator.accessToken(access.token));
    expect([code, retryAfter]).toEqual(['unavailable', 1]);
    house.store.changes.since = since;
    await house.changes.catchUp();
    await house.authenticator.accessToken(access.token);
  });

  it('answers unavailable while the store does not, and remembers nothing of it', async () => {
    const { access } = await login(house);
    const { find } = house.store.users;
    house.store.users.find = () => Promise.reject(new Error('secret detail'));
    const { code, reason } = await refusal(() => house.authenticator.accessToken(access.token));
    expect(code).toBe('unavailable');
    expect(reason).not.toContain('secret detail');
    house.store.users.find = find;
    await house.authenticator.accessToken(access.token);
  });
});

describe('the directory', () => {
  it('asks the store once for a session, however many requests come at once', async () => {
    const { access } = await login(house);
    let reads = 0;
    const find = house.store.users.find.bind(house.store.users);
    house.store.users.find = (userId) => {
      reads += 1;
      return find(userId);
    };
    await Promise.all(Array.from({ length: 50 }, () => house.authenticator.accessToken(access.token)));
    expect(reads).toBe(1);
  });

  it('gives principals that nobody can change', async () => {
    const { access } = await login(house);
    const { principal } = await house.authenticator.accessToken(access.token);
    expect(() => (principal.roles as string[]).push('ROLE_ADMIN')).toThrow();
    expect(() => {
      (principal as { tier: string }).tier = 'pro';
    }).toThrow();
  });

  it('does not know a session past its end', async () => {
    const { user, session } = await login(house);
    const credential = { kind: 'session', sid: session.sid } as const;
    house.clock.advance(7 * DAY);
    await house.changes.catchUp();
    expect(await house.directory.principal(user.userId, credential)).toBeNull();
  });

  it('forgets sessions that are over as others come, and not others', async () => {
    const open = async (name: string) => {
      const { user, session } = await login(house, wallet(name));
      const credential = { kind: 'session', sid: session.sid } as const;
      return () => house.directory.principal(user.userId, credential);
    };
    const over = await open('ada');
    const first = await over();
    await house.pass(4 * DAY);
    const living = await open('bob');
    await living();
    await house.pass(4 * DAY);
    expect(over()).toBe(first);
    for (const name of ['cy', 'di']) await (await open(name))();
    expect(over()).toBeInstanceOf(Promise);
    expect(await over()).toBeNull();
    expect(living()).not.toBeInstanceOf(Promise);
  });

  it('knows users behind API keys, and forgets them when the key changes', async () => {
    const { user } = await login(house);
    const credential = { kind: 'api-key', keyId: 'key-1' } as const;
    const first = await house.directory.principal(user.userId, credential);
    expect(first).toMatchObject({ userId: user.userId, credential });
    expect(house.directory.principal(user.userId, credential)).toBe(first);
    const change = { at: 0, kind: 'api-key-changed', subject: 'key-1', reason: 'test' } as const;
    await house.changes.announce(await house.store.changes.append(change));
    expect(house.directory.principal(user.userId, credential)).toBeInstanceOf(Promise);
    expect(await house.directory.principal(999, { kind: 'api-key', keyId: 'key-2' })).toBeNull();
  });
});
