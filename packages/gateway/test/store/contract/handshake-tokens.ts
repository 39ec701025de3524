import { describe, expect, it } from 'vitest';
import type { StoreUnderTest } from '../contract.ts';
import { digest, handshakeToken, newUser } from '../samples.ts';

export function handshakeTokenContract(under: StoreUnderTest): void {
  describe('handshake tokens', () => {
    const owner = async (address = '0x1') => (await under.store.users.create(newUser({ address }))).userId;
    const tokens = () => under.store.handshakeTokens;

    it('come back as they were made, by digest and by id', async () => {
      const token = handshakeToken(await owner(), 't1', {
        tier: 'pro',
        allowedIps: ['192.0.2.0/24', '2001:db8::/32'],
        expiresAt: 9_000,
      });
      expect(await tokens().create(token)).toBe('created');
      await under.reopen();
      expect(await tokens().findByDigest(token.digest)).toEqual(token);
      expect(await tokens().findById('t1')).toEqual(token);
      expect(await tokens().findByDigest(digest('other'))).toBeNull();
      expect(await tokens().findById('t2')).toBeNull();
    });

    it('never share an id or a digest with one that ever was', async () => {
      const userId = await owner();
      await tokens().create(handshakeToken(userId, 't1'));
      await tokens().update('t1', { revokedAt: 2_000 }, 2_000);
      expect(await tokens().create(handshakeToken(userId, 't1', { digest: digest('new') }))).toBe(
        'duplicate',
      );
      expect(await tokens().create(handshakeToken(userId, 't2', { digest: digest('t1') }))).toBe('duplicate');
    });

    it('are refused for a user that is not there', async () => {
      await expect(tokens().create(handshakeToken(5, 't1'))).rejects.toMatchObject({ code: 'invalid' });
    });

    it('are listed newest first, revoked ones too, of all users or of one', async () => {
      const [alice, bob] = [await owner('0xa'), await owner('0xb')];
      await tokens().create(handshakeToken(alice, 't1', { createdAt: 1_000 }));
      await tokens().create(handshakeToken(bob, 't2', { createdAt: 3_000 }));
      await tokens().create(handshakeToken(alice, 't3', { createdAt: 2_000 }));
      await tokens().update('t3', { revokedAt: 4_000 }, 4_000);
      const ids = async (page: { limit: number; userId?: number }) =>
        (await tokens().list(page)).map(({ tokenId }) => tokenId);
      expect(await ids({ limit: 9 })).toEqual(['t2', 't3', 't1']);
      expect(await ids({ limit: 2 })).toEqual(['t2', 't3']);
      expect(await ids({ limit: 9, userId: alice })).toEqual(['t3', 't1']);
    });

    it('change in the fields given, and the change is on record under the token’s id', async () => {
      const token = handshakeToken(await owner(), 't1');
      await tokens().create(token);
      const patch = { name: 'other desk', permissions: ['market_data'], tier: 'pro', expiresAt: 9_000 };
      const result = await tokens().update('t1', patch, 5_000);
      expect(result!.token).toEqual({ ...token, ...patch });
      expect(result!.change).toMatchObject({ kind: 'handshake-token-changed', subject: 't1', at: 5_000 });
      expect(await tokens().findById('t1')).toEqual(result!.token);
      expect(await under.store.changes.since(0, 10)).toEqual([result!.change]);
    });

    it('end when they are revoked, for good, or when their end is set to a time that has come', async () => {
      const userId = await owner();
      await tokens().create(handshakeToken(userId, 't1'));
      await tokens().create(handshakeToken(userId, 't2'));
      expect((await tokens().update('t1', { revokedAt: 3 }, 3))!.change).toMatchObject({
        kind: 'handshake-token-ended',
        reason: 'revoked',
      });
      expect(await tokens().update('t1', { revokedAt: null }, 4)).toBeNull();
      expect((await tokens().update('t2', { expiresAt: 5 }, 5))!.change.kind).toBe('handshake-token-ended');
      expect((await tokens().update('t2', { expiresAt: null }, 6))!.change.kind).toBe(
        'handshake-token-changed',
      );
    });

    it('are replaced once: the successor is there and the old one has its end, or neither', async () => {
      const userId = await owner();
      await tokens().create(handshakeToken(userId, 't1'));
      const results = await Promise.all([
        tokens().replace('t1', handshakeToken(userId, 't2'), 9_000, 5_000),
        tokens().replace('t1', handshakeToken(userId, 't3'), 9_000, 5_000),
      ]);
      expect(results[0]).toMatchObject({
        token: { tokenId: 't1', expiresAt: 9_000, replacedBy: 't2', revokedAt: null },
        change: { kind: 'handshake-token-changed', subject: 't1' },
      });
      expect(results[1]).toBeNull();
      expect(await tokens().findById('t3')).toBeNull();
      await under.reopen();
      expect(await tokens().findById('t2')).toMatchObject({ digest: digest('t2'), revokedAt: null });

      await expect(
        tokens().replace('t2', handshakeToken(userId, 't9', { digest: digest('t1') }), 9_000, 6_000),
      ).rejects.toMatchObject({ code: 'invalid' });
      expect((await tokens().findById('t2'))!.replacedBy).toBeNull();
      expect((await tokens().replace('t2', handshakeToken(userId, 't4'), 7_000, 7_000))!.change.kind).toBe(
        'handshake-token-ended',
      );
    });

    it('add up their uses, whenever these are written', async () => {
      await tokens().create(handshakeToken(await owner(), 't1'));
      await tokens().addUses([
        { tokenId: 't1', lastUsedAt: 7_000, connects: 1, requests: 5 },
        { tokenId: 'gone', lastUsedAt: 7_000, connects: 1, requests: 1 },
      ]);
      await tokens().addUses([{ tokenId: 't1', lastUsedAt: 6_000, connects: 2, requests: 0 }]);
      await under.reopen();
      expect(await tokens().findById('t1')).toMatchObject({ lastUsedAt: 7_000, connects: 3, requests: 5 });
      expect(await under.store.changes.head()).toBe(0);
    });
  });
}
