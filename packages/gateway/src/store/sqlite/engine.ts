/** Runs the operations of the store on SQLite: each step at once, in the transaction of a group commit. */
import { DummyDriver, Kysely, SqliteAdapter, SqliteIntrospector, SqliteQueryCompiler } from 'kysely';
import type Database from 'libsql';
import type { Engine, Op, Prepared, Result, Step, Value } from '../engine.ts';
import type { Tables } from '../schema.ts';
import { insertChange } from '../tables/changes.ts';
import type { GroupCommit } from './group-commit.ts';

const build = new Kysely<Tables>({
  dialect: {
    createAdapter: () => new SqliteAdapter(),
    createDriver: () => new DummyDriver(),
    createIntrospector: (db) => new SqliteIntrospector(db),
    createQueryCompiler: () => new SqliteQueryCompiler(),
  },
});
const insertIntoChanges = insertChange(build);
const NOTHING: Result = { rows: [], changes: 0 };

export function sqliteEngine(db: Database.Database, commits: GroupCommit): Engine {
  const statements = new Map<Prepared, Database.Statement>();

  function run({ statement, values, first }: Extract<Step, { statement: Prepared }>): Result {
    let native = statements.get(statement);
    if (native === undefined) {
      native = db.prepare(statement.sql);
      statements.set(statement, native);
    }
    // Reading one row costs this driver a third of what setting up an iteration does.
    if (statement.returnsRows && first === true) {
      const row = native.get(values as Value[]);
      return { rows: row === undefined ? [] : [row], changes: 0 };
    }
    if (statement.returnsRows) return { rows: native.all(values as Value[]) as unknown[], changes: 0 };
    return { rows: [], changes: native.run(values as Value[]).changes };
  }

  function perform(step: Step): Result {
    if ('statement' in step) return run(step);
    // The one writer there is holds everything.
    if ('lock' in step) return NOTHING;
    const { at, kind, subject, reason } = step.append;
    const [row] = drive(insertIntoChanges.all({ at, kind, subject, reason }));
    return { rows: [{ sequence: row?.sequence, at, kind, subject, reason }], changes: 1 };
  }

  function drive<T>(operation: Op<T>): T {
    let state = operation.next();
    while (!state.done) state = operation.next(state.value.map(perform));
    return state.value;
  }

  return {
    build,
    time: null,
    locking: (query) => query,
    read: (operation) => commits.read(() => drive(operation())),
    write: (operation, _lane, following) =>
      commits.write(() => {
        const result = drive(operation());
        const next = following?.(result) ?? null;
        if (next !== null) drive(next.operation());
        return result;
      }),
  };
}
