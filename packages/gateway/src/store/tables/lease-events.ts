/** From a lease whose time is up to an event that was delivered, or given up. */
import { type Engine, type Op, prepare, together } from '../engine.ts';
import { type LeaseRow, toLease } from '../lease-rows.ts';
import type { Lease, LeaseStore } from '../leases.ts';
import { held, type NextSequence } from './lease-order.ts';

export type LeaseEvents = Pick<LeaseStore, 'nextDue' | 'expire' | 'claim' | 'report' | 'redeliver'>;

export function leaseEventsOn(
  { build, read }: Engine,
  write: <T>(operation: () => Op<T>) => Promise<T>,
  nextSequence: NextSequence,
): LeaseEvents {
  const nextDue = prepare<object>()(() =>
    build.selectFrom('leases').select('due_at').where('due_at', 'is not', null).orderBy('due_at').limit(1),
  );
  const confirmed = prepare<object>()(() =>
    build
      .selectFrom('nodes')
      .select(({ fn }) => [
        fn.min<number | null>('lease_position').as('lease_position'),
        fn.min<number | null>('settled_at').as('settled_at'),
      ])
      .where('dead_at', 'is', null),
  );
  const due = prepare<{ until: number; sequence: number; limit: number }>()((v) =>
    build
      .selectFrom('leases')
      .select('id')
      .where('due_at', '<=', v.until)
      .where('sequence', '<=', v.sequence)
      .orderBy('due_at')
      .limit(v.limit),
  );
  const makeGone = prepare<{ id: string; sequence: number; at: number; giveUpAt: number }>()((v) =>
    build
      .updateTable('leases')
      .set({
        state: 'gone',
        sequence: v.sequence,
        due_at: null,
        gone_at: v.at,
        next_attempt_at: v.at,
        give_up_at: v.giveUpAt,
      })
      .where('id', '=', v.id)
      .returningAll(),
  );
  const deliverable = prepare<{ now: number; limit: number }>()((v) =>
    build
      .selectFrom('leases')
      .select('id')
      .where('next_attempt_at', '<=', v.now)
      .orderBy('next_attempt_at')
      .limit(v.limit),
  );
  const claim = prepare<{ id: string; until: number }>()((v) =>
    build
      .updateTable('leases')
      .set((eb) => ({ next_attempt_at: v.until, attempts: eb('attempts', '+', 1) }))
      .where('id', '=', v.id)
      .returningAll(),
  );
  const ofEvent = (v: { id: string; eventId: string }) =>
    build
      .updateTable('leases')
      .where('id', '=', v.id)
      .where('event_id', '=', v.eventId)
      .where('state', '=', 'gone');
  const again = prepare<{ id: string; eventId: string; again: number; outcome: string }>()((v) =>
    ofEvent(v).set({ next_attempt_at: v.again, outcome: v.outcome }),
  );
  const over = prepare<{
    id: string;
    eventId: string;
    result: 'delivered' | 'failed';
    at: number;
    outcome: string;
  }>()((v) => ofEvent(v).set({ state: v.result, next_attempt_at: null, ended_at: v.at, outcome: v.outcome }));
  const redeliver = prepare<{ id: string; at: number; giveUpAt: number }>()((v) =>
    build
      .updateTable('leases')
      .set({ state: 'gone', attempts: 0, next_attempt_at: v.at, give_up_at: v.giveUpAt, ended_at: null })
      .where('id', '=', v.id)
      .where('state', 'in', ['gone', 'delivered', 'failed'])
      .returningAll(),
  );

  return {
    nextDue: () =>
      read(function* (): Op<number | null> {
        return (yield* nextDue.get({}))?.due_at ?? null;
      }),
    expire: (now, giveUpAfter, limit) =>
      write(function* (): Op<Lease[]> {
        yield* together(held);
        const { lease_position: sequence = null, settled_at: settled = null } =
          (yield* confirmed.get({})) ?? {};
        if (sequence === null || settled === null) return [];
        const ids = yield* due.all({ until: Math.min(now, settled), sequence, limit });
        const gone: Lease[] = [];
        for (const { id } of ids) {
          const next = { id, sequence: yield* nextSequence(), at: now, giveUpAt: now + giveUpAfter };
          gone.push(toLease(yield* makeGone.get(next)) as Lease);
        }
        return gone;
      }),
    claim: (now, until, limit) =>
      write(function* (): Op<Lease[]> {
        yield* together(held);
        const ids = yield* deliverable.all({ now, limit });
        if (ids.length === 0) return [];
        const claimed = yield* together(...ids.map(({ id }) => claim.with({ id, until })));
        return claimed.flatMap(({ rows }) => toLease(rows[0] as LeaseRow | undefined) ?? []);
      }),
    report: (report) =>
      write(function* (): Op<boolean> {
        yield* together(held);
        const { id, eventId, at, outcome } = report;
        const changed =
          report.result === 'retry'
            ? yield* again.run({ id, eventId, again: report.again, outcome })
            : yield* over.run({ id, eventId, result: report.result, at, outcome });
        return changed === 1;
      }),
    redeliver: (id, at, giveUpAfter) =>
      write(function* (): Op<Lease | null> {
        yield* together(held);
        return toLease(yield* redeliver.get({ id, at, giveUpAt: at + giveUpAfter }));
      }),
  };
}
