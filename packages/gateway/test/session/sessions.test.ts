import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Signal } from '../../src/broker/broker.ts';
import type { SignedIn } from '../../src/session/sessions.ts';
import {
  context,
  DAY,
  HOUR,
  type House,
  login,
  MINUTE,
  openHouse,
  refusal,
  refusedAs,
  SECOND,
  wallet,
} from './support.ts';

let house: House;
beforeEach(async () => {
  house = await openHouse();
});
afterEach(() => house.dispose());

const refresh = (...candidates: string[]): Promise<SignedIn> => house.sessions.refresh(candidates, context);
const accepted = (token: string) => house.authenticator.accessToken(token);

describe('clients of the seeds, over seven simulated days', () => {
  /** Drives a client that refreshes every hour and returns the number of refreshes that worked. */
  async function week(step: (signedIn: SignedIn) => Promise<SignedIn>, everyHours = 1): Promise<number> {
    let current = await login(house);
    const ends = house.clock.now() + 7 * DAY;
    let refreshes = 0;
    while (house.clock.now() + everyHours * HOUR < ends) {
      await house.pass(everyHours * HOUR);
      current = await step(current);
      await accepted(current.access.token);
      refreshes += 1;
    }
    return refreshes;
  }

  it('one that presents the refresh token of its login for ever is never logged out', async () => {
    let first: string | null = null;
    const refreshes = await week(async (signedIn) => {
      first ??= signedIn.refresh.token;
      return refresh(first);
    });
    expect(refreshes).toBe(167);
  });

  it('one that keeps a cookie jar, and sends its first token in the body besides, is never logged out', async () => {
    let body: string | null = null;
    const refreshes = await week((signedIn) => {
      body ??= signedIn.refresh.token;
      return refresh(body, signedIn.refresh.token);
    }, 3);
    expect(refreshes).toBe(55);
  });

  it('one that sends its access token in the body and the real one as a cookie is never logged out', async () => {
    const refreshes = await week((signedIn) => refresh(signedIn.access.token, signedIn.refresh.token), 6);
    expect(refreshes).toBe(27);
  });

  it('one that sends a placeholder besides its cookie, twice, is never logged out', async () => {
    const refreshes = await week(({ refresh: { token } }) => refresh('YOUR_REFRESH_TOKEN', token, token), 12);
    expect(refreshes).toBe(13);
  });

  it('one that always takes the newest token is never logged out, in strict sessions either', async () => {
    let current = await login(house, wallet(), { rotation: 'strict' });
    for (let hour = 4; hour < 168; hour += 4) {
      await house.pass(4 * HOUR);
      current = await refresh(current.refresh.token);
    }
    expect(current.session.rotation).toBe('strict');
    expect(await house.audited()).toHaveLength(1);
  });
});

