import { append, type Engine, type Op, prepare, type Statement } from '../engine.ts';
import type { Change, ChangeLog } from '../store.ts';

export type InsertChange = Statement<Omit<Change, 'sequence'>, { sequence: number }>;

/** For the engine, which decides when an appended change is given its sequence. */
export const insertChange = (build: Engine['build']): InsertChange =>
  prepare<Omit<Change, 'sequence'>>()((v) =>
    build
      .insertInto('changes')
      .values({ at: v.at, kind: v.kind, subject: v.subject, reason: v.reason })
      .returning('sequence'),
  );

export function changesOn({ build, read, write }: Engine): ChangeLog {
  const head = prepare<object>()(() =>
    build.selectFrom('changes').select('sequence').orderBy('sequence', 'desc').limit(1),
  );
  const since = prepare<{ sequence: number; limit: number }>()((v) =>
    build
      .selectFrom('changes')
      .selectAll()
      .where('sequence', '>', v.sequence)
      .orderBy('sequence')
      .limit(v.limit),
  );
  return {
    head: () =>
      read(function* (): Op<number> {
        return (yield* head.get({}))?.sequence ?? 0;
      }),
    since: (sequence, limit) => read(() => since.all({ sequence, limit })),
    append: ({ at, kind, subject, reason }) =>
      write(() => append({ at, kind, subject, reason }), { name: 'changes', shared: true }),
  };
}
