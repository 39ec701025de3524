/** The store in one SQLite file: the truth of a gateway that runs as a single process. */
import type Database from 'libsql';

import { sqliteApiKeys } from './sqlite/api-keys.ts';
import { sqliteAudit } from './sqlite/audit.ts';
import { sqliteChallenges } from './sqlite/challenges.ts';
import { sqliteChanges } from './sqlite/changes.ts';
import { closeDatabase, openDatabase } from './sqlite/database.ts';
import { GroupCommit } from './sqlite/group-commit.ts';
import { sqliteHandshakeTokens } from './sqlite/handshake-tokens.ts';
import { sqliteProbe } from './sqlite/probe.ts';
import { sqliteSessions } from './sqlite/sessions.ts';
import { sqliteSigningKeys } from './sqlite/signing-keys.ts';
import { sqliteSweep } from './sqlite/sweep.ts';
import { sqliteUsers } from './sqlite/users.ts';
import type { Store } from './store.ts';

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
  const changes = sqliteChanges(db, commits);
  const users = sqliteUsers(db, commits, changes.append);
  let open = true;
  return {
    challenges: sqliteChallenges(db, commits),
    users: users.store,
    sessions: sqliteSessions(db, commits, changes.append, users),
    changes: changes.log,
    signingKeys: sqliteSigningKeys(db, commits, changes.append),
    apiKeys: sqliteApiKeys(db, commits, changes.append),
    handshakeTokens: sqliteHandshakeTokens(db, commits, changes.append),
    audit: sqliteAudit(db, commits),
    sweep: sqliteSweep(db, commits),
    probe: sqliteProbe(db, commits, clock),
    async close() {
      if (!open) return;
      open = false;
      commits.close();
      closeDatabase(db);
    },
  };
}