describe('a refresh', () => {
  it('gives a new access token and a successor of the same session and end', async () => {
    const first = await login(house);
    await house.pass(MINUTE);
    const second = await refresh(first.refresh.token);
    expect(second.session).toMatchObject({ sid: first.session.sid, expiresAt: first.session.expiresAt });
    expect(second.session.lastRefreshAt).toBe(house.clock.now());
    expect(second.access.token).not.toBe(first.access.token);
    expect(second.refresh.token).not.toBe(first.refresh.token);
    expect(second.refresh.expiresAt).toBe(first.refresh.expiresAt);
    await refresh(second.refresh.token);
  });

  it('gives the same successor to the same token, so that a lost reply is survivable', async () => {
    const { refresh: first } = await login(house);
    const lost = await refresh(first.token);
    await house.pass(HOUR);
    expect((await refresh(first.token)).refresh).toEqual(lost.refresh);
  });

  it('gives one successor to 100 parallel presentations', async () => {
    const { refresh: first } = await login(house, wallet(), { rotation: 'strict' });
    const all = await Promise.all(Array.from({ length: 100 }, () => refresh(first.token)));
    expect(new Set(all.map((signedIn) => signedIn.refresh.token)).size).toBe(1);
  });

  it('tells the sockets of the session how much longer they may go on', async () => {
    const heard: [string, number][] = [];
    house.changes.onSessionExtended((sid, expiresAt) => heard.push([sid, expiresAt]));
    const { session, refresh: first } = await login(house);
    await house.pass(30 * MINUTE);
    const { access } = await refresh(first.token);
    await house.changes.catchUp();
    expect(heard).toEqual([[session.sid, access.expiresAt * 1000 + 60 * SECOND]]);
  });

  it('works although the broker does not', async () => {
    house.broker.signal = () => Promise.reject(new Error('no broker'));
    const { refresh: first } = await login(house);
    await refresh(first.token);
    await house.changes.catchUp();
    expect(house.problems.map(String)).toEqual(['Error: no broker']);
  });

  it('notes in the audit log when the token turns up elsewhere', async () => {
    const { refresh: first, session } = await login(house);
    await house.sessions.refresh([first.token], { source: '198.51.100.7', userAgent: 'test' });
    const [moved] = await house.audited();
    expect(moved).toMatchObject({
      action: 'session.moved',
      target: `session:${session.sid}`,
      source: '198.51.100.7',
    });
    expect(JSON.parse(moved!.detail)).toMatchObject({ source: true, userAgent: false, from: context.source });
  });

  it('carries the roles of now, not of the login', async () => {
    const { user, refresh: first } = await login(house);
    await house.store.users.updateAccess(user.userId, { roles: ['ROLE_ADMIN'] }, house.clock.now());
    expect((await refresh(first.token)).access.payload.user.roles).toEqual(['ROLE_ADMIN']);
  });
});

describe('of several candidates', () => {
  it('the newest of a family is taken, and the older ones are no reuse', async () => {
    const first = await login(house);
    const second = await refresh(first.refresh.token);
    const third = await refresh(second.refresh.token);
    await house.pass(HOUR);
    for (const order of [
      [first, second, third],
      [third, second, first],
    ]) {
      const { refresh: successor } = await refresh(...order.map((signedIn) => signedIn.refresh.token));
      expect(successor.token).not.toBe(third.refresh.token);
    }
    await accepted(first.access.token);
  });

  it('everything that is no refresh token of ours is skipped', async () => {
    const { access, refresh: first } = await login(house);
    const other = await openHouse();
    const foreign = (await login(other)).refresh.token;
    await other.dispose();
    await refresh('', 'null', 'undefined', '....', 'x'.repeat(9000), access.token, foreign, first.token);
  });

  it('one of a session that has ended does not hide one of a session that lives', async () => {
    const alive = await login(house);
    await house.pass(MINUTE);
    const ended = await login(house);
    await house.sessions.logout(ended.session.sid);
    expect((await refresh(alive.refresh.token, ended.refresh.token)).session.sid).toBe(alive.session.sid);
  });

  it('no more than eight are looked at', async () => {
    const { refresh: first } = await login(house);
    const noise = Array.from({ length: 8 }, (_, i) => `noise-${i}`);
    expect(await refusedAs(() => refresh(...noise, first.token))).toBe('refresh_refused');
  });
});

describe('a refresh is refused, always alike,', () => {
  it('without any valid refresh token', async () => {
    const { access } = await login(house);
    const messages = new Set<string>();
    for (const candidates of [[], ['x'], [access.token]]) {
      const { code, message } = await refusal(() => refresh(...candidates));
      expect(code).toBe('refresh_refused');
      messages.add(message);
    }
    expect(messages.size).toBe(1);
  });

  it('after a logout', async () => {
    const { session, refresh: first } = await login(house);
    await house.sessions.logout(session.sid);
    expect(await refusedAs(() => refresh(first.token))).toBe('refresh_refused');
  });

  it('for a suspended user', async () => {
    const { user, refresh: first } = await login(house);
    await house.store.users.updateAccess(user.userId, { status: 2 }, house.clock.now());
    expect(await refusedAs(() => refresh(first.token))).toBe('refresh_refused');
  });

  it('after seven days, however often it was refreshed', async () => {
    const { refresh: first } = await login(house);
    await house.pass(6.99 * DAY);
    const late = await refresh(first.token);
    expect(late.access.expiresAt).toBe(first.expiresAt);
    await house.pass(0.02 * DAY);
    for (const { token } of [first, late.refresh])
      expect(await refusedAs(() => refresh(token))).toBe('refresh_refused');
    expect(await refusedAs(() => accepted(late.access.token))).toBe('token_expired');
  });

  it('after seven days, however far the wall clock is set back meanwhile', async () => {
    const { refresh: first } = await login(house);
    await house.pass(6 * DAY);
    house.clock.jump(-3 * DAY);
    await refresh(first.token);
    await house.pass(DAY - SECOND);
    await refresh(first.token);
    await house.pass(SECOND);
    expect(await refusedAs(() => refresh(first.token))).toBe('refresh_refused');
  });
});

