import { describe, expect, it } from 'vitest';
import type { RotationOutcome } from '../../../src/store/store.ts';
import type { StoreUnderTest } from '../contract.ts';
import { digest, LIFE, openSession, sealed } from '../samples.ts';

const GRACE = 30_000;

export function rotationContract(under: StoreUnderTest): void {
  /** Presents token `name`; the successor on offer, should it need one, is `next`. Says in a word what came back. */
  const present = async (name: string, now: number, next: string, rotation?: 'strict'): Promise<string> => {
    const outcome = await under.store.sessions.rotate({
      digest: digest(name),
      now,
      graceMs: GRACE,
      successor: { digest: digest(next), sealed: sealed(next) },
      ...(rotation ? { rotation } : {}),
    });
    return word(outcome);
  };
  const word = (o: RotationOutcome) =>
    o.outcome === 'rotated' ? Buffer.from(o.sealed).toString().replace('sealed ', '') : o.outcome;
  const adaptive = () => openSession(under.store, 's', { first: 'R0' });
  const strict = () => openSession(under.store, 's', { first: 'R0', rotation: 'strict' });

  describe('adaptive refresh rotation', () => {
    it('gives one successor however often a token is presented, and keeps the token working', async () => {
      await adaptive();
      for (let i = 0; i < 100; i++) expect(await present('R0', 2_000 + i * 5_000, `R1-${i}`)).toBe('R1-0');
    });

    it('says which presentation made the successor, its generation, and when the last one was', async () => {
      const { session } = await adaptive();
      const input = { digest: digest('R0'), graceMs: GRACE };
      const successor = { digest: digest('R1'), sealed: sealed('R1') };
      expect(await under.store.sessions.rotate({ ...input, now: 2_000, successor })).toEqual({
        outcome: 'rotated',
        session: { ...session, lastRefreshAt: 2_000 },
        generation: 1,
        sealed: sealed('R1'),
        fresh: true,
      });
      const other = { digest: digest('unused'), sealed: sealed('unused') };
      expect(await under.store.sessions.rotate({ ...input, now: 3_000, successor: other })).toEqual({
        outcome: 'rotated',
        session: { ...session, lastRefreshAt: 3_000 },
        generation: 1,
        sealed: sealed('R1'),
        fresh: false,
      });
      expect(await under.store.sessions.findRefresh(digest('R1'))).toMatchObject({ generation: 1, sid: 's' });
      expect(await under.store.sessions.findRefresh(digest('unused'))).toBeNull();
    });

    it('retires a token when its successor is presented: then it is good for the grace and no longer', async () => {
      await adaptive();
      await present('R0', 2_000, 'R1');
      expect(await present('R1', 500_000, 'R2')).toBe('R2');
      expect(await present('R0', 500_000 + GRACE - 1, 'x')).toBe('R1');
      expect(await present('R0', 500_000 + GRACE, 'x')).toBe('reused');
      expect(await present('R1', 500_000 + GRACE, 'x')).toBe('gone');
    });

    it('does not restart the grace when a token is presented in it', async () => {
      await adaptive();
      await present('R0', 2_000, 'R1');
      await present('R1', 10_000, 'R2');
      await present('R1', 39_000, 'R2');
      await present('R0', 39_500, 'x');
      expect(await present('R0', 40_001, 'x')).toBe('reused');
    });

    it('sees reuse further up the family even inside the grace', async () => {
      await adaptive();
      await present('R0', 2_000, 'R1');
      await present('R1', 2_001, 'R2');
      await present('R2', 2_002, 'R3');
      expect(await present('R1', 2_003, 'x')).toBe('R2');
      expect(await present('R0', 2_003, 'x')).toBe('reused');
      expect(await present('R3', 2_004, 'R4')).toBe('gone');
    });
  });

  describe('strict refresh rotation', () => {
    it('retires a token at once, and gives a lost reply again until the successor is exchanged', async () => {
      await strict();
      expect(await present('R0', 2_000, 'R1')).toBe('R1');
      expect(await present('R0', 2_500, 'x')).toBe('R1');
      expect(await present('R1', 3_000, 'R2')).toBe('R2');
      expect(await present('R0', 3_000, 'x')).toBe('reused');
      expect(await present('R2', 3_000, 'x')).toBe('gone');
    });

    it('sees reuse of the immediate parent after the grace', async () => {
      await strict();
      await present('R0', 2_000, 'R1');
      expect(await present('R0', 2_000 + GRACE, 'x')).toBe('reused');
    });

    it('does not stretch the grace for a clock that was set back', async () => {
      await strict();
      await present('R0', 500_000, 'R1');
      expect(await present('R0', 500_000 - GRACE + 1, 'x')).toBe('R1');
      expect(await present('R0', 500_000 - GRACE, 'x')).toBe('reused');
    });

    it('gives 100 parallel presentations one and the same child', async () => {
      await strict();
      const children = await Promise.all(
        Array.from({ length: 100 }, (_, i) => present('R0', 2_000, `R1-${i}`)),
      );
      expect(new Set(children).size).toBe(1);
      expect(await present(children[0]!, 2_001, 'R2')).toBe('R2');
    });

    it('stays strict once a presentation asked for it', async () => {
      await adaptive();
      expect(await present('R0', 2_000, 'R1')).toBe('R1');
      expect(await present('R0', 100_000, 'x', 'strict')).toBe('R1');
      await under.reopen();
      expect((await under.store.sessions.find('s'))!.rotation).toBe('strict');
      expect(await present('R0', 100_001, 'x')).toBe('R1');
      expect(await present('R1', 200_000, 'R2')).toBe('R2');
      expect(await present('R1', 200_000 + GRACE, 'x')).toBe('reused');
    });
  });

  describe('refresh tokens of a session that ended', () => {
    it('are gone once it is revoked', async () => {
      await adaptive();
      await present('R0', 2_000, 'R1');
      await under.store.sessions.revoke('s', 3_000, 'logout');
      expect(await present('R0', 3_001, 'x')).toBe('gone');
      expect(await present('R1', 3_001, 'x')).toBe('gone');
      expect((await under.store.sessions.find('s'))!.revokeReason).toBe('logout');
    });

    it('are gone at its absolute end, which no refresh moves', async () => {
      await adaptive();
      const end = 1_000 + LIFE;
      expect(await present('R0', end - 1, 'R1')).toBe('R1');
      expect(await present('R1', end, 'x')).toBe('gone');
      expect((await under.store.sessions.find('s'))!.expiresAt).toBe(end);
    });

    it('are gone when they never were', async () => {
      expect(await present('nope', 2_000, 'x')).toBe('gone');
      expect(await under.store.sessions.findRefresh(digest('x'))).toBeNull();
    });

    it('end with it when reuse is seen: revoked, on record, and only that session', async () => {
      const { user } = await strict();
      await openSession(under.store, 'bystander');
      await present('R0', 2_000, 'R1');
      const outcome = await under.store.sessions.rotate({
        digest: digest('R0'),
        now: 90_000,
        graceMs: GRACE,
        successor: { digest: digest('x'), sealed: sealed('x') },
      });
      if (outcome.outcome !== 'reused') throw new Error(outcome.outcome);
      expect(outcome.session).toMatchObject({ sid: 's', userId: user.userId, revokedAt: 90_000 });
      expect(outcome.change).toMatchObject({ kind: 'session-ended', subject: 's', at: 90_000 });
      expect(await under.store.changes.since(0, 10)).toEqual([outcome.change]);
      expect(await under.store.sessions.find('s')).toEqual(outcome.session);
      expect(await present('bystander-R0', 90_000, 'y')).toBe('y');
    });
  });
}
