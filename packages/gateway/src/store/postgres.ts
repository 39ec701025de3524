/** The store in a PostgreSQL database: the truth of any number of gateways. */
import { type PostgresAddress, parseAddress } from './postgres/address.ts';
import { Connection } from './postgres/connection.ts';
import { PostgresEngine } from './postgres/engine.ts';
import { storeFailure } from './postgres/failure.ts';
import { appliedTo, bringUpToDate, knownMigrations, migrateTo } from './postgres/schema.ts';
import type { Store } from './store.ts';
import { StoreError } from './store-error.ts';
import { storeOn } from './store-on.ts';

export interface PostgresStoreOptions {
  /** `postgres://user:password@host:port/database?sslmode=...`, see `parseAddress`. */
  url: string;
  /** Only measures how long `probe` takes. Default: the machine's. */
  clock?: { monotonic(): number };
  /** Connections at most. Default 10. */
  poolSize?: number;
  /** Milliseconds after which a call has succeeded or failed, whatever the database does. Default 1,800. */
  patienceMs?: number;
  /** Calls that may be under way, waiting ones included; beyond them they reject with `overloaded`. Default 2,000. */
  most?: number;
}

const CONNECT_MS = 1_500;
/** For opening, when other nodes may be changing the schema and nobody is being served yet. */
const OPENING: Readonly<Record<string, string>> = { lock_timeout: '30s', statement_timeout: '300s' };
/** What one statement waits for others, takes, and lets others wait while its node does nothing. */
const SERVING: Readonly<Record<string, string>> = {
  lock_timeout: '1200',
  statement_timeout: '1500',
  idle_in_transaction_session_timeout: '3000',
};

/**
 * Opens the store and brings its schema up to date.
 *
 * Writes have been committed when they resolve, and the commit has been flushed: a session of this store never
 * runs with `synchronous_commit = off`. Any call may reject with a `StoreError`; calls that left nothing behind
 * are tried again within `patienceMs`. Does not check `fsync` and the disks of the server.
 *
 * @throws StoreError `cannot-open`, `newer-schema`, `busy`, `full` or `failed`
 */
export async function openPostgresStore(options: PostgresStoreOptions): Promise<Store> {
  const address = parseAddress(options.url);
  const settings = await prepared(address);
  const engine = new PostgresEngine({
    connect: (deadline) => {
      const connectMs = Math.min(CONNECT_MS, deadline - performance.now());
      return Connection.open({ address, connectMs, settings });
    },
    poolSize: options.poolSize ?? 10,
    patienceMs: options.patienceMs ?? 1_800,
    most: options.most ?? 2_000,
  });
  return storeOn(engine, {
    clock: options.clock ?? { monotonic: () => performance.now() },
    close: () => engine.close(),
    pool: () => engine.pool(),
  });
}

/**
 * Takes a database's schema to the newest, or to the migration named by `to`, or back to nothing with null.
 * No gateway of a version that needs what is taken away may be running.
 *
 * @throws StoreError as `openPostgresStore`
 */
export async function migratePostgres(url: string, to?: string | null): Promise<void> {
  await withConnection(parseAddress(url), (connection) =>
    to === undefined ? bringUpToDate(connection) : migrateTo(connection, to),
  );
}

/** Names of the migrations there are and of those applied, in order. @throws StoreError as `openPostgresStore` */
export function postgresVersions(url: string): Promise<{ known: string[]; applied: string[] }> {
  return withConnection(parseAddress(url), async (connection) => ({
    known: knownMigrations(),
    applied: await appliedTo(connection),
  }));
}

/** Readies the database; returns the settings that each connection shall have. */
function prepared(address: PostgresAddress): Promise<Readonly<Record<string, string>>> {
  return withConnection(address, async (connection) => {
    const { rows } = await connection.run(
      "select current_setting('synchronous_commit') as commit, current_setting('server_encoding') as encoding",
      [],
    );
    const [server] = rows as { commit: string; encoding: string }[];
    if (server?.encoding !== 'UTF8') {
      throw new StoreError('cannot-open', `the database is encoded in ${server?.encoding}, not in UTF8`);
    }
    await bringUpToDate(connection);
    // Acknowledged means flushed (R42). Stronger settings, which wait for standbys, are left as they are.
    return server.commit === 'off' ? { ...SERVING, synchronous_commit: 'on' } : SERVING;
  });
}

async function withConnection<T>(
  address: PostgresAddress,
  work: (connection: Connection) => Promise<T>,
): Promise<T> {
  let connection: Connection | undefined;
  try {
    connection = await Connection.open({ address, connectMs: CONNECT_MS, settings: OPENING });
    return await work(connection);
  } catch (error) {
    const failure = storeFailure(error);
    if (!(failure instanceof StoreError)) throw failure;
    throw new StoreError(failure.code, `${address.shown}: ${failure.message}`);
  } finally {
    await connection?.end();
  }
}
