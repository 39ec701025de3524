import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findPostgres, startPostgres } from '@countersign/testkit';
import Database from 'libsql';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openAuditLog } from '../../src/store/open-audit-log.ts';
import { migratePostgres, openPostgresStore } from '../../src/store/postgres.ts';
import { openSqliteStore } from '../../src/store/sqlite.ts';

const entry = { at: 1, actor: 'system', action: 'test', target: 't', source: null, detail: '{}' };

describe('the audit log of a file', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'countersign-audit-'));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it('is read while a gateway has the file open, and nothing is written', async () => {
    const path = join(folder, 'live.db');
    const store = await openSqliteStore({ path });
    for (let i = 0; i < 7; i++) await store.audit.append(entry);
    const log = await openAuditLog(path);
    expect((await log.since({ after: 4, limit: 10 })).map(({ n }) => n)).toEqual([5, 6, 7]);
    await store.audit.append(entry);
    expect(await log.verify()).toMatchObject({ rows: 8, brokenAt: null });
    await log.close();
    await log.close();
    await store.close();
  });

  it('is not made where there is none, and no schema is made either', async () => {
    await expect(openAuditLog(join(folder, 'none.db'))).rejects.toMatchObject({ code: 'cannot-open' });
    const path = join(folder, 'empty.db');
    new Database(path).close();
    await expect(openAuditLog(path)).rejects.toThrow();
    expect(new Database(path).prepare('select count(*) as n from sqlite_schema').get()).toMatchObject({
      n: 0,
    });
  });
});

const bin = findPostgres();
describe.skipIf(bin === null)('the audit log of a PostgreSQL database [needs postgresql]', () => {
  it('is read by a user who may do nothing else, and holds together after two nodes wrote at once', async () => {
    const server = await startPostgres(bin as string);
    try {
      server.psql('postgres', 'create database d');
      await migratePostgres(server.url('d'));
      const open = () => openPostgresStore({ url: server.url('d'), patienceMs: 15_000 });
      const nodes = [await open(), await open()] as const;
      await Promise.all(
        Array.from({ length: 120 }, (_, i) => nodes[i % 2 === 0 ? 0 : 1].audit.append(entry)),
      );
      server.psql(
        'd',
        'create role auditor login; grant usage on schema public to auditor; grant select on audit to auditor',
      );
      const log = await openAuditLog(server.url('d', 'auditor'));
      const report = await log.verify();
      expect(report).toMatchObject({ rows: 120, findings: [] });
      server.psql('d', "update audit set target = 'x' where n = 50; delete from audit where n > 118");
      expect((await log.verify(report.head ?? undefined)).findings).toMatchObject([
        { n: 50, kind: 'changed' },
        { n: 119, kind: 'cut' },
      ]);
      await log.close();
      await Promise.all(nodes.map((node) => node.close()));
    } finally {
      await server.close();
    }
  });
});
