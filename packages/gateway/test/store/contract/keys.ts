import { describe, expect, it } from 'vitest';
import type { StoreUnderTest } from '../contract.ts';
import { apiKey, newUser, signingKey } from '../samples.ts';

export function keyContract(under: StoreUnderTest): void {
  describe('signing keys', () => {
    it('begin as an empty set at revision 0', async () => {
      expect(await under.store.signingKeys.list()).toEqual([]);
      expect(await under.store.signingKeys.revision()).toBe(0);
    });

    it('are replaced as a whole, in the order given, and the change is on record', async () => {
      const first = [signingKey('b', { state: 'active', activatedAt: 1_000 }), signingKey('a')];
      expect(await under.store.signingKeys.replace(first, 0, 2_000)).toEqual({ revision: 1 });
      await under.reopen();
      expect(await under.store.signingKeys.list()).toEqual(first);
      const second = [signingKey('a', { state: 'active' })];
      expect(await under.store.signingKeys.replace(second, 1, 3_000)).toEqual({ revision: 2 });
      expect(await under.store.signingKeys.list()).toEqual(second);
      expect(await under.store.signingKeys.revision()).toBe(2);
      expect((await under.store.changes.since(0, 10)).map(({ kind }) => kind)).toEqual([
        'signing-keys-changed',
        'signing-keys-changed',
      ]);
    });

    it('let one of two that replace the same revision win', async () => {
      const results = await Promise.all([
        under.store.signingKeys.replace([signingKey('a')], 0, 2_000),
        under.store.signingKeys.replace([signingKey('b')], 0, 2_000),
      ]);
      expect(results.filter((r) => r === 'stale')).toHaveLength(1);
      expect(await under.store.signingKeys.list()).toHaveLength(1);
      expect(await under.store.changes.head()).toBe(1);
    });

    it('are never two active ones; a set that has them changes nothing', async () => {
      await under.store.signingKeys.replace([signingKey('a', { state: 'active' })], 0, 2_000);
      const two = [signingKey('b', { state: 'active' }), signingKey('c', { state: 'active' })];
      await expect(under.store.signingKeys.replace(two, 1, 3_000)).rejects.toMatchObject({ code: 'invalid' });
      expect(await under.store.signingKeys.revision()).toBe(1);
      expect((await under.store.signingKeys.list()).map(({ kid }) => kid)).toEqual(['a']);
    });
  });

  describe('API keys', () => {
    const owner = async (address = '0x1') => (await under.store.users.create(newUser({ address }))).userId;

    it('come back as they were made', async () => {
      const key = apiKey(await owner(), 'k1', {
        tier: 'pro',
        expiresAt: 9_000,
        replay: 'strict',
        alg: 'EdDSA',
      });
      expect(await under.store.apiKeys.create(key)).toBe('created');
      await under.reopen();
      expect(await under.store.apiKeys.findByName(key.name)).toEqual(key);
      expect(await under.store.apiKeys.findByName('organizations/o/apiKeys/nope')).toBeNull();
      expect(await under.store.apiKeys.findById(key.keyId)).toEqual(key);
      expect(await under.store.apiKeys.findById('nope')).toBeNull();
    });

    it('never share a name, id or thumbprint with any key that ever was', async () => {
      const userId = await owner();
      const { apiKeys } = under.store;
      const first = apiKey(userId, 'k1');
      await apiKeys.create(first);
      await apiKeys.update(first.name, { deletedAt: 2_000 }, 2_000);
      expect(await apiKeys.create(first)).toBe('duplicate');
      expect(await apiKeys.create(apiKey(userId, 'k2', { thumbprint: first.thumbprint }))).toBe('duplicate');
      expect(await apiKeys.create(apiKey(userId, 'k3', { keyId: first.keyId }))).toBe('duplicate');
      expect(await apiKeys.create(apiKey(userId, 'k4'))).toBe('created');
    });

    it('are refused for a user that is not there', async () => {
      await expect(under.store.apiKeys.create(apiKey(5, 'k1'))).rejects.toMatchObject({ code: 'invalid' });
    });

    it('are listed newest first: a user’s without the deleted, an operator’s with them', async () => {
      const [alice, bob] = [await owner('0xa'), await owner('0xb')];
      const { apiKeys } = under.store;
      await apiKeys.create(apiKey(alice, 'k1', { createdAt: 1_000 }));
      await apiKeys.create(apiKey(alice, 'k2', { createdAt: 3_000 }));
      await apiKeys.create(apiKey(alice, 'k3', { createdAt: 2_000 }));
      await apiKeys.create(apiKey(bob, 'k4', { createdAt: 4_000 }));
      await apiKeys.update(apiKey(alice, 'k3').name, { deletedAt: 5_000 }, 5_000);
      expect((await apiKeys.listByUser(alice)).map((k) => k.keyId)).toEqual(['k2', 'k1']);
      expect((await apiKeys.list({ limit: 3 })).map((k) => k.keyId)).toEqual(['k4', 'k2', 'k3']);
    });

    it('change in the fields given, and the change is on record under the key’s id', async () => {
      const key = apiKey(await owner(), 'k1');
      await under.store.apiKeys.create(key);
      const patch = { nickname: 'renamed', scopes: ['view' as const], allowedIps: [], replacedBy: 'k2' };
      const result = await under.store.apiKeys.update(key.name, patch, 5_000);
      expect(result!.key).toEqual({ ...key, ...patch });
      expect(result!.change).toMatchObject({ kind: 'api-key-changed', subject: 'k1', at: 5_000 });
      expect(await under.store.apiKeys.findByName(key.name)).toEqual(result!.key);
      expect(await under.store.changes.since(0, 10)).toEqual([result!.change]);
    });

    it('end when disabled, can be enabled again, and end for good when deleted', async () => {
      const key = apiKey(await owner(), 'k1');
      const { apiKeys } = under.store;
      await apiKeys.create(key);
      expect((await apiKeys.update(key.name, { enabled: false }, 1))!.change.kind).toBe('api-key-ended');
      expect((await apiKeys.update(key.name, { enabled: true }, 2))!.change.kind).toBe('api-key-changed');
      expect((await apiKeys.update(key.name, { deletedAt: 3 }, 3))!.change.kind).toBe('api-key-ended');
      expect(await apiKeys.update(key.name, { deletedAt: null }, 4)).toBeNull();
      expect((await apiKeys.findByName(key.name))!.deletedAt).toBe(3);
      expect(await apiKeys.update('nope', { enabled: false }, 5)).toBeNull();
      expect(await under.store.changes.head()).toBe(3);
    });
  });
}
