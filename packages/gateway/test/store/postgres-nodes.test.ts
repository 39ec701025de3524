import { findPostgres } from '@countersign/testkit';
import { describe, expect, it } from 'vitest';
import type { Store } from '../../src/store/store.ts';
import { pairOfStores } from './postgres-pair.ts';
import {
  ALICE,
  apiKey,
  challenge,
  digest,
  newUser,
  openSession,
  sealed,
  signingKey,
  wide,
} from './samples.ts';

const bin = findPostgres();

describe.skipIf(bin === null)('two stores on one PostgreSQL database [needs postgresql]', () => {
  const pair = pairOfStores(bin);

  /** One of the two, in turn. */
  const node = (i: number): Store => pair.stores[i % 2] as Store;
  const many = <T>(count: number, ask: (store: Store, i: number) => Promise<T>): Promise<T[]> =>
    Promise.all(Array.from({ length: count }, (_, i) => ask(node(i), i)));

  it('spend a nonce once, of 500 that try (R30)', async () => {
    for (let round = 0; round < 5; round++) {
      const nonce = `n${round}`;
      await node(round).challenges.issue(challenge({ nonce }), wide);
      const spent = await many(500, (store) => store.challenges.spend(ALICE, nonce, 2_000));
      expect(spent.filter((each) => each !== null)).toHaveLength(1);
    }
  });

  it('issue a nonce once, and no more challenges at a time than are allowed', async () => {
    const same = await many(50, (store) => store.challenges.issue(challenge({ nonce: 'same' }), wide));
    expect(same.filter((each) => each === 'issued')).toHaveLength(1);
    const others = await many(50, (store, i) =>
      store.challenges.issue(challenge({ nonce: 'other', source: `s${i}` }), wide),
    );
    expect(others.filter((each) => each === 'issued')).toHaveLength(1);
    const limits = { perAddressAndSource: 7, perSource: 100 };
    const counted = await many(50, (store, i) =>
      store.challenges.issue(challenge({ nonce: `c${i}`, source: 'mallory' }), limits),
    );
    expect(counted.filter((each) => each === 'issued')).toHaveLength(7);
  });

  it('give 100 presentations of a refresh token one child (R43)', async () => {
    for (let round = 0; round < 5; round++) {
      await openSession(node(0), `s${round}`, { rotation: 'strict' });
      const outcomes = await many(100, (store, i) =>
        store.sessions.rotate({
          digest: digest(`s${round}-R0`),
          now: 2_000,
          graceMs: 30_000,
          successor: { digest: digest(`s${round}-R1-${i}`), sealed: sealed(`${i}`) },
        }),
      );
      const children = outcomes.map((each) =>
        each.outcome === 'rotated' ? Buffer.from(each.sealed).toString() : each.outcome,
      );
      expect(new Set(children).size).toBe(1);
      expect(outcomes.filter((each) => each.outcome === 'rotated' && each.fresh)).toHaveLength(1);
    }
  });

  it('end a family once when a retired token is presented on both (R43)', async () => {
    await openSession(node(0), 's', { rotation: 'strict' });
    const present = (store: Store, name: string, next: string, now: number) =>
      store.sessions.rotate({
        digest: digest(name),
        now,
        graceMs: 0,
        successor: { digest: digest(next), sealed: sealed(next) },
      });
    await present(node(0), 's-R0', 'R1', 2_000);
    const outcomes = await many(20, (store) => present(store, 's-R0', 'x', 90_000));
    expect(outcomes.filter((each) => each.outcome === 'reused')).toHaveLength(1);
    expect(outcomes.filter((each) => each.outcome === 'gone')).toHaveLength(19);
    expect(await node(0).changes.head()).toBe(1);
  });

  it('make one user for an address, and never leave it more sessions than it may have (R50)', async () => {
    const opened = await many(60, (store, i) => openSession(store, `s${i}`, { most: 5 }));
    expect(new Set(opened.map(({ user }) => user.userId)).size).toBe(1);
    const { userId } = opened[0]!.user;
    expect(await node(1).sessions.listByUser(userId, 2_000)).toHaveLength(5);
    const ended = opened.flatMap((each) => each.ended.map(({ subject }) => subject));
    expect(new Set(ended).size).toBe(55);
    expect(await node(0).changes.since(0, 100)).toHaveLength(55);
  });

  it('let one of two that replace the signing keys win, and one of two that revoke a session', async () => {
    const replaced = await many(10, (store, i) =>
      store.signingKeys.replace([signingKey(`k${i}`, { state: 'active' })], 0, 1_000),
    );
    expect(replaced.filter((each) => each !== 'stale')).toHaveLength(1);
    await openSession(node(0), 's');
    const revoked = await many(10, (store) => store.sessions.revoke('s', 2_000, 'logout'));
    expect(revoked.filter((each) => each !== null)).toHaveLength(1);
  });

  it('keep one audit chain', async () => {
    await many(200, (store, i) =>
      store.audit.append({ at: i, actor: 'a', action: 'b', target: `${i}`, source: null, detail: '{}' }),
    );
    expect(await node(0).audit.verify()).toMatchObject({ rows: 200, brokenAt: null });
  });

  it('never get in each other’s way so that one of them fails: sessions end from every side at once', async () => {
    const { user } = await openSession(node(0), 'first');
    await node(0).apiKeys.create(apiKey(user.userId, 'k'));
    for (let round = 0; round < 8; round++) {
      const sids = Array.from({ length: 12 }, (_, i) => `r${round}-${i}`);
      await Promise.all(sids.map((sid, i) => openSession(node(i), sid)));
      await Promise.all([
        ...sids.map((sid, i) => node(i).sessions.revoke(sid, 3_000, 'logout')),
        ...sids.map((_, i) => openSession(node(i + 1), `n${round}-${i}`, { most: 6, createdAt: 2_000 })),
        node(0).sessions.revokeAll(user.userId, 3_000, 'logout-all'),
        node(1).sessions.revokeAll(user.userId, 3_000, 'logout-all'),
        node(0).users.updateAccess(user.userId, { tier: `t${round}` }, 3_000),
        node(1).users.updateProfile(user.userId, { displayName: `${round}` }),
        node(1).apiKeys.update('organizations/o/apiKeys/k', { nickname: `${round}` }, 3_000),
        node(0).sweep(0, 0, 100),
        node(1).sweep(0, 0, 100),
      ]);
    }
    expect(pair.server.psql('postgres', 'select sum(deadlocks) from pg_stat_database')).toBe('0');
  });

  describe('and followers of the change log', () => {
    it('see every change, in order, while 24 writers on both write it (R47)', async () => {
      const users = await many(24, (store, i) => store.users.create(newUser({ address: `0x${i}` })));
      let writing = true;
      const follow = async (store: Store) => {
        const seen: number[] = [];
        let ended = false;
        while (!ended) {
          // Once the writers are done one more look has to find the rest.
          ended = !writing;
          const page = await store.changes.since(seen.at(-1) ?? 0, 500);
          seen.push(...page.map(({ sequence }) => sequence));
        }
        return seen;
      };
      const followers = [0, 1, 2, 3].map((i) => follow(node(i)));
      const written = await many(24, async (store, i) => {
        const sequences: number[] = [];
        for (let n = 0; n < 40; n++) {
          const { userId } = users[i]!;
          const { change } = (await store.users.updateAccess(userId, { tier: `t${n}` }, n))!;
          sequences.push(change.sequence);
          // What has been acknowledged can be read, on the other node too.
          if (n % 10 === 0) expect(await node(i + 1).changes.since(change.sequence - 1, 1)).toEqual([change]);
        }
        return sequences;
      });
      writing = false;
      const all = written.flat().sort((a, b) => a - b);
      expect(new Set(all).size).toBe(24 * 40);
      for (const seen of await Promise.all(followers)) expect(seen).toEqual(all);
    });
  });
});
