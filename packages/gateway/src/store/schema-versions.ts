/** The versions that the schema of a store can be in, and the way from one to another. No gateway need run. */
import { existsSync } from 'node:fs';
import { migratePostgres, postgresVersions } from './postgres.ts';
import { migrateSqlite, sqliteVersions } from './sqlite/database.ts';
import { StoreError } from './store-error.ts';

export interface SchemaVersions {
  /** Every migration that this version of the program knows, in order. */
  migrations: { name: string; applied: boolean }[];
  /** Migrations of a later version that were applied. A gateway of this version does not start on them. */
  unknown: string[];
}

const onServer = (place: string): boolean => /^postgres(?:ql)?:\/\//.test(place);

/**
 * @param place a `postgres://` URL, or the path of a SQLite file, which must be there
 * @throws StoreError
 */
export async function schemaVersions(place: string): Promise<SchemaVersions> {
  const { known, applied } = await (onServer(place)
    ? postgresVersions(place)
    : sqliteVersions(requireFile(place)));
  return {
    migrations: known.map((name) => ({ name, applied: applied.includes(name) })),
    unknown: applied.filter((name) => !known.includes(name)),
  };
}

/**
 * Applies migrations until `to` is the last one, the newest by default; one that lies further back takes away what
 * later ones added, with the data in it. `null` takes everything away. Gateways of a version that needs what is
 * taken away must not be running.
 *
 * @throws StoreError, `cannot-open` for a name that is no migration of this version
 */
export async function migrateStore(place: string, to?: string | null): Promise<SchemaVersions> {
  const { migrations, unknown } = await schemaVersions(place);
  if (unknown.length > 0) {
    throw new StoreError('newer-schema', `written by a later version (its schema has ${unknown.join(', ')})`);
  }
  if (typeof to === 'string' && !migrations.some(({ name }) => name === to)) {
    const names = migrations.map(({ name }) => name).join(', ');
    throw new StoreError('cannot-open', `there is no migration "${to}"; there are: ${names}`);
  }
  await (onServer(place) ? migratePostgres(place, to) : migrateSqlite(place, to));
  return schemaVersions(place);
}

function requireFile(path: string): string {
  if (!existsSync(path)) throw new StoreError('cannot-open', `${path}: there is no such file`);
  return path;
}
