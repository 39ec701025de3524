import { findPostgres } from '@countersign/testkit';
import { beforeEach, describe, expect, it } from 'vitest';
import type { Store } from '../../src/store/store.ts';
import { type Pair, pairOfStores } from './postgres-pair.ts';

const bin = findPostgres();
const DAY = 86_400_000;

describe.skipIf(bin === null)('leases of two stores on one PostgreSQL database [needs postgresql]', () => {
  const pair = pairOfStores(bin);
  let stores: Pair['stores'];
  beforeEach(async () => {
    ({ stores } = pair);
    for (const [n, { nodes }] of stores.entries()) {
      const node = { id: `n${n}`, address: '', version: '', startedAt: 0, seenAt: 0, position: 0 };
      await nodes.join({ ...node, leasePosition: 0, settledAt: 0 });
    }
  });

  const arm = async (count: number) => {
    const ids = Array.from({ length: count }, (_, i) => `l${i}`);
    const lease = { kind: 'user' as const, subject: '1', seconds: 5, data: '' };
    return Promise.all(
      ids.map(
        async (id, i) =>
          (await (stores[i % 2] as Store).leases.arm({ ...lease, id, eventId: `e-${id}` }, 1_000)).lease,
      ),
    );
  };

  it('are due, whichever of two holders that let go at the same moment is the last', async () => {
    const leases = await arm(40);
    const leasePosition = await stores[0].leases.head();
    const say = (n: 0 | 1, lease: (typeof leases)[0], holds: boolean) =>
      stores[n].leases.present({
        node: `n${n}`,
        hold: holds ? [lease] : [],
        release: holds ? [] : [{ ...lease, at: 2_000 }],
        leasePosition,
        settledAt: 90_000,
      });
    await Promise.all(leases.flatMap((lease) => [say(0, lease, true), say(1, lease, true)]));
    expect(await stores[0].leases.nextDue()).toBeNull();
    await Promise.all(leases.flatMap((lease) => [say(0, lease, false), say(1, lease, false)]));
    for (const { id } of leases) expect((await stores[1].leases.find(id))!.dueAt).toBe(7_000);
    const gone = await Promise.all(
      Array.from({ length: 8 }, (_, i) => (stores[i % 2] as Store).leases.expire(90_000, DAY, 100)),
    );
    expect(
      gone
        .flat()
        .map(({ id }) => id)
        .sort(),
    ).toEqual(leases.map(({ id }) => id).sort());
  });

  it('are claimed once, and followers on both sides see every sequence, while everything is written at once', async () => {
    const seen: [Set<number>, Set<number>] = [new Set(), new Set()];
    let writing = true;
    const follow = async (n: 0 | 1) => {
      let position = 0;
      for (let ended = false; !ended; ) {
        ended = !writing;
        for (const { sequence } of await stores[n].leases.since(position, 50)) {
          expect(sequence).toBeGreaterThan(position);
          position = sequence;
          seen[n].add(sequence);
        }
      }
      return position;
    };
    const followers = [follow(0), follow(1)];
    const settled = (n: 0 | 1) =>
      stores[n].leases.present({
        node: `n${n}`,
        hold: [],
        release: [],
        leasePosition: Number.MAX_SAFE_INTEGER,
        settledAt: 90_000,
      });
    let events = 0;
    for (let round = 0; round < 5; round += 1) {
      const claimed: string[] = [];
      await arm(30);
      await Promise.all([settled(0), settled(1)]);
      await Promise.all(
        ([0, 1, 0, 1] as const).flatMap((n) => [
          stores[n].leases.expire(90_000, DAY, 20),
          settled(n),
          stores[n].leases.claim(90_000, 200_000, 20).then((got) => claimed.push(...got.map(({ id }) => id))),
          stores[n].leases.remove(`l${round}${n}`, 90_000),
          stores[n].leases.sweep(0, 100),
          stores[n].nodes.beat(`n${n}`, 90_000, 0),
        ]),
      );
      expect(new Set(claimed).size).toBe(claimed.length);
      events += claimed.length;
    }
    writing = false;
    const [a, b] = await Promise.all(followers);
    const head = await stores[0].leases.head();
    const rows = await stores[0].leases.since(0, 1_000);
    expect(rows.at(-1)!.sequence).toBe(head);
    expect([a, b]).toEqual([head, head]);
    // Only the newest sequence of a lease can still be seen: each follower has seen all of those.
    for (const { sequence } of rows) for (const of of seen) expect(of.has(sequence)).toBe(true);
    expect(events).toBeGreaterThan(0);
    expect(pair.server.psql('postgres', 'select sum(deadlocks) from pg_stat_database')).toBe('0');
  });
});
