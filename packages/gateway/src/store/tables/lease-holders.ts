/** Which nodes have a subject of a lease connected, and from when on the absence counts. */
import { type Engine, type Op, prepare, type Step, together } from '../engine.ts';
import type { LeaseStore } from '../leases.ts';
import { held } from './lease-order.ts';

type Held = { id: string; sequence: number; node: string };

export interface LeaseHolders extends Pick<LeaseStore, 'present' | 'releaseDead'> {
  /** Every node lets go of the lease; says nothing about when it is due. */
  letGo(id: string): Step;
}

export function leaseHoldersOn(
  { build }: Pick<Engine, 'build'>,
  write: <T>(operation: () => Op<T>) => Promise<T>,
): LeaseHolders {
  const settle = prepare<{ node: string; leasePosition: number; settledAt: number }>()((v) =>
    build
      .updateTable('nodes')
      .set({ lease_position: v.leasePosition, settled_at: v.settledAt })
      .where('id', '=', v.node)
      .where('dead_at', 'is', null),
  );
  const letGo = prepare<{ id: string }>()((v) =>
    build.deleteFrom('lease_holders').where('lease_id', '=', v.id),
  );
  const present = (v: { id: string; sequence: number }) =>
    build
      .updateTable('leases')
      .where('id', '=', v.id)
      .where('sequence', '=', v.sequence)
      .where('state', '=', 'armed');
  const addHolder = prepare<Held>()((v) =>
    build
      .insertInto('lease_holders')
      .columns(['lease_id', 'node_id'])
      .expression((q) =>
        q
          .selectFrom(['leases', 'nodes'])
          .select(['leases.id', 'nodes.id as node_id'])
          .where('leases.id', '=', v.id)
          .where('leases.sequence', '=', v.sequence)
          .where('leases.state', '=', 'armed')
          .where('nodes.id', '=', v.node),
      )
      .onConflict((conflict) => conflict.doNothing()),
  );
  const notDue = prepare<{ id: string; sequence: number }>()((v) => present(v).set({ due_at: null }));
  const dropHolder = prepare<{ id: string; node: string }>()((v) =>
    build.deleteFrom('lease_holders').where('lease_id', '=', v.id).where('node_id', '=', v.node),
  );
  // Never backward: what one node says late does not undo what another has seen since.
  const left = prepare<{ id: string; sequence: number; at: number }>()((v) =>
    present(v).set({ left_at: v.at }).where('left_at', '<', v.at),
  );
  const due = prepare<{ id: string; sequence: number }>()((v) =>
    present(v)
      .set((eb) => ({ due_at: eb('left_at', '+', eb('seconds', '*', 1000)) }))
      .where(({ not, exists, selectFrom }) =>
        not(
          exists(
            selectFrom('lease_holders')
              .select('lease_holders.node_id')
              .whereRef('lease_holders.lease_id', '=', 'leases.id'),
          ),
        ),
      ),
  );
  const ofDead = prepare<{ limit: number }>()((v) =>
    build
      .selectFrom('lease_holders')
      .innerJoin('nodes', 'nodes.id', 'lease_holders.node_id')
      .innerJoin('leases', 'leases.id', 'lease_holders.lease_id')
      .select(['leases.id', 'leases.sequence', 'nodes.id as node', 'nodes.seen_at as at'])
      .where('nodes.dead_at', 'is not', null)
      .limit(v.limit),
  );

  const hold = (one: Held): Step[] => [addHolder.with(one), notDue.with(one)];
  const release = (one: Held & { at: number }): Step[] => [
    dropHolder.with(one),
    left.with(one),
    due.with(one),
  ];

  return {
    letGo: (id) => letGo.with({ id }),
    present: ({ node, leasePosition, settledAt, hold: came, release: went }) =>
      write(function* (): Op<boolean> {
        const [, alive] = yield* together(held, settle.with({ node, leasePosition, settledAt }));
        if (alive?.changes !== 1) return false;
        const steps = [
          ...came.flatMap((one) => hold({ ...one, node })),
          ...went.flatMap((one) => release({ ...one, node })),
        ];
        if (steps.length > 0) yield* together(...steps);
        return true;
      }),
    releaseDead: (limit) =>
      write(function* (): Op<number> {
        yield* together(held);
        const orphans = yield* ofDead.all({ limit });
        if (orphans.length > 0) yield* together(...orphans.flatMap(release));
        return orphans.length;
      }),
  };
}
