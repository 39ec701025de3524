/** Runs operations in one transaction of a connection. */
import type { Op, Result, Step } from '../engine.ts';
import type { Change } from '../store.ts';
import { StoreError } from '../store-error.ts';
import type { InsertChange } from '../tables/changes.ts';
import type { Connection } from './connection.ts';
import { meaningOf } from './failure.ts';

/** Names that are locked share the server's space of 64-bit advisory locks: two of them may meet, and wait. */
const LOCK = 'select pg_advisory_xact_lock(hashtextextended($1, 0))';
const CHANGES = 'countersign changes';

/**
 * Runs `operations` one after the other and commits them together.
 *
 * Appended changes are written last, and all at once with the commit: whoever writes to the change log holds a
 * lock from before its sequence numbers are taken until they can be seen, so that no reader ever finds a number
 * below one that it has read already. The lock, the rows and the commit are sent without waiting in between:
 * a node that stalls does not hold up the log, and no transaction waits for a row while it holds the lock.
 *
 * @throws StoreError `uncertain` if the connection went after the commit had been sent; what else is thrown
 *   leaves nothing behind
 */
export async function transact(
  connection: Connection,
  operations: readonly (() => Op<unknown>)[],
  insertChange: InsertChange,
): Promise<unknown[]> {
  let begun = false;
  const changes: Change[] = [];
  const send = (
    text: string,
    values: readonly (string | number | Uint8Array | null)[],
  ): Promise<Result>[] => {
    const first = begun ? [] : [connection.run('begin', [])];
    begun = true;
    return [...first, connection.run(text, values)];
  };
  const perform = (step: Step): Promise<Result>[] => {
    if ('statement' in step) return send(step.statement.sql, step.values);
    if ('lock' in step) return send(LOCK, [`countersign ${step.lock}`]);
    const change = { sequence: 0, ...step.append };
    changes.push(change);
    return [Promise.resolve({ rows: [change], changes: 1 })];
  };

  try {
    const values: unknown[] = [];
    for (const operation of operations) values.push(await drive(operation(), perform));
    if (begun || changes.length > 0) await commit(connection, changes, insertChange, send);
    return values;
  } catch (error) {
    if (begun && connection.alive) await connection.run('rollback', []).catch(() => connection.destroy());
    if (meaningOf(error)?.lost) connection.destroy();
    throw error;
  }
}

/** Runs an operation that only reads, each statement by itself. */
export function query<T>(connection: Connection, operation: Op<T>): Promise<T> {
  return drive(operation, (step) => {
    if (!('statement' in step)) throw new Error('only a write locks and appends');
    return [connection.run(step.statement.sql, step.values)];
  });
}

async function drive<T>(operation: Op<T>, perform: (step: Step) => Promise<Result>[]): Promise<T> {
  let state = operation.next();
  while (!state.done) {
    // Of what a step sends only the last answers it. All are waited for at once, so that none fails unheard.
    const sent = state.value.map(perform);
    await Promise.all(sent.flat());
    state = operation.next(await Promise.all(sent.map((each) => each.at(-1) as Promise<Result>)));
  }
  return state.value;
}

async function commit(
  connection: Connection,
  changes: readonly Change[],
  insertChange: InsertChange,
  send: (text: string, values: readonly (string | number | Uint8Array | null)[]) => Promise<Result>[],
): Promise<void> {
  connection.takeWarning();
  const inserts = changes.map(({ at, kind, subject, reason }) => {
    const step = insertChange.with({ at, kind, subject, reason });
    return 'statement' in step ? step : undefined;
  });
  const sent: Promise<Result>[] = [];
  if (inserts.length > 0) sent.push(...send(LOCK, [CHANGES]));
  const rows = inserts.map(
    (step) => send(step?.statement.sql ?? '', step?.values ?? []).at(-1) as Promise<Result>,
  );
  sent.push(...rows, ...send('commit', []));
  try {
    await Promise.all(sent);
  } catch (error) {
    if (meaningOf(error)?.lost || !connection.alive)
      throw uncertain('the connection was lost during a commit');
    throw error;
  }
  // A commit that was made here but not where it should be copied to is acknowledged with a mere warning.
  if (connection.takeWarning()) throw uncertain('the database warned of a commit');
  for (const [i, row] of rows.entries()) {
    const [inserted] = (await row).rows as { sequence: number }[];
    Object.assign(changes[i] as Change, { sequence: inserted?.sequence });
  }
}

const uncertain = (message: string) => new StoreError('uncertain', message);
