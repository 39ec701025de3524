/**
 * Statements that are built with kysely once, for their types, and prepared once, for their speed: a call
 * only binds values.
 */

import {
  type Compilable,
  DummyDriver,
  Kysely,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from 'kysely';
import type Database from 'libsql';
import type { Tables } from '../schema.ts';
import { StoreError } from '../store-error.ts';

/** Builds queries; it has no connection and runs nothing. */
export const build = new Kysely<Tables>({
  dialect: {
    createAdapter: () => new SqliteAdapter(),
    createDriver: () => new DummyDriver(),
    createIntrospector: (db) => new SqliteIntrospector(db),
    createQueryCompiler: () => new SqliteQueryCompiler(),
  },
});

type Value = string | number | Uint8Array | null;
type Values = Record<string, Value>;

export interface Statement<V, Row> {
  /** All rows. */
  all(values: V): Row[];
  /** The first row. */
  get(values: V): Row | undefined;
  /** Runs it for its effect, and returns how many rows that changed. */
  run(values: V): number;
}

/** Stands in a query for a value that each call gives. */
class Slot {
  readonly name: string;
  constructor(name: string) {
    this.name = name;
  }
}

/**
 * Prepares a query. `query` gets an object whose members stand for the values of a call; any other value in
 * the query is bound as it is. A condition that shall match a partial index needs `sql.lit`, since the
 * planner does not see bound values.
 */
export const prepare =
  (db: Database.Database) =>
  <V extends object>() =>
  <Row>(query: (slots: V) => Compilable<Row>): Statement<V, Row> => {
    const slots = new Proxy({}, { get: (_, name) => new Slot(String(name)) }) as V;
    const { sql, parameters } = query(slots).compile();
    const statement = db.prepare(sql);
    const bind = (values: V): Value[] =>
      parameters.map((p) => checked(p instanceof Slot ? (values as Values)[p.name] : p));
    const all = (values: V) => statement.all(bind(values)) as Row[];
    return {
      all,
      // Not the driver's `get`, which adds a member of its own to the row.
      get: (values) => all(values)[0],
      run: (values) => statement.run(bind(values)).changes,
    };
  };

/**
 * The driver aborts the process when it is given a boolean, stores NaN as null and cuts a text at its first
 * NUL when reading: none of these may reach it.
 */
function checked(value: unknown): Value {
  if (typeof value === 'string') {
    if (value.includes('\0')) throw new StoreError('invalid', 'a text with a NUL character cannot be stored');
    return value;
  }
  if (value === null || value instanceof Uint8Array || Number.isSafeInteger(value)) return value as Value;
  const what = typeof value === 'number' ? 'a number that is not whole' : `a value of type ${typeof value}`;
  throw new StoreError('invalid', `${what} cannot be stored`);
}