describe('a retired refresh token', () => {
  it('ends its family, with access tokens and on other nodes, when seen after the grace', async () => {
    const other = await house.secondNode();
    const first = await login(house);
    const second = await refresh(first.refresh.token);
    const third = await refresh(second.refresh.token);
    await accepted(third.access.token);
    await other.authenticator.accessToken(third.access.token);
    await house.pass(31 * SECOND);

    expect(await refusedAs(() => refresh(first.refresh.token))).toBe('refresh_refused');
    for (const { access, refresh: each } of [first, second, third]) {
      expect(await refusedAs(() => accepted(access.token))).toBe('unauthorized');
      expect(await refusedAs(() => refresh(each.token))).toBe('refresh_refused');
    }
    await house.pass(SECOND);
    expect(await refusedAs(() => other.authenticator.accessToken(third.access.token))).toBe('unauthorized');
    const reuse = (await house.audited()).find(({ action }) => action === 'session.refresh_reused');
    expect(reuse).toMatchObject({
      target: `session:${first.session.sid}`,
      actor: 'system',
      source: context.source,
    });
    expect(JSON.parse(reuse!.detail)).toEqual({ userId: first.user.userId, generation: 0 });
  });

  it('gets its one successor again within the grace', async () => {
    const first = await login(house);
    const second = await refresh(first.refresh.token);
    await refresh(second.refresh.token);
    await house.pass(29 * SECOND);
    expect((await refresh(first.refresh.token)).refresh.token).toBe(second.refresh.token);
  });

  it('ends its family at once when it is further up, inside the grace too', async () => {
    const first = await login(house, wallet(), { rotation: 'strict' });
    const second = await refresh(first.refresh.token);
    const third = await refresh(second.refresh.token);
    expect(await refusedAs(() => refresh(first.refresh.token))).toBe('refresh_refused');
    expect(await refusedAs(() => refresh(third.refresh.token))).toBe('refresh_refused');
  });

  it('does not end other sessions of the user', async () => {
    const other = await login(house);
    const first = await login(house, wallet(), { rotation: 'strict' });
    await refresh((await refresh(first.refresh.token)).refresh.token);
    expect(await refusedAs(() => refresh(first.refresh.token))).toBe('refresh_refused');
    await refresh(other.refresh.token);
  });
});

describe('strict rotation', () => {
  it('retires a token at its first use: ten seconds later it ends the family', async () => {
    const first = await login(house, wallet(), { rotation: 'strict' });
    const second = await refresh(first.refresh.token);
    await house.pass(9 * SECOND);
    expect((await refresh(first.refresh.token)).refresh.token).toBe(second.refresh.token);
    await house.pass(SECOND);
    expect(await refusedAs(() => refresh(first.refresh.token))).toBe('refresh_refused');
    expect(await refusedAs(() => accepted(second.access.token))).toBe('unauthorized');
  });

  it('can be asked for at a refresh and holds from then on', async () => {
    const first = await login(house);
    const second = await house.sessions.refresh([first.refresh.token], { ...context, rotation: 'strict' });
    expect(second.session.rotation).toBe('strict');
    await house.pass(11 * SECOND);
    expect(await refusedAs(() => refresh(first.refresh.token))).toBe('refresh_refused');
  });
});

