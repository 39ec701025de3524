import { describe, expect, it } from 'vitest';
import type { Lease, NewLease } from '../../../src/store/leases.ts';
import type { StoreUnderTest } from '../contract.ts';

const DAY = 86_400_000;

export const newLease = (id: string, over: Partial<NewLease> = {}): NewLease => ({
  id,
  kind: 'user',
  subject: '1000',
  seconds: 5,
  data: '{"book":"eth"}',
  eventId: `event-${id}`,
  ...over,
});

export function leaseContract(under: StoreUnderTest): void {
  const nodes = () => under.store.nodes;
  const leases = () => under.store.leases;
  const join = (id: string, at = 1_000) =>
    nodes().join({
      id,
      address: '127.0.0.1:4400',
      version: '1.0.0',
      startedAt: at,
      seenAt: at,
      position: 0,
      leasePosition: 0,
      settledAt: at,
    });
  /** What a node says when it has followed all leases up to now. */
  const says = async (
    node: string,
    settledAt: number,
    hold: Lease[] = [],
    release: (Lease & { at: number })[] = [],
  ) => leases().present({ node, hold, release, leasePosition: await leases().head(), settledAt });
  const arm = async (id: string, at = 1_000, over: Partial<NewLease> = {}) =>
    (await leases().arm(newLease(id, over), at)).lease;
  const ids = (list: { id: string }[]) => list.map(({ id }) => id);
  /** Nothing but time stands in the way. */
  const expire = async (now: number) => {
    for (const { id, deadAt } of await nodes().list()) if (deadAt === null) await says(id, now);
    return leases().expire(now, DAY, 100);
  };

  describe('nodes', () => {
    it('join, beat, and are gone when they leave', async () => {
      await join('a');
      await join('b', 2_000);
      expect(await nodes().beat('a', 3_000, 17)).toBe(true);
      await under.reopen();
      expect(await nodes().list()).toMatchObject([
        { id: 'a', seenAt: 3_000, position: 17, deadAt: null },
        { id: 'b', seenAt: 2_000, position: 0 },
      ]);
      await nodes().leave('a', 4_000);
      expect(ids(await nodes().list())).toEqual(['b']);
      expect(await nodes().beat('a', 5_000, 17)).toBe(false);
      await expect(join('b')).rejects.toMatchObject({ code: 'invalid' });
    });

    it('are given up only if they were not seen since, and then have to join again', async () => {
      await join('a');
      await nodes().beat('a', 2_000, 0);
      expect(await nodes().giveUp('a', 1_000, 9_000)).toBe(false);
      expect(await nodes().giveUp('a', 2_000, 9_000)).toBe(true);
      expect(await nodes().giveUp('a', 2_000, 9_000)).toBe(false);
      expect(await nodes().beat('a', 9_001, 0)).toBe(false);
      expect(await says('a', 9_001)).toBe(false);
      expect(await nodes().sweep(9_000)).toBe(0);
      expect(await nodes().sweep(9_001)).toBe(1);
    });
  });

  describe('leases', () => {
    it('come back as they were armed, and are due when nobody holds them for as long as they say', async () => {
      const lease = await arm('l', 1_000, { seconds: 30 });
      await under.reopen();
      expect(await leases().find('l')).toEqual(lease);
      expect(lease).toMatchObject({ state: 'armed', leftAt: 1_000, dueAt: 31_000, goneAt: null });
      expect(await leases().nextDue()).toBe(31_000);
      expect(await leases().find('m')).toBeNull();
    });

    it('are listed by id, of one subject, in one state, page by page', async () => {
      await arm('c');
      await arm('a', 1_000, { subject: '1001' });
      await arm('b', 1_000, { kind: 'session', subject: '1000' });
      await arm('d', 1_000, { seconds: 100 });
      await join('n');
      await expire(90_000);
      expect(ids(await leases().list({ limit: 9 }))).toEqual(['a', 'b', 'c', 'd']);
      expect(ids(await leases().list({ limit: 2, after: 'a' }))).toEqual(['b', 'c']);
      const of = { kind: 'user', subject: '1000' } as const;
      expect(ids(await leases().list({ limit: 9, of }))).toEqual(['c', 'd']);
      expect(ids(await leases().list({ limit: 9, of, state: 'gone' }))).toEqual(['c']);
      expect(ids(await leases().list({ limit: 9, state: 'armed' }))).toEqual(['d']);
    });

    it('are gone once, with the event of their arming, when nobody held them for that long', async () => {
      await join('n');
      await arm('l');
      expect(await expire(5_999)).toEqual([]);
      const [gone] = await expire(6_000);
      expect(gone).toMatchObject({
        id: 'l',
        state: 'gone',
        eventId: 'event-l',
        leftAt: 1_000,
        goneAt: 6_000,
        dueAt: null,
        nextAttemptAt: 6_000,
        giveUpAt: 6_000 + DAY,
      });
      expect(await expire(7_000)).toEqual([]);
      expect(await leases().nextDue()).toBeNull();
    });

    it('are not gone while a node holds them, and count from when the last one let go', async () => {
      await join('a');
      await join('b');
      const lease = await arm('l');
      await says('a', 2_000, [lease]);
      await says('b', 2_000, [lease]);
      expect((await leases().find('l'))!.dueAt).toBeNull();
      await says('b', 9_000, [], [{ ...lease, at: 9_000 }]);
      expect(await expire(60_000)).toEqual([]);
      // Said late: b has had the subject after that.
      await says('a', 61_000, [], [{ ...lease, at: 3_000 }]);
      expect(await leases().find('l')).toMatchObject({ leftAt: 9_000, dueAt: 14_000 });
      expect(ids(await expire(62_000))).toEqual(['l']);
    });

    it('wait for every node that is alive: to know the lease, and to have settled up to when it is due', async () => {
      await join('a');
      await join('b');
      await says('b', 4_000);
      await arm('l');
      await says('a', 9_000);
      expect(await leases().expire(9_000, DAY, 100)).toEqual([]);
      await says('b', 5_999);
      expect(await leases().expire(9_000, DAY, 100)).toEqual([]);
      await says('b', 6_000);
      expect(ids(await leases().expire(9_000, DAY, 100))).toEqual(['l']);
    });

    it('do not wait for a node that was given up, and count from when that was last seen', async () => {
      await join('a');
      await join('b');
      const lease = await arm('l');
      await says('a', 2_000, [lease]);
      await nodes().beat('a', 2_500, 0);
      await nodes().giveUp('a', 2_500, 9_000);
      expect(await expire(60_000)).toEqual([]);
      expect(await nodes().sweep(60_000)).toBe(0);
      expect(await leases().releaseDead(10)).toBe(1);
      expect(await leases().releaseDead(10)).toBe(0);
      expect(await leases().find('l')).toMatchObject({ leftAt: 2_500, dueAt: 7_500 });
      expect(ids(await expire(7_500))).toEqual(['l']);
      expect(await nodes().sweep(60_000)).toBe(1);
    });

    it('of a node that leaves are let go as of that moment', async () => {
      await join('a');
      const lease = await arm('l');
      await says('a', 2_000, [lease]);
      await nodes().leave('a', 3_000);
      expect(await leases().releaseDead(10)).toBe(1);
      expect((await leases().find('l'))!.dueAt).toBe(8_000);
    });

    it('are never gone without a node', async () => {
      await arm('l');
      expect(await leases().expire(90_000, DAY, 100)).toEqual([]);
    });

    it('armed again are other armings: holders, the event and what was said of the first do not count', async () => {
      await join('a');
      const first = await arm('l');
      await says('a', 2_000, [first]);
      const { lease: second, superseded } = await leases().arm(newLease('l', { eventId: 'e2' }), 3_000);
      expect(superseded).toBeNull();
      expect(second).toMatchObject({ leftAt: 3_000, dueAt: 8_000, eventId: 'e2' });
      expect(second.sequence).toBeGreaterThan(first.sequence);
      await says('a', 4_000, [first]);
      await says('a', 4_500, [], [{ ...first, at: 4_500 }]);
      expect(await leases().find('l')).toEqual(second);
      expect(ids(await expire(8_000))).toEqual(['l']);
      const third = await leases().arm(newLease('l', { eventId: 'e3' }), 9_000);
      expect(third.superseded).toBe('e2');
      expect(
        await leases().report({ id: 'l', eventId: 'e2', result: 'delivered', at: 9_500, outcome: '200' }),
      ).toBe(false);
    });

    it('are followed by sequence: armed, armed again, gone and removed', async () => {
      await join('n');
      await arm('a');
      await arm('b', 1_000, { seconds: 60 });
      await arm('c');
      const start = await leases().head();
      expect(await leases().since(0, 2)).toMatchObject([
        { id: 'a', armed: true },
        { id: 'b', armed: true },
      ]);
      await arm('b', 2_000, { seconds: 60 });
      await expire(6_000);
      expect(await leases().remove('b', 7_000)).toBe(true);
      expect(await leases().remove('b', 7_000)).toBe(false);
      const seen = await leases().since(start, 10);
      expect(seen.map(({ id, armed }) => [id, armed])).toEqual([
        ['a', false],
        ['c', false],
        ['b', false],
      ]);
      expect(seen.at(-1)!.sequence).toBe(await leases().head());
      expect(await leases().find('b')).toBeNull();
      expect(ids(await leases().list({ limit: 9 }))).toEqual(['a', 'c']);
    });

    it('forget what was delivered, given up or removed long ago, and no number comes again', async () => {
      await join('n');
      for (const id of ['a', 'b', 'c']) await arm(id);
      await expire(6_000);
      await leases().claim(6_000, 9_000, 10);
      await leases().report({ id: 'a', eventId: 'event-a', result: 'delivered', at: 7_000, outcome: '200' });
      await leases().report({ id: 'b', eventId: 'event-b', result: 'failed', at: 8_000, outcome: '500' });
      expect(await leases().sweep(7_001, 10)).toBe(1);
      expect(ids(await leases().list({ limit: 9 }))).toEqual(['b', 'c']);
      await leases().remove('c', 9_000);
      const head = await leases().head();
      expect(await leases().sweep(60_000, 10)).toBe(2);
      expect((await arm('d', 60_000)).sequence).toBe(head + 1);
    });
  });

  describe('events of leases', () => {
    const gone = async (id: string) => {
      await arm(id);
      await expire(6_000);
    };

    it('are given to one of many who ask, and to another when that one has not reported in time', async () => {
      await join('n');
      await gone('l');
      const asked = await Promise.all(Array.from({ length: 8 }, () => leases().claim(6_000, 16_000, 10)));
      expect(ids(asked.flat())).toEqual(['l']);
      expect(asked.flat()[0]).toMatchObject({ attempts: 1, eventId: 'event-l' });
      expect(await leases().claim(15_999, 30_000, 10)).toEqual([]);
      expect(await leases().claim(16_000, 30_000, 10)).toMatchObject([{ id: 'l', attempts: 2 }]);
    });

    it('wait as long as the report says, and are over when it says so', async () => {
      await join('n');
      await gone('l');
      await leases().claim(6_000, 16_000, 10);
      const event = { id: 'l', eventId: 'event-l' };
      await leases().report({ ...event, result: 'retry', at: 6_100, again: 8_000, outcome: '503' });
      expect(await leases().claim(7_999, 20_000, 10)).toEqual([]);
      expect(await leases().claim(8_000, 20_000, 10)).toMatchObject([{ outcome: '503', attempts: 2 }]);
      expect(await leases().report({ ...event, result: 'delivered', at: 8_100, outcome: '204' })).toBe(true);
      expect(await leases().find('l')).toMatchObject({ state: 'delivered', endedAt: 8_100, outcome: '204' });
      expect(await leases().claim(99_000, 199_000, 10)).toEqual([]);
      expect(await leases().report({ ...event, result: 'failed', at: 8_200, outcome: '500' })).toBe(false);
    });

    it('can be delivered again, under the same id', async () => {
      await join('n');
      await gone('l');
      expect(await leases().redeliver('m', 9_000, DAY)).toBeNull();
      await leases().claim(6_000, 16_000, 10);
      await leases().report({ id: 'l', eventId: 'event-l', result: 'failed', at: 8_100, outcome: '500' });
      expect(await leases().redeliver('l', 9_000, DAY)).toMatchObject({
        state: 'gone',
        eventId: 'event-l',
        attempts: 0,
        nextAttemptAt: 9_000,
        giveUpAt: 9_000 + DAY,
        endedAt: null,
      });
      await arm('armed');
      expect(await leases().redeliver('armed', 9_000, DAY)).toBeNull();
    });
  });
}
