/** The audit log alone, for whoever checks or copies it: nothing is written and no schema is changed. */
import { existsSync } from 'node:fs';
import Database from 'libsql';
import { parseAddress } from './postgres/address.ts';
import { Connection } from './postgres/connection.ts';
import { PostgresEngine } from './postgres/engine.ts';
import { sqliteEngine } from './sqlite/engine.ts';
import { storeFailure } from './sqlite/failure.ts';
import { GroupCommit } from './sqlite/group-commit.ts';
import type { AuditLog } from './store.ts';
import { StoreError } from './store-error.ts';
import { auditOn } from './tables/audit.ts';

export interface AuditReader extends Pick<AuditLog, 'since' | 'verify'> {
  /** Idempotent. */
  close(): Promise<void>;
}

/** A page of the log may be read behind much else. */
const PATIENCE_MS = 30_000;

/**
 * @param place a `postgres://` URL, whose user needs to read the table `audit` and nothing else, or the path of a
 *   SQLite file, also while a gateway has it open
 * @throws StoreError `cannot-open`, `not-a-database`; later calls as those of the store
 */
export async function openAuditLog(place: string): Promise<AuditReader> {
  return /^postgres(?:ql)?:\/\//.test(place) ? onPostgres(place) : onSqlite(place);
}

function onPostgres(url: string): AuditReader {
  const address = parseAddress(url);
  const engine = new PostgresEngine({
    connect: (deadline) =>
      Connection.open({ address, connectMs: deadline - performance.now(), settings: {} }),
    poolSize: 1,
    patienceMs: PATIENCE_MS,
    most: 10,
  });
  return { ...readOf(auditOn(engine).store), close: () => engine.close() };
}

function onSqlite(path: string): AuditReader {
  // Opening would make one.
  if (!existsSync(path)) throw new StoreError('cannot-open', `${path}: there is no such file`);
  const db = new Database(path);
  try {
    db.exec('PRAGMA busy_timeout = 5000');
    db.exec('PRAGMA query_only = 1');
    db.prepare('select n from audit limit 1').all();
  } catch (error) {
    db.close();
    const failure = storeFailure(error);
    throw failure instanceof StoreError
      ? failure
      : new StoreError('cannot-open', `${path}: ${String(failure)}`);
  }
  const commits = new GroupCommit(db);
  let open = true;
  return {
    ...readOf(auditOn(sqliteEngine(db, commits)).store),
    async close() {
      if (!open) return;
      open = false;
      commits.close();
      db.close();
    },
  };
}

const readOf = ({ since, verify }: AuditLog): Pick<AuditLog, 'since' | 'verify'> => ({ since, verify });
