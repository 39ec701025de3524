import type Database from 'libsql';
import type { Change, ChangeLog } from '../store.ts';
import type { GroupCommit } from './group-commit.ts';
import { build, prepare } from './statement.ts';

/** Appends inside the transaction of whoever calls: a change and its record are one (R47). */
export type AppendChange = (change: Omit<Change, 'sequence'>) => Change;

export function sqliteChanges(
  db: Database.Database,
  commits: GroupCommit,
): { log: ChangeLog; append: AppendChange } {
  const insert = prepare(db)<Omit<Change, 'sequence'>>()((v) =>
    build
      .insertInto('changes')
      .values({ at: v.at, kind: v.kind, subject: v.subject, reason: v.reason })
      .returning('sequence'),
  );
  const head = prepare(db)<object>()(() =>
    build.selectFrom('changes').select('sequence').orderBy('sequence', 'desc').limit(1),
  );
  const since = prepare(db)<{ sequence: number; limit: number }>()((v) =>
    build
      .selectFrom('changes')
      .selectAll()
      .where('sequence', '>', v.sequence)
      .orderBy('sequence')
      .limit(v.limit),
  );

  const append: AppendChange = ({ at, kind, subject, reason }) => {
    const { sequence } = insert.get({ at, kind, subject, reason })!;
    return { sequence, at, kind, subject, reason };
  };
  return {
    append,
    log: {
      head: () => commits.read(() => head.get({})?.sequence ?? 0),
      since: (sequence, limit) => commits.read(() => since.all({ sequence, limit })),
      append: (change) => commits.write(() => append(change)),
    },
  };
}
