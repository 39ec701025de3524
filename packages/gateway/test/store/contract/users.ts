import { describe, expect, it } from 'vitest';
import type { StoreUnderTest } from '../contract.ts';
import { ALICE, BOB, newUser } from '../samples.ts';

export function userContract(under: StoreUnderTest): void {
  describe('users', () => {
    it('gives a new user the two standard accounts', async () => {
      const user = await under.store.users.create(newUser({ displayName: 'Alice' }));
      expect(user).toMatchObject({
        userId: 1000,
        address: ALICE,
        displayName: 'Alice',
        status: 1,
        userType: 1,
        userClass: 1,
        roles: ['user'],
        permissions: ['market_data', 'trading'],
        tier: 'standard',
        payoutAddress: null,
        createdAt: 1_000,
      });
      const common = { userId: user.userId, status: 1, updateDate: 1_000 };
      expect(user.accounts).toEqual([
        { accountId: 1, type: 1, name: 'Current', ...common },
        { accountId: 2, type: 2, name: 'Trading', ...common },
      ]);
    });

    it('finds a user by id and by address, also after it was opened again', async () => {
      const user = await under.store.users.create(newUser());
      await under.reopen();
      expect(await under.store.users.find(user.userId)).toEqual(user);
      expect(await under.store.users.findByAddress(ALICE)).toEqual(user);
      expect(await under.store.users.find(1)).toBeNull();
      expect(await under.store.users.findByAddress(BOB)).toBeNull();
    });

    it('makes one user for an address, however many ask at once', async () => {
      const users = await Promise.all(
        Array.from({ length: 20 }, (_, i) => under.store.users.create(newUser({ tier: `tier-${i}` }))),
      );
      expect(new Set(users.map((u) => u.userId)).size).toBe(1);
      expect(await under.store.users.list({ limit: 10 })).toHaveLength(1);
    });

    it('makes several users without an address', async () => {
      const first = await under.store.users.create(newUser({ address: null }));
      const second = await under.store.users.create(newUser({ address: null }));
      expect(second.userId).toBe(first.userId + 1);
    });

    it('lists the newest first, page by page', async () => {
      for (let i = 0; i < 5; i++) await under.store.users.create(newUser({ address: `0x${i}` }));
      const first = await under.store.users.list({ limit: 2 });
      const rest = await under.store.users.list({ limit: 10, before: first[1]!.userId });
      expect([...first, ...rest].map((u) => u.address)).toEqual(['0x4', '0x3', '0x2', '0x1', '0x0']);
    });

    it('changes a profile without touching access or the change log', async () => {
      const user = await under.store.users.create(newUser({ displayName: 'old' }));
      const named = await under.store.users.updateProfile(user.userId, { displayName: 'new' });
      expect(named).toEqual({ ...user, displayName: 'new' });
      const paid = await under.store.users.updateProfile(user.userId, { payoutAddress: BOB });
      expect(paid).toEqual({ ...user, displayName: 'new', payoutAddress: BOB });
      expect(await under.store.users.find(user.userId)).toEqual(paid);
      expect(await under.store.changes.head()).toBe(0);
    });

    it('changes access and records it', async () => {
      const user = await under.store.users.create(newUser());
      const result = await under.store.users.updateAccess(
        user.userId,
        { roles: ['admin'], permissions: [], tier: 'pro' },
        5_000,
      );
      expect(result!.user).toEqual({ ...user, roles: ['admin'], permissions: [], tier: 'pro' });
      expect(result!.change).toMatchObject({ kind: 'user-changed', subject: String(user.userId), at: 5_000 });
      expect(await under.store.changes.since(0, 10)).toEqual([result!.change]);
    });

    it('records a suspension as the end of the user', async () => {
      const { userId } = await under.store.users.create(newUser());
      const result = await under.store.users.updateAccess(userId, { status: 2 }, 5_000);
      expect(result!.user.status).toBe(2);
      expect(result!.change.kind).toBe('user-ended');
    });

    it('says null for a user that is not there, and records nothing', async () => {
      expect(await under.store.users.updateProfile(5, { displayName: 'x' })).toBeNull();
      expect(await under.store.users.updateAccess(5, { tier: 'x' }, 1)).toBeNull();
      expect(await under.store.changes.head()).toBe(0);
    });
  });
}
