import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { AuditEntry, Change } from '../../../src/store/store.ts';
import type { StoreUnderTest } from '../contract.ts';
import { newUser } from '../samples.ts';

const change = (subject: string): Omit<Change, 'sequence'> => ({
  at: 1_000,
  kind: 'handshake-token-ended',
  subject,
  reason: 'rotated',
});

const entry = (over: Partial<AuditEntry> = {}): AuditEntry => ({
  at: 1_000,
  actor: 'operator:admin',
  action: 'session.revoke',
  target: 's1',
  source: null,
  detail: '{}',
  ...over,
});

export function logContract(under: StoreUnderTest): void {
  describe('the change log', () => {
    it('counts up from 1 and never goes back, also after it was opened again', async () => {
      expect(await under.store.changes.head()).toBe(0);
      expect(await under.store.changes.append(change('a'))).toEqual({ sequence: 1, ...change('a') });
      await under.reopen();
      expect((await under.store.changes.append(change('b'))).sequence).toBe(2);
      expect(await under.store.changes.head()).toBe(2);
    });

    it('can be followed in pages, without a gap or a repeat', async () => {
      await Promise.all(Array.from({ length: 25 }, (_, i) => under.store.changes.append(change(String(i)))));
      const seen: string[] = [];
      let at = 0;
      for (let page = await under.store.changes.since(at, 10); page.length > 0; ) {
        seen.push(...page.map(({ subject }) => subject));
        at = page.at(-1)!.sequence;
        page = await under.store.changes.since(at, 10);
      }
      expect(seen).toEqual(Array.from({ length: 25 }, (_, i) => String(i)));
      expect(at).toBe(await under.store.changes.head());
    });
  });

  describe('the audit log', () => {
    it('lists the newest first, page by page', async () => {
      for (const target of ['a', 'b', 'c', 'd']) await under.store.audit.append(entry({ target }));
      const first = await under.store.audit.list({ limit: 3 });
      expect(first.map(({ target }) => target)).toEqual(['d', 'c', 'b']);
      const rest = await under.store.audit.list({ limit: 3, before: first.at(-1)!.n });
      expect(rest.map(({ target }) => target)).toEqual(['a']);
      expect(rest[0]).toMatchObject(entry({ target: 'a' }));
    });

    it('chains what was appended at once, and still after it was opened again', async () => {
      await Promise.all(Array.from({ length: 50 }, (_, i) => under.store.audit.append(entry({ at: i }))));
      await under.reopen();
      await under.store.audit.append(entry({ source: '192.0.2.1' }));
      expect(await under.store.audit.verify()).toMatchObject({ rows: 51, brokenAt: null, findings: [] });
    });

    it('takes any text there is, and the chain still holds', async () => {
      const text = fc.string({ unit: 'binary', maxLength: 40 });
      await fc.assert(
        fc.asyncProperty(text, text, async (target, detail) => {
          await under.store.audit.append(entry({ target, detail }));
        }),
        { numRuns: 50, examples: [['a\0b', '\ud800']] },
      );
      expect((await under.store.audit.verify()).brokenAt).toBeNull();
    });
  });

  describe('as a whole', () => {
    it('proves that it can write, in milliseconds', async () => {
      expect(await under.store.probe()).toBeGreaterThan(0);
      await under.reopen();
      expect(await under.store.probe()).toBeLessThan(10_000);
    });

    it('finishes what was asked before it closes, and refuses what is asked after', async () => {
      const { store } = under;
      const asked = store.users.create(newUser());
      await Promise.all([store.close(), store.close()]);
      const user = await asked;
      const refused = { name: 'StoreError', code: 'closed' };
      await expect(store.users.find(user.userId)).rejects.toMatchObject(refused);
      await expect(store.users.create(newUser())).rejects.toMatchObject(refused);
      await expect(store.probe()).rejects.toMatchObject(refused);
      await under.reopen();
      expect(await under.store.users.find(user.userId)).toEqual(user);
    });

    it('refuses a text that it could not give back, and lets others in the same moment succeed', async () => {
      const [bad, good] = await Promise.allSettled([
        under.store.users.create(newUser({ displayName: 'a\0b' })),
        under.store.users.create(newUser({ displayName: 'fine' })),
      ]);
      expect(bad).toMatchObject({ status: 'rejected', reason: { code: 'invalid' } });
      expect(good).toMatchObject({ status: 'fulfilled', value: { displayName: 'fine' } });
    });
  });
}
