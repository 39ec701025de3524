/** Opens the file: rights, durability settings, schema. */
import { chmodSync, closeSync, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { Kysely, Migrator, NO_MIGRATIONS, SqliteDialect, sql } from 'kysely';
import Database from 'libsql';
import type { ColumnTypes } from '../migrations/column-types.ts';
import { migrations } from '../migrations/migrations.ts';
import { StoreError } from '../store-error.ts';
import { storeFailure } from './failure.ts';

/** How long a write waits, and with it the whole process, for another process such as the CLI to finish its own. */
const BUSY_MS = 250;
/** The same while opening, when nobody is being served yet. */
const BUSY_MS_OPENING = 5_000;

const columnTypes: ColumnTypes = {
  whole: 'integer',
  bytes: 'blob',
  // AUTOINCREMENT: a number that was used is never used again, even if its row goes.
  counter: sql`integer primary key autoincrement`,
  // STRICT: SQLite would otherwise take any type in any column.
  tableEnd: sql`strict`,
  async beginAt(db, table, _column, first) {
    await sql`insert into sqlite_sequence (name, seq) values (${sql.lit(table)}, ${sql.lit(first - 1)})`.execute(
      db,
    );
  },
};

/**
 * Opens or makes the database with the newest schema, readable by its owner only.
 *
 * @throws StoreError `cannot-open`, `not-a-database`, `newer-schema`, `busy`, `full` or `failed`, naming the path
 */
export async function openDatabase(path: string): Promise<Database.Database> {
  claimFile(path);
  let db: Database.Database | null = null;
  try {
    db = new Database(path);
    configure(db);
    await migrate(db);
    db.exec(`PRAGMA busy_timeout = ${BUSY_MS}`);
    return db;
  } catch (error) {
    db?.close();
    const failure = storeFailure(error);
    if (failure instanceof StoreError)
      throw new StoreError(failure.code, `${path}: ${failure.message}`, { cause: error });
    throw new StoreError('cannot-open', `${path}: ${(error as Error).message}`, { cause: error });
  }
}

/** Closes it and leaves one file behind, with everything in it. */
export function closeDatabase(db: Database.Database): void {
  // The driver lets go of the file only when its statements are collected, so SQLite's own tidying on the
  // last close may come too late for whoever copies or moves the file next. Failing changes nothing: what is
  // in the log is as durable there.
  try {
    db.exec('PRAGMA wal_checkpoint(TRUNCATE)');
  } finally {
    db.close();
  }
}

/** SQLite gives its side files (-wal, -shm) the rights of the main one, so those are set before it looks. */
function claimFile(path: string): void {
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    closeSync(openSync(path, 'a', 0o600));
    chmodSync(path, 0o600);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new StoreError('cannot-open', `${path}: cannot be made or written (${code})`, { cause: error });
  }
}

function configure(db: Database.Database): void {
  db.exec(`PRAGMA busy_timeout = ${BUSY_MS_OPENING}`);
  db.exec('PRAGMA journal_mode = WAL');
  // With NORMAL, a power cut may take the last commits of a WAL with it: acknowledged means on the disk (R42).
  db.exec('PRAGMA synchronous = FULL');
  // Logins touch pages all over the file. The longer the log, the more often a page is in it before it is copied
  // back once; 4,000 pages are 16 MiB, which opening after a crash reads in a moment.
  db.exec('PRAGMA wal_autocheckpoint = 4000');
  db.exec('PRAGMA foreign_keys = ON');
  // Outside clients choose some of what is stored; a schema must not be able to run things because of it.
  db.exec('PRAGMA trusted_schema = OFF');
}

/** @throws StoreError `newer-schema` */
async function migrate(db: Database.Database): Promise<void> {
  const migrator = sqliteMigrator(db);
  // kysely does not wrap migrations in a transaction on SQLite. This does, and keeps others out meanwhile.
  await beginWhenFree(db);
  try {
    refuseNewerSchema(db);
    const { error } = await migrator.migrateToLatest();
    if (error !== undefined) throw error;
    db.exec('COMMIT');
  } finally {
    if (db.inTransaction) db.exec('ROLLBACK');
  }
}

/** Waits without blocking: who holds the database may be this very process, opening it a second time. */
async function beginWhenFree(db: Database.Database): Promise<void> {
  const until = performance.now() + BUSY_MS_OPENING;
  db.exec('PRAGMA busy_timeout = 0');
  for (;;) {
    try {
      db.exec('BEGIN IMMEDIATE');
      return;
    } catch (error) {
      const failure = storeFailure(error);
      const busy = failure instanceof StoreError && failure.code === 'busy';
      if (!busy || performance.now() > until) throw error;
      await setTimeout(20);
    }
  }
}

/** For tests and for going back by hand; its owner wraps it in a transaction. */
export function sqliteMigrator(db: Database.Database): Migrator {
  return new Migrator({
    db: new Kysely({ dialect: new SqliteDialect({ database: db as never }) }),
    provider: { getMigrations: async () => migrations(columnTypes) },
  });
}

function refuseNewerSchema(db: Database.Database): void {
  const known = migrations(columnTypes);
  const unknown = appliedTo(db).find((name) => !Object.hasOwn(known, name));
  if (unknown) {
    throw new StoreError('newer-schema', `written by a later version (its schema has ${unknown})`);
  }
}

function appliedTo(db: Database.Database): string[] {
  const table = "select 1 from sqlite_schema where type = 'table' and name = 'kysely_migration'";
  if (db.prepare(table).all().length === 0) return [];
  const applied = db.prepare('select name from kysely_migration order by name').all() as { name: string }[];
  return applied.map(({ name }) => name);
}

/** Names of the migrations there are and of those applied, in order. Changes nothing. @throws StoreError */
export async function sqliteVersions(path: string): Promise<{ known: string[]; applied: string[] }> {
  const db = new Database(path);
  try {
    db.exec(`PRAGMA busy_timeout = ${BUSY_MS_OPENING}`);
    db.exec('PRAGMA query_only = 1');
    return { known: Object.keys(migrations(columnTypes)), applied: appliedTo(db) };
  } catch (error) {
    throw storeFailure(error);
  } finally {
    db.close();
  }
}

/**
 * Takes a file's schema to the newest, or until `to` is the last migration applied, or back to nothing with null.
 * All of it or nothing.
 *
 * @throws StoreError
 */
export async function migrateSqlite(path: string, to?: string | null): Promise<void> {
  const db = new Database(path);
  try {
    configure(db);
    await beginWhenFree(db);
    const migrator = sqliteMigrator(db);
    const { error } =
      to === undefined ? await migrator.migrateToLatest() : await migrator.migrateTo(to ?? NO_MIGRATIONS);
    if (error !== undefined) throw error;
    db.exec('COMMIT');
  } catch (error) {
    throw storeFailure(error);
  } finally {
    if (db.inTransaction) db.exec('ROLLBACK');
    closeDatabase(db);
  }
}
