import { describe, expect, it } from 'vitest';
import type { User } from '../../../src/store/store.ts';
import type { StoreUnderTest } from '../contract.ts';
import { ALICE, BOB, digest, LIFE, newUser, openSession } from '../samples.ts';

export function sessionContract(under: StoreUnderTest): void {
  describe('sessions', () => {
    it('opens a session together with its user and first refresh token', async () => {
      const { user, session } = await openSession(under.store, 's1', { rotation: 'strict' });
      expect(user.address).toBe(ALICE);
      expect(session).toEqual({
        sid: 's1',
        userId: user.userId,
        chainId: 1,
        wallet: 'eoa',
        rotation: 'strict',
        createdAt: 1_000,
        expiresAt: 1_000 + LIFE,
        revokedAt: null,
        revokeReason: null,
        lastRefreshAt: null,
        source: '192.0.2.0/24',
        userAgent: 'test',
      });
      await under.reopen();
      expect(await under.store.sessions.find('s1')).toEqual(session);
      expect(await under.store.users.findByAddress(ALICE)).toEqual(user);
      expect(await under.store.sessions.findRefresh(digest('s1-R0'))).toEqual({
        digest: digest('s1-R0'),
        sid: 's1',
        generation: 0,
        issuedAt: 1_000,
      });
    });

    it('opens many at once for one new address under one user', async () => {
      const opened = await Promise.all(
        Array.from({ length: 30 }, (_, i) => openSession(under.store, `s${i}`)),
      );
      expect(new Set(opened.map(({ user }) => user.userId)).size).toBe(1);
      expect(await under.store.sessions.listByUser(opened[0]!.user.userId, 2_000)).toHaveLength(30);
    });

    it('changes nothing when opening fails', async () => {
      await openSession(under.store, 's1');
      const twice = openSession(under.store, 's1', { address: BOB, first: 'other' });
      await expect(twice).rejects.toMatchObject({ name: 'StoreError', code: 'invalid' });
      expect(await under.store.users.findByAddress(BOB)).toBeNull();
      expect(await under.store.sessions.findRefresh(digest('other'))).toBeNull();
    });

    it('writes the line about a login with its session, and never without it', async () => {
      const accepted = ({ userId }: User) => ({
        at: 1_000,
        actor: `user:${userId}`,
        action: 'login.accepted',
        target: `address:${ALICE}`,
        source: null,
        detail: '{}',
      });
      const opened = await Promise.all(
        Array.from({ length: 20 }, (_, i) => openSession(under.store, `s${i}`, { accepted })),
      );
      await expect(
        openSession(under.store, 's1', { address: BOB, first: 'other', accepted }),
      ).rejects.toMatchObject({ code: 'invalid' });
      await under.reopen();
      const lines = await under.store.audit.list({ limit: 100 });
      expect(lines).toHaveLength(20);
      expect(new Set(lines.map(({ actor }) => actor))).toEqual(new Set([`user:${opened[0]!.user.userId}`]));
      expect(await under.store.audit.verify()).toMatchObject({ rows: 20, findings: [] });
    });

    it('opens nothing for a suspended user', async () => {
      const { user } = await openSession(under.store, 's1');
      await under.store.users.updateAccess(user.userId, { status: 2 }, 2_000);
      await expect(openSession(under.store, 's2')).rejects.toThrow('suspended');
      expect(await under.store.sessions.find('s2')).toBeNull();
      expect(await under.store.sessions.findRefresh(digest('s2-R0'))).toBeNull();
    });

    it('knows nothing of a sid or token that never was', async () => {
      expect(await under.store.sessions.find('nope')).toBeNull();
      expect(await under.store.sessions.findRefresh(digest('nope'))).toBeNull();
      expect(await under.store.sessions.revoke('nope', 1, 'logout')).toBeNull();
    });

    it('lists the live sessions of one user, newest first', async () => {
      const { user } = await openSession(under.store, 'old', { createdAt: 1_000 });
      await openSession(under.store, 'new', { createdAt: 3_000 });
      await openSession(under.store, 'dead', { createdAt: 2_000 });
      await openSession(under.store, 'other', { address: BOB });
      await under.store.sessions.revoke('dead', 4_000, 'logout');
      const live = async (now: number) =>
        (await under.store.sessions.listByUser(user.userId, now)).map(({ sid }) => sid);
      expect(await live(5_000)).toEqual(['new', 'old']);
      expect(await live(1_000 + LIFE)).toEqual(['new']);
    });

    it('revokes once and records it', async () => {
      await openSession(under.store, 's1');
      const change = await under.store.sessions.revoke('s1', 5_000, 'logout');
      expect(change).toMatchObject({ kind: 'session-ended', subject: 's1', reason: 'logout', at: 5_000 });
      expect(await under.store.sessions.revoke('s1', 6_000, 'again')).toBeNull();
      await under.reopen();
      expect(await under.store.sessions.find('s1')).toMatchObject({
        revokedAt: 5_000,
        revokeReason: 'logout',
      });
      expect(await under.store.changes.since(0, 10)).toEqual([change]);
    });

    it('does not revoke a session that has expired', async () => {
      await openSession(under.store, 's1');
      expect(await under.store.sessions.revoke('s1', 1_000 + LIFE, 'logout')).toBeNull();
    });

    it('revokes all of a user’s sessions, all but one if asked, and no other user’s', async () => {
      const { user } = await openSession(under.store, 's1');
      await openSession(under.store, 's2');
      await openSession(under.store, 's3');
      await openSession(under.store, 'other', { address: BOB });
      const changes = await under.store.sessions.revokeAll(user.userId, 5_000, 'logout-all', 's2');
      expect(changes.map(({ subject }) => subject).sort()).toEqual(['s1', 's3']);
      expect(await under.store.changes.since(0, 10)).toEqual(changes);
      expect((await under.store.sessions.find('s2'))!.revokedAt).toBeNull();
      expect((await under.store.sessions.find('other'))!.revokedAt).toBeNull();
      const rest = await under.store.sessions.revokeAll(user.userId, 6_000, 'logout-all');
      expect(rest.map(({ subject }) => subject)).toEqual(['s2']);
      expect(await under.store.sessions.revokeAll(user.userId, 7_000, 'logout-all')).toEqual([]);
    });

    it('ends the oldest sessions of a user beyond the most, in the transaction that opens the new one', async () => {
      const { store } = under;
      const { user } = await openSession(store, 'b', { createdAt: 1_000 });
      await openSession(store, 'a', { createdAt: 2_000 });
      await openSession(store, 'other', { address: BOB, createdAt: 500 });
      const third = await openSession(store, 'c', { createdAt: 3_000, most: 3 });
      expect(third.ended).toEqual([]);
      const fourth = await openSession(store, 'd', { createdAt: 4_000, most: 3 });
      expect(fourth.ended).toMatchObject([
        { kind: 'session-ended', subject: 'b', reason: 'session-limit', at: 4_000 },
      ]);
      await under.reopen();
      expect(await under.store.changes.since(0, 10)).toEqual(fourth.ended);
      expect(await under.store.sessions.find('b')).toMatchObject({
        revokedAt: 4_000,
        revokeReason: 'session-limit',
      });
      const live = await under.store.sessions.listByUser(user.userId, 5_000);
      expect(live.map(({ sid }) => sid)).toEqual(['d', 'c', 'a']);
      expect((await under.store.sessions.find('other'))!.revokedAt).toBeNull();
    });

    it('does not count sessions that are over, and spares the new one whatever its time', async () => {
      const { store } = under;
      await openSession(store, 'expired', { createdAt: 1_000 });
      await openSession(store, 'ended', { createdAt: 1_000 + LIFE });
      await store.sessions.revoke('ended', 2_000 + LIFE, 'logout');
      await openSession(store, 'live', { createdAt: 3_000 + LIFE });
      const { ended } = await openSession(store, 'new', { createdAt: 2_500 + LIFE, most: 1 });
      expect(ended.map(({ subject }) => subject)).toEqual(['live']);
      expect((await store.sessions.find('new'))!.revokedAt).toBeNull();
      expect((await store.sessions.find('expired'))!.revokedAt).toBeNull();
    });

    it('never leaves more live sessions than the most, however many are opened at once', async () => {
      const opened = await Promise.all(
        Array.from({ length: 40 }, (_, i) => openSession(under.store, `s${i}`, { most: 5 })),
      );
      expect(opened.flatMap(({ ended }) => ended)).toHaveLength(35);
      expect(await under.store.sessions.listByUser(opened[0]!.user.userId, 2_000)).toHaveLength(5);
    });

    it('ends nothing when opening fails', async () => {
      await openSession(under.store, 's1');
      const taken = openSession(under.store, 's2', { first: 's1-R0', most: 1 });
      await expect(taken).rejects.toMatchObject({ name: 'StoreError', code: 'invalid' });
      expect((await under.store.sessions.find('s1'))!.revokedAt).toBeNull();
      expect(await under.store.changes.head()).toBe(0);
    });

    it('keeps the user that is there when a known address opens a session', async () => {
      const user = await under.store.users.create(newUser({ tier: 'pro' }));
      const opened = await openSession(under.store, 's1');
      expect(opened.user).toEqual(user);
    });
  });
}
