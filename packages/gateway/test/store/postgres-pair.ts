/** Two stores on one PostgreSQL database, as two gateways have it; each test gets a database of its own. */
import { type PostgresServer, startPostgres } from '@countersign/testkit';
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest';
import { migratePostgres, openPostgresStore } from '../../src/store/postgres.ts';
import type { Store } from '../../src/store/store.ts';

export interface Pair {
  readonly server: PostgresServer;
  /** Of the present test's database. */
  readonly url: string;
  readonly stores: readonly [Store, Store];
}

/** Call it in a `describe`: it brings its own hooks. @param bin what `findPostgres` returned */
export function pairOfStores(bin: string | null): Pair {
  const pair = {} as { server: PostgresServer; url: string; stores: [Store, Store] };
  let made = 0;
  beforeAll(async () => {
    pair.server = await startPostgres(bin as string);
    pair.server.psql('postgres', 'create database empty');
    await migratePostgres(pair.server.url('empty'));
  });
  afterAll(() => pair.server?.close());
  beforeEach(async () => {
    const database = `pair_${made++}`;
    pair.server.psql('postgres', `create database ${database} template empty`);
    pair.url = pair.server.url(database);
    // What is tested is what happens, not how soon on a machine that does other things as well.
    const open = () => openPostgresStore({ url: pair.url, patienceMs: 15_000 });
    pair.stores = [await open(), await open()];
  });
  afterEach(() => Promise.all(pair.stores.map((store) => store.close())));
  return pair;
}
