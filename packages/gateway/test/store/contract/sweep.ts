import { describe, expect, it } from 'vitest';
import type { StoreUnderTest } from '../contract.ts';
import { BOB, challenge, digest, LIFE, openSession, sealed, wide } from '../samples.ts';

const KEEP = 10_000;
const PLENTY = 1_000;

export function sweepContract(under: StoreUnderTest): void {
  const refresh = (from: string, to: string, now: number) =>
    under.store.sessions.rotate({
      digest: digest(from),
      now,
      graceMs: 0,
      successor: { digest: digest(to), sealed: sealed(to) },
    });

  describe('sweeping', () => {
    it('forgets sessions that ended longer ago than they are kept, with all their refresh tokens', async () => {
      const { store } = under;
      await openSession(store, 'revoked', { createdAt: 1_000, first: 'R0' });
      await refresh('R0', 'R1', 2_000);
      await refresh('R1', 'R2', 3_000);
      await store.sessions.revoke('revoked', 5_000, 'logout');
      const ended = 5_000 + KEEP;
      expect(await store.sweep(ended, KEEP, PLENTY)).toEqual({ sessions: 0, refreshTokens: 0 });
      expect(await store.sweep(ended + 1, KEEP, PLENTY)).toEqual({ sessions: 1, refreshTokens: 3 });
      await under.reopen();
      expect(await under.store.sessions.find('revoked')).toBeNull();
      for (const token of ['R0', 'R1', 'R2']) {
        expect(await under.store.sessions.findRefresh(digest(token))).toBeNull();
      }
      expect(await refresh('R2', 'R3', 6_000)).toEqual({ outcome: 'gone' });
    });

    it('counts from the revocation, or from the expiry of a session that was never revoked', async () => {
      const { store } = under;
      await openSession(store, 'expires', { createdAt: 1_000 });
      await openSession(store, 'lives', { createdAt: 2_000 });
      expect((await store.sweep(1_000 + LIFE + KEEP, KEEP, PLENTY)).sessions).toBe(0);
      expect((await store.sweep(1_001 + LIFE + KEEP, KEEP, PLENTY)).sessions).toBe(1);
      expect(await store.sessions.find('expires')).toBeNull();
      expect(await store.sessions.find('lives')).not.toBeNull();
    });

    it('goes in steps of a bounded number of rows and keeps every token that still has its session', async () => {
      const { store } = under;
      for (let i = 0; i < 5; i += 1) await openSession(store, `s${i}`, { createdAt: 1_000 });
      await openSession(store, 'live', { createdAt: 1_000 + LIFE });
      const now = 2_000 + LIFE + KEEP;
      let rows = 0;
      let steps = 0;
      for (; steps < 20; steps += 1) {
        const { sessions, refreshTokens } = await store.sweep(now, KEEP, 3);
        rows += sessions + refreshTokens;
        expect(sessions + refreshTokens).toBeLessThanOrEqual(3);
        for (let i = 0; i < 5; i += 1) {
          // A token without its session would be an orphan that nothing finds again.
          const token = await store.sessions.findRefresh(digest(`s${i}-R0`));
          if (token !== null) expect(await store.sessions.find(token.sid)).not.toBeNull();
        }
        if (sessions + refreshTokens < 3) break;
      }
      expect([rows, steps]).toEqual([10, 3]);
      expect(await store.sessions.find('live')).not.toBeNull();
      expect(await store.sessions.findRefresh(digest('live-R0'))).not.toBeNull();
    });

    it('keeps challenges, users, changes and the audit log for ever', async () => {
      const { store } = under;
      await store.challenges.issue(challenge(), wide);
      const { user } = await openSession(store, 's', { address: BOB });
      const change = await store.sessions.revoke('s', 2_000, 'logout');
      await store.audit.append({
        at: 1,
        actor: 'system',
        action: 'x',
        target: 'y',
        source: null,
        detail: '{}',
      });
      expect((await store.sweep(Number.MAX_SAFE_INTEGER, 0, PLENTY)).sessions).toBe(1);
      expect(await store.challenges.issue(challenge(), wide)).toBe('nonce-used');
      expect(await store.users.find(user.userId)).toEqual(user);
      expect(await store.changes.since(0, 10)).toEqual([change]);
      expect(await store.audit.verify()).toMatchObject({ rows: 1, brokenAt: null });
    });
  });
}
