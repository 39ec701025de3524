import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findPostgres, startPostgres } from '@countersign/testkit';
import Database from 'libsql';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { migratePostgres } from '../../src/store/postgres.ts';
import { migrateStore, schemaVersions } from '../../src/store/schema-versions.ts';
import { openSqliteStore } from '../../src/store/sqlite.ts';

const applied = async (place: string) =>
  (await schemaVersions(place)).migrations.filter((one) => one.applied).map(({ name }) => name);

function versionContract(name: string, makePlace: () => Promise<{ place: string; close(): Promise<void> }>) {
  describe(`the schema of ${name}`, () => {
    let made: Awaited<ReturnType<typeof makePlace>>;
    beforeAll(async () => {
      made = await makePlace();
    });
    afterAll(() => made?.close());

    it('goes back to a version by name and forward again, and says where it is', async () => {
      const all = await applied(made.place);
      expect(all.length).toBeGreaterThan(2);
      const back = await migrateStore(made.place, '0002-sweep');
      expect(back.migrations.filter((one) => one.applied).map(({ name }) => name)).toEqual([
        '0001-initial',
        '0002-sweep',
      ]);
      await migrateStore(made.place);
      expect(await applied(made.place)).toEqual(all);
    });

    it('stays as it is when asked for a version that does not exist', async () => {
      const before = await applied(made.place);
      await expect(migrateStore(made.place, '0000-none')).rejects.toMatchObject({ code: 'cannot-open' });
      expect(await applied(made.place)).toEqual(before);
    });
  });
}

versionContract('a file', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-schema-'));
  const place = join(folder, 'countersign.db');
  await (await openSqliteStore({ path: place })).close();
  return { place, close: async () => rmSync(folder, { recursive: true, force: true }) };
});

it('a schema of a later version is named and not touched', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-schema-'));
  const place = join(folder, 'countersign.db');
  await (await openSqliteStore({ path: place })).close();
  const db = new Database(place);
  db.exec("insert into kysely_migration (name, timestamp) values ('9999-later', 'x')");
  db.close();
  expect((await schemaVersions(place)).unknown).toEqual(['9999-later']);
  await expect(migrateStore(place, '0001-initial')).rejects.toMatchObject({ code: 'newer-schema' });
  rmSync(folder, { recursive: true, force: true });
});

const bin = findPostgres();
if (bin !== null)
  versionContract('a PostgreSQL database [needs postgresql]', async () => {
    const server = await startPostgres(bin);
    server.psql('postgres', 'create database d');
    await migratePostgres(server.url('d'));
    return { place: server.url('d'), close: () => server.close() };
  });
