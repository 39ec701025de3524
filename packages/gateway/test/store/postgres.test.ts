import { findPostgres, type PostgresServer, startPostgres } from '@countersign/testkit';
import { afterAll, beforeAll, describe } from 'vitest';
import { migratePostgres, openPostgresStore } from '../../src/store/postgres.ts';
import { storeContract } from './contract.ts';

const bin = findPostgres();

describe.skipIf(bin === null)('[needs postgresql]', () => {
  let server: PostgresServer;
  let made = 0;

  beforeAll(async () => {
    server = await startPostgres(bin as string);
    server.psql('postgres', 'create database empty');
    await migratePostgres(server.url('empty'));
  });
  afterAll(() => server?.close());

  storeContract('PostgreSQL', async () => {
    const database = `store_${made++}`;
    server.psql('postgres', `create database ${database} template empty`);
    return {
      open: () => openPostgresStore({ url: server.url(database), patienceMs: 15_000 }),
      dispose: async () => void server.psql('postgres', `drop database ${database} with (force)`),
    };
  });
});
