/** The store in one SQLite file: the truth of a gateway that runs as a single process. */
import type Database from 'libsql';

import { closeDatabase, openDatabase } from './sqlite/database.ts';
import { sqliteEngine } from './sqlite/engine.ts';
import { GroupCommit } from './sqlite/group-commit.ts';
import type { Store } from './store.ts';
import { storeOn } from './store-on.ts';

export interface SqliteStoreOptions {
  /** File to open or make. A missing folder is made with mode 0700, the file has mode 0600. */
  path: string;
  /** Only measures how long `probe` takes. Default: the machine's. */
  clock?: { monotonic(): number };
}

/**
 * Opens the store and brings its schema up to date.
 *
 * Writes are durable (fsync) when they resolve and hold up the event loop while they are made so. Any call may
 * reject with a `StoreError`.
 *
 * @throws StoreError `cannot-open`, `not-a-database`, `newer-schema`, `busy`, `full` or `failed`
 */
export async function openSqliteStore(options: SqliteStoreOptions): Promise<Store> {
  const db = await openDatabase(options.path);
  return sqliteStoreOn(db, options.clock ?? { monotonic: () => performance.now() });
}

/** The store on a database that `openDatabase` has opened; closing the one closes the other. */
export function sqliteStoreOn(db: Database.Database, clock: { monotonic(): number }): Store {
  const commits = new GroupCommit(db);
  let open = true;
  return storeOn(sqliteEngine(db, commits), {
    clock,
    async close() {
      if (!open) return;
      open = false;
      commits.close();
      closeDatabase(db);
    },
  });
}
