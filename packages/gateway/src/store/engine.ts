/**
 * What the tables of the store are written against: operations as generators, which yield what they want from
 * the database and are given the answers. One database runs them without waiting, inside a turn of the event
 * loop; another waits for a server at every step. What an operation means is written once.
 */
import type { Compilable, Kysely, RawBuilder, SelectQueryBuilder } from 'kysely';
import type { Tables } from './schema.ts';
import type { Change } from './store.ts';
import { StoreError } from './store-error.ts';

export type Value = string | number | Uint8Array | null;

/** A query, compiled once. */
export interface Prepared {
  readonly sql: string;
  /** A value that is the same in every call, or the place of one that each call gives. */
  readonly parameters: readonly unknown[];
  readonly returnsRows: boolean;
}

export type Step =
  /** `first`: one row at most is wanted. */
  | { readonly statement: Prepared; readonly values: readonly Value[]; readonly first?: boolean }
  /** The answer is the change with its sequence; some databases fill that in only at the commit. */
  | { readonly append: Omit<Change, 'sequence'> }
  /** Keeps others that ask for the same name waiting until the transaction ends. */
  | { readonly lock: string };

export interface Result {
  readonly rows: readonly unknown[];
  readonly changes: number;
}

/** Yields steps that need not wait for each other's answers, though they are taken in order. May be run more than once. */
export type Op<T> = Generator<readonly Step[], T, readonly Result[]>;

export interface Statement<V, Row> {
  /** All rows. */
  all(values: V): Op<Row[]>;
  /** The first row. */
  get(values: V): Op<Row | undefined>;
  /** Runs it for its effect, and returns how many rows that changed. */
  run(values: V): Op<number>;
  /** The same as a step, for `together`. */
  with(values: V): Step;
  /** The same, of which one row at most is wanted. */
  first(values: V): Step;
}

/**
 * Writes of one lane happen in the order in which they were asked for, one at a time within this process: so
 * that many at once for one thing do not each hold a connection while they wait for each other.
 */
export interface Lane {
  name: string;
  /** Those that wait may share a transaction. Only for writes that cannot fail by their own doing. */
  shared?: boolean;
}

export interface Following {
  operation: () => Op<unknown>;
  lane: Lane;
}

export interface Engine {
  /** Builds queries; it has no connection and runs nothing. */
  readonly build: Kysely<Tables>;
  /** What gives the time of the server's clock in a query; null where there is no server. */
  readonly time: RawBuilder<number> | null;
  /** Holds the rows that a query finds until the transaction ends, where others could write at the same time. */
  locking<D, T extends keyof D, Row>(query: SelectQueryBuilder<D, T, Row>): SelectQueryBuilder<D, T, Row>;
  /** Sees all that has been acknowledged. */
  read<T>(operation: () => Op<T>): Promise<T>;
  /**
   * One transaction, durable when it resolves. If `operation` throws, nothing of it remains.
   *
   * @param following made of its result, durable too when this resolves, and never there without it. In the same
   *   transaction where writers take turns anyway; in a later one where that would make them wait for each other.
   */
  write<T>(operation: () => Op<T>, lane?: Lane, following?: (result: T) => Following | null): Promise<T>;
}

/** Appends to the change log in the transaction of whoever calls: a change and its record are one (R47). */
export function* append(change: Omit<Change, 'sequence'>): Op<Change> {
  const [result] = yield [{ append: change }];
  return result?.rows[0] as Change;
}

export const lock = (name: string): Step => ({ lock: name });

/** Runs several steps without waiting in between, and returns the result of each. */
export function* together(...steps: readonly Step[]): Op<readonly Result[]> {
  return yield steps;
}

/** What a step of `together` gave: whoever wrote the query knows the rows it has. */
export const rowsOf = <Row>(result: Result | undefined): Row[] => (result?.rows ?? []) as Row[];

/** Stands in a query for a value that each call gives. */
class Slot {
  readonly name: string;
  constructor(name: string) {
    this.name = name;
  }
}

/**
 * Compiles a query once. `query` gets an object whose members stand for the values of a call; any other value
 * in the query is bound as it is. A condition that shall match a partial index needs `sql.lit`, since planners
 * do not see bound values.
 */
export const prepare =
  <V extends object>() =>
  <Row>(query: (slots: V) => Compilable<Row>): Statement<V, Row> => {
    const slots = new Proxy({}, { get: (_, name) => new Slot(String(name)) }) as V;
    const { sql, parameters, query: node } = query(slots).compile();
    const returnsRows =
      node.kind === 'SelectQueryNode' || ('returning' in node && node.returning !== undefined);
    const statement: Prepared = { sql, parameters, returnsRows };
    const bind = (values: V, first = false): Step => ({
      statement,
      first,
      values: parameters.map((p) =>
        checked(p instanceof Slot ? (values as Record<string, unknown>)[p.name] : p),
      ),
    });
    return {
      with: (values) => bind(values),
      first: (values) => bind(values, true),
      *all(values) {
        const [result] = yield [bind(values)];
        return result?.rows as Row[];
      },
      *get(values) {
        const [result] = yield [bind(values, true)];
        return result?.rows[0] as Row | undefined;
      },
      *run(values) {
        const [result] = yield [bind(values)];
        return result?.changes as number;
      },
    };
  };

/**
 * What one database refuses, another cuts at its first NUL, stores as null or aborts the process for: none of
 * these may reach a driver.
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