describe('ending sessions', () => {
  it('by logout ends that session alone, at once, and once', async () => {
    const one = await login(house);
    const two = await login(house);
    await accepted(one.access.token);
    expect(await house.sessions.logout(one.session.sid)).toBe(true);
    expect(await refusedAs(() => accepted(one.access.token))).toBe('unauthorized');
    await accepted(two.access.token);
    expect(await house.sessions.logout(one.session.sid)).toBe(false);
    expect(await house.sessions.logout('no-such-sid')).toBe(false);
    expect((await house.audited())[0]).toMatchObject({
      actor: `user:${one.user.userId}`,
      action: 'session.end',
      target: `session:${one.session.sid}`,
    });
  });

  it('of a user ends all, or all but one', async () => {
    const [one, two, three] = [await login(house), await login(house), await login(house)];
    const bob = await login(house, wallet('bob'));
    expect(await house.sessions.logoutAll(one.user.userId, two.session.sid)).toBe(2);
    expect((await house.sessions.list(one.user.userId)).map(({ sid }) => sid)).toEqual([two.session.sid]);
    for (const { access } of [one, three])
      expect(await refusedAs(() => accepted(access.token))).toBe('unauthorized');
    expect(await house.sessions.logoutAll(one.user.userId)).toBe(1);
    expect(await house.sessions.logoutAll(one.user.userId)).toBe(0);
    await accepted(bob.access.token);
  });

  it("by an owner works on the owner's sessions only", async () => {
    const ada = await login(house);
    const bob = await login(house, wallet('bob'));
    expect(await house.sessions.revoke(bob.user.userId, ada.session.sid)).toBe(false);
    await accepted(ada.access.token);
    expect(
      await house.sessions.revoke(ada.user.userId, ada.session.sid, {
        actor: 'operator:test',
        reason: 'lost laptop',
      }),
    ).toBe(true);
    expect(await refusedAs(() => accepted(ada.access.token))).toBe('unauthorized');
    expect(await house.store.sessions.find(ada.session.sid)).toMatchObject({ revokeReason: 'lost laptop' });
    expect((await house.audited())[0]).toMatchObject({ actor: 'operator:test' });
  });

  it('signals the nodes to look', async () => {
    const heard: Signal[] = [];
    const signal = house.broker.signal.bind(house.broker);
    house.broker.signal = (each) => {
      heard.push(each);
      return signal(each);
    };
    const { session } = await login(house);
    await house.sessions.logout(session.sid);
    expect(heard).toEqual([{ kind: 'access-changed', sequence: await house.store.changes.head() }]);
  });

  it('finds the session of a refresh token, for a logout by cookie', async () => {
    const { session, refresh: first, access } = await login(house);
    expect(house.sessions.sidOfRefreshToken(first.token)).toBe(session.sid);
    expect(house.sessions.sidOfRefreshToken(access.token)).toBeNull();
  });
});

describe('nothing that is kept', () => {
  it('can be used as a credential', async () => {
    const signedIn: SignedIn[] = [await login(house)];
    for (let i = 0; i < 5; i += 1) signedIn.push(await refresh(signedIn.at(-1)!.refresh.token));
    const kept: string[] = [];
    for (const { refresh: each } of signedIn) {
      const claims = house.accessTokens.verifyRefresh(each.token)!;
      const rotate = house.store.sessions.rotate.bind(house.store.sessions);
      house.store.sessions.rotate = async (input) => {
        kept.push(
          Buffer.from(input.successor.sealed).toString('latin1'),
          input.digest,
          input.successor.digest,
        );
        return rotate(input);
      };
      await house.sessions.refresh([each.token], context).catch(() => {});
      house.store.sessions.rotate = rotate;
      expect(kept.join('\n')).not.toContain(claims.jti);
    }
    for (const { refresh: each, access } of signedIn) {
      expect(kept.join('\n')).not.toContain(each.token);
      expect(JSON.stringify(await house.audited())).not.toContain(access.token);
    }
  });
});
