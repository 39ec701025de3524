/** Brings the schema of a database up to date, or back. */
import { Kysely, type MigrationResultSet, Migrator, NO_MIGRATIONS, sql } from 'kysely';
import { PostgresJSDialect } from 'kysely-postgres-js';
import type { ColumnTypes } from '../migrations/column-types.ts';
import { migrations } from '../migrations/migrations.ts';
import { StoreError } from '../store-error.ts';
import type { Connection } from './connection.ts';

const columnTypes: ColumnTypes = {
  whole: 'bigint',
  bytes: 'bytea',
  counter: sql`bigint generated always as identity primary key`,
  tableEnd: sql``,
  async beginAt(db, table, column, first) {
    await sql`alter table ${sql.table(table)} alter column ${sql.ref(column)} restart with ${sql.lit(first)}`.execute(
      db,
    );
  },
};

const MIGRATING = `select pg_advisory_lock(hashtextextended('countersign migrations', 0))`;
const MIGRATED = `select pg_advisory_unlock(hashtextextended('countersign migrations', 0))`;

/**
 * Applies what is missing. Of several nodes that start together one does so, and the others wait for it. Where
 * nothing is missing, nothing is written: an ordinary node needs no right to change the schema.
 *
 * @throws StoreError `newer-schema`; `cannot-open` if this user may not make the changes; what the driver throws
 */
export async function bringUpToDate(connection: Connection): Promise<void> {
  if (!(await isBehind(connection))) return;
  await connection.run(MIGRATING, []);
  try {
    if (await isBehind(connection)) await migrate(connection, (migrator) => migrator.migrateToLatest());
  } finally {
    if (connection.alive) await connection.run(MIGRATED, []);
  }
}

/**
 * Takes the schema forward or back until `name` is the last migration applied, or none with null. Back means
 * that what later migrations added is dropped.
 *
 * @throws StoreError `cannot-open`; Error if there is no migration of that name
 */
export async function migrateTo(connection: Connection, name: string | null): Promise<void> {
  await connection.run(MIGRATING, []);
  try {
    await migrate(connection, (migrator) => migrator.migrateTo(name ?? NO_MIGRATIONS));
  } finally {
    if (connection.alive) await connection.run(MIGRATED, []);
  }
}

async function migrate(
  connection: Connection,
  run: (migrator: Migrator) => Promise<MigrationResultSet>,
): Promise<void> {
  const db = new Kysely<unknown>({
    dialect: new PostgresJSDialect({ postgres: connection.driver as never }),
  });
  const migrator = new Migrator({ db, provider: { getMigrations: async () => migrations(columnTypes) } });
  const { error } = await run(migrator);
  if ((error as { code?: string } | undefined)?.code === '42501') {
    throw new StoreError(
      'cannot-open',
      'the schema must be changed, and this database user may not: migrate as its owner',
    );
  }
  if (error !== undefined) throw error;
}

/** Names of the migrations of this version, in order. */
export const knownMigrations = (): string[] => Object.keys(migrations(columnTypes));

async function isBehind(connection: Connection): Promise<boolean> {
  const known = knownMigrations();
  const applied = await appliedTo(connection);
  const unknown = applied.find((name) => !known.includes(name));
  if (unknown) {
    throw new StoreError('newer-schema', `written by a later version (its schema has ${unknown})`);
  }
  return applied.length < known.length;
}

/** Names of the migrations that were applied, in order. */
export async function appliedTo(connection: Connection): Promise<string[]> {
  const { rows } = await connection.run("select to_regclass('kysely_migration') is not null as there", []);
  if ((rows as { there: boolean }[])[0]?.there !== true) return [];
  const applied = await connection.run('select name from kysely_migration order by name', []);
  return (applied.rows as { name: string }[]).map(({ name }) => name);
}
