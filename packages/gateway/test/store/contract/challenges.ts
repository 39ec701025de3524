import { describe, expect, it } from 'vitest';
import type { StoreUnderTest } from '../contract.ts';
import { ALICE, BOB, challenge, wide } from '../samples.ts';

export function challengeContract(under: StoreUnderTest): void {
  describe('challenges', () => {
    it('gives back what was issued when it is spent', async () => {
      const issued = challenge({ profile: 'eip4361', context: '{"statement":"ünïcode"}', chainId: 560048 });
      expect(await under.store.challenges.issue(issued, wide)).toBe('issued');
      expect(await under.store.challenges.spend(ALICE, issued.nonce, 2_000)).toEqual(issued);
    });

    it('lets exactly one of 500 parallel spends have it', async () => {
      await under.store.challenges.issue(challenge(), wide);
      const results = await Promise.all(
        Array.from({ length: 500 }, () => under.store.challenges.spend(ALICE, '52a90c73', 2_000)),
      );
      expect(results.filter((r) => r !== null)).toHaveLength(1);
    });

    it('keeps a nonce spent', async () => {
      await under.store.challenges.issue(challenge(), wide);
      await under.store.challenges.spend(ALICE, '52a90c73', 2_000);
      await under.reopen();
      expect(await under.store.challenges.spend(ALICE, '52a90c73', 2_001)).toBeNull();
    });

    it('spends up to the last millisecond before expiry and not at it', async () => {
      await under.store.challenges.issue(challenge({ nonce: 'aa', expiresAt: 5_000 }), wide);
      await under.store.challenges.issue(challenge({ nonce: 'bb', expiresAt: 5_000 }), wide);
      expect(await under.store.challenges.spend(ALICE, 'aa', 4_999)).not.toBeNull();
      expect(await under.store.challenges.spend(ALICE, 'bb', 5_000)).toBeNull();
    });

    it('does not spend a nonce for another address', async () => {
      await under.store.challenges.issue(challenge(), wide);
      expect(await under.store.challenges.spend(BOB, '52a90c73', 2_000)).toBeNull();
      expect(await under.store.challenges.spend(ALICE, '52a90c73', 2_000)).not.toBeNull();
    });

    it('never issues a nonce twice to one address: not while live, nor spent, nor expired', async () => {
      const { challenges } = under.store;
      await challenges.issue(challenge({ nonce: 'aa' }), wide);
      await challenges.issue(challenge({ nonce: 'bb', expiresAt: 2_000 }), wide);
      expect(await challenges.issue(challenge({ nonce: 'aa' }), wide)).toBe('nonce-used');
      await challenges.spend(ALICE, 'aa', 2_000);
      expect(await challenges.issue(challenge({ nonce: 'aa' }), wide)).toBe('nonce-used');
      const later = { issuedAt: 9_000_000, expiresAt: 9_300_000 };
      expect(await challenges.issue(challenge({ nonce: 'bb', ...later }), wide)).toBe('nonce-used');
      expect(await challenges.issue(challenge({ nonce: 'aa', address: BOB }), wide)).toBe('issued');
    });

    it('gives a nonce to one of many that ask for it at once', async () => {
      const results = await Promise.all(
        Array.from({ length: 50 }, () => under.store.challenges.issue(challenge(), wide)),
      );
      expect(results.filter((r) => r === 'issued')).toHaveLength(1);
      expect(results.filter((r) => r === 'nonce-used')).toHaveLength(49);
    });

    it('bounds the live ones by address and source, so that a stranger cannot use up a victim’s', async () => {
      const { challenges } = under.store;
      const limits = { perAddressAndSource: 2, perSource: 100 };
      const ask = (nonce: string, source: string) => challenges.issue(challenge({ nonce, source }), limits);
      expect(await ask('01', 'mallory')).toBe('issued');
      expect(await ask('02', 'mallory')).toBe('issued');
      expect(await ask('03', 'mallory')).toBe('too-many');
      expect(await ask('04', 'alice')).toBe('issued');
      expect(await ask('03', 'alice')).toBe('issued');
    });

    it('bounds the live ones by source over all addresses', async () => {
      const limits = { perAddressAndSource: 5, perSource: 3 };
      const ask = (n: number, source: string) =>
        under.store.challenges.issue(challenge({ address: `0x${n}`, source }), limits);
      const results = await Promise.all([1, 2, 3, 4, 5].map((n) => ask(n, 'mallory')));
      expect(results).toEqual(['issued', 'issued', 'issued', 'too-many', 'too-many']);
      expect(await ask(6, 'bob')).toBe('issued');
    });

    it('counts neither spent nor expired ones', async () => {
      const limits = { perAddressAndSource: 1, perSource: 1 };
      const ask = (nonce: string, issuedAt: number) =>
        under.store.challenges.issue(challenge({ nonce, issuedAt, expiresAt: issuedAt + 300 }), limits);
      expect(await ask('01', 1_000)).toBe('issued');
      expect(await ask('02', 1_299)).toBe('too-many');
      expect(await ask('02', 1_300)).toBe('issued');
      await under.store.challenges.spend(ALICE, '02', 1_400);
      expect(await ask('03', 1_401)).toBe('issued');
    });
  });
}
