import { type Engine, type Op, prepare, together } from '../engine.ts';
import { type LeaseRow, toLease, toStanding } from '../lease-rows.ts';
import type { Lease, LeaseKind, LeaseStanding, LeaseState, LeaseStore } from '../leases.ts';
import { leaseEventsOn } from './lease-events.ts';
import { leaseHoldersOn } from './lease-holders.ts';
import { held, type NextSequence } from './lease-order.ts';

/** So that those of this process do not each hold a connection while they wait for the lock. */
const LANE = { name: 'leases' };

export function leasesOn(engine: Engine): LeaseStore {
  const { build, read, write: writeAny } = engine;
  const write = <T>(operation: () => Op<T>): Promise<T> => writeAny(operation, LANE);

  const leases = () => build.selectFrom('leases').selectAll();
  const byId = prepare<{ id: string }>()((v) => leases().where('id', '=', v.id));
  const pages = pagesOn(engine);
  const bump = prepare<object>()(() =>
    build
      .updateTable('lease_sequence')
      .set((eb) => ({ value: eb('value', '+', 1) }))
      .returning('value'),
  );
  const head = prepare<object>()(() => build.selectFrom('lease_sequence').select('value'));
  const since = prepare<{ sequence: number; limit: number }>()((v) =>
    build
      .selectFrom('leases')
      .select(['id', 'kind', 'subject', 'sequence', 'state'])
      .where('sequence', '>', v.sequence)
      .orderBy('sequence')
      .limit(v.limit),
  );
  const put = prepare<
    Pick<LeaseRow, 'id' | 'kind' | 'subject' | 'seconds' | 'data' | 'sequence' | 'event_id'> & {
      at: number;
      due_at: number;
    }
  >()((v) => {
    const row = {
      kind: v.kind,
      subject: v.subject,
      seconds: v.seconds,
      data: v.data,
      state: 'armed' as const,
      sequence: v.sequence,
      event_id: v.event_id,
      armed_at: v.at,
      left_at: v.at,
      due_at: v.due_at,
      gone_at: null,
      attempts: 0,
      next_attempt_at: null,
      give_up_at: null,
      outcome: null,
      ended_at: null,
    };
    return build
      .insertInto('leases')
      .values({ id: v.id, ...row })
      .onConflict((conflict) => conflict.column('id').doUpdateSet(row))
      .returningAll();
  });
  const remove = prepare<{ id: string; sequence: number; at: number }>()((v) =>
    build
      .updateTable('leases')
      .set({
        state: 'removed',
        sequence: v.sequence,
        due_at: null,
        next_attempt_at: null,
        ended_at: v.at,
      })
      .where('id', '=', v.id),
  );
  const sweep = prepare<{ before: number; limit: number }>()((v) =>
    build
      .deleteFrom('leases')
      .where('id', 'in', (q) =>
        q
          .selectFrom('leases as ended')
          .select('ended.id')
          .where('ended.ended_at', '<', v.before)
          .limit(v.limit),
      ),
  );

  const nextSequence: NextSequence = function* () {
    return (yield* bump.get({}))?.value as number;
  };
  const holders = leaseHoldersOn(engine, write);
  const events = leaseEventsOn(engine, write, nextSequence);

  return {
    arm: (lease, at) =>
      write(function* (): Op<{ lease: Lease; superseded: string | null }> {
        yield* together(held, holders.letGo(lease.id));
        const before = toLease(yield* byId.get({ id: lease.id }));
        const row = yield* put.get({
          id: lease.id,
          kind: lease.kind,
          subject: lease.subject,
          seconds: lease.seconds,
          data: lease.data,
          sequence: yield* nextSequence(),
          event_id: lease.eventId,
          at,
          due_at: at + lease.seconds * 1000,
        });
        return {
          lease: toLease(row) as Lease,
          superseded: before?.state === 'gone' ? before.eventId : null,
        };
      }),
    find: (id) =>
      read(function* () {
        return toLease(yield* byId.get({ id }));
      }),
    list: (page) =>
      read(function* (): Op<Lease[]> {
        return (yield* pages(page)).flatMap((row) => toLease(row) ?? []);
      }),
    remove: (id, at) =>
      write(function* (): Op<boolean> {
        yield* together(held, holders.letGo(id));
        if (toLease(yield* byId.get({ id })) === null) return false;
        return (yield* remove.run({ id, sequence: yield* nextSequence(), at })) === 1;
      }),
    head: () =>
      read(function* (): Op<number> {
        return (yield* head.get({}))?.value ?? 0;
      }),
    since: (sequence, limit) =>
      read(function* (): Op<LeaseStanding[]> {
        return (yield* since.all({ sequence, limit })).map(toStanding);
      }),
    present: holders.present,
    releaseDead: holders.releaseDead,
    ...events,
    sweep: (before, limit) =>
      write(function* (): Op<number> {
        const [, swept] = yield* together(held, sweep.with({ before, limit }));
        return swept?.changes ?? 0;
      }),
  };
}

/** One statement for each way to ask for a page. */
function pagesOn({ build }: Engine): (page: Parameters<LeaseStore['list']>[0]) => Op<LeaseRow[]> {
  const statement = (ofSubject: boolean, inState: boolean) =>
    prepare<{ after: string; limit: number; kind: LeaseKind; subject: string; state: LeaseState }>()((v) => {
      let query = build
        .selectFrom('leases')
        .selectAll()
        .where('state', '!=', 'removed')
        .where('id', '>', v.after);
      if (ofSubject) query = query.where('kind', '=', v.kind).where('subject', '=', v.subject);
      if (inState) query = query.where('state', '=', v.state);
      return query.orderBy('id').limit(v.limit);
    });
  const statements = [
    statement(false, false),
    statement(false, true),
    statement(true, false),
    statement(true, true),
  ];
  return ({ limit, after = '', of, state }) => {
    const chosen = statements[(of === undefined ? 0 : 2) + (state === undefined ? 0 : 1)];
    const { kind, subject } = of ?? { kind: 'user', subject: '' };
    return (chosen as (typeof statements)[0]).all({ after, limit, kind, subject, state: state ?? 'armed' });
  };
}
