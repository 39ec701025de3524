import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import { storeContract } from './contract.ts';

storeContract('SQLite', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-store-'));
  const path = join(folder, 'store.db');
  return {
    open: () => openSqliteStore({ path }),
    dispose: async () => rmSync(folder, { recursive: true, force: true }),
  };
});
