import { join } from 'node:path';
import { openPostgresStore } from './postgres.ts';
import { openSqliteStore } from './sqlite.ts';
import type { Store } from './store.ts';

/**
 * Opens the store that the settings name: a PostgreSQL database, or without a URL the SQLite file
 * `countersign.db` in the data folder.
 *
 * @throws StoreError
 */
export function openStore(
  { url, poolSize, dataDir }: { url: string | null; poolSize: number; dataDir: string },
  clock: { monotonic(): number },
): Promise<Store> {
  return url === null
    ? openSqliteStore({ path: join(dataDir, 'countersign.db'), clock })
    : openPostgresStore({ url, poolSize, clock });
}
