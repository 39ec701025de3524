import { type Engine, type Op, prepare } from '../engine.ts';
import { type NodeRow, toNode } from '../lease-rows.ts';
import type { Node, NodeStore } from '../nodes.ts';

const MOST_LISTED = 1000;

export function nodesOn({ build, read, write, time }: Engine): NodeStore {
  const insert = prepare<Omit<NodeRow, 'dead_at'>>()((v) =>
    build.insertInto('nodes').values({
      id: v.id,
      address: v.address,
      version: v.version,
      started_at: v.started_at,
      seen_at: v.seen_at,
      dead_at: null,
      position: v.position,
      lease_position: v.lease_position,
      settled_at: v.settled_at,
    }),
  );
  const beat = prepare<{ id: string; at: number; position: number }>()((v) =>
    build
      .updateTable('nodes')
      .set({ seen_at: v.at, position: v.position })
      .where('id', '=', v.id)
      .where('dead_at', 'is', null),
  );
  const giveUp = prepare<{ id: string; seenAt: number; at: number }>()((v) =>
    build
      .updateTable('nodes')
      .set({ dead_at: v.at })
      .where('id', '=', v.id)
      .where('seen_at', '=', v.seenAt)
      .where('dead_at', 'is', null),
  );
  const end = prepare<{ id: string; at: number }>()((v) =>
    build
      .updateTable('nodes')
      .set({ dead_at: v.at, seen_at: v.at })
      .where('id', '=', v.id)
      .where('dead_at', 'is', null),
  );
  const idle = () =>
    build
      .deleteFrom('nodes')
      .where(({ not, exists, selectFrom }) =>
        not(
          exists(
            selectFrom('lease_holders')
              .select('lease_holders.lease_id')
              .whereRef('lease_holders.node_id', '=', 'nodes.id'),
          ),
        ),
      );
  const removeIdle = prepare<{ id: string }>()((v) => idle().where('id', '=', v.id));
  const sweep = prepare<{ before: number }>()((v) => idle().where('dead_at', '<', v.before));
  const all = prepare<object>()(() =>
    build.selectFrom('nodes').selectAll().orderBy('started_at').orderBy('id').limit(MOST_LISTED),
  );
  const serverTime = time === null ? null : prepare<object>()(() => build.selectNoFrom(time.as('now')));

  return {
    time: async () =>
      serverTime === null
        ? null
        : read(function* (): Op<number | null> {
            return (yield* serverTime.get({}))?.now ?? null;
          }),
    join: (node) =>
      write(function* (): Op<void> {
        yield* insert.run({
          id: node.id,
          address: node.address,
          version: node.version,
          started_at: node.startedAt,
          seen_at: node.seenAt,
          position: node.position,
          lease_position: node.leasePosition,
          settled_at: node.settledAt,
        });
      }),
    beat: (id, at, position) =>
      write(function* (): Op<boolean> {
        return (yield* beat.run({ id, at, position })) === 1;
      }),
    leave: (id, at) =>
      write(function* (): Op<void> {
        yield* end.run({ id, at });
        yield* removeIdle.run({ id });
      }),
    giveUp: (id, seenAt, at) =>
      write(function* (): Op<boolean> {
        return (yield* giveUp.run({ id, seenAt, at })) === 1;
      }),
    list: () =>
      read(function* (): Op<Node[]> {
        return (yield* all.all({})).map(toNode);
      }),
    sweep: (before) => write(() => sweep.run({ before })),
  };
}
