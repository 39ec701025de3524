import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { NO_MIGRATIONS } from 'kysely';
import Database from 'libsql';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openDatabase, sqliteMigrator } from '../../src/store/sqlite/database.ts';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import { StoreError } from '../../src/store/store-error.ts';
import { digest, openSession, sealed } from './samples.ts';

let folder: string;
let path: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-file-'));
  path = join(folder, 'data', 'store.db');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const mode = (file: string) => (statSync(file).mode & 0o777).toString(8);
const refusal = async (at: string): Promise<StoreError> => {
  const error = await openSqliteStore({ path: at }).then(
    () => null,
    (e: unknown) => e,
  );
  if (!(error instanceof StoreError)) throw new Error(`expected a StoreError, got ${error}`);
  return error;
};

describe('the database file', () => {
  it('and its side files can be read by their owner only, in a folder that is made so', async () => {
    const store = await openSqliteStore({ path });
    await store.probe();
    expect(mode(join(folder, 'data'))).toBe('700');
    const files = readdirSync(join(folder, 'data'));
    expect(files.sort()).toEqual(['store.db', 'store.db-shm', 'store.db-wal']);
    for (const file of files) expect(mode(join(folder, 'data', file))).toBe('600');
    await store.close();
  });

  it('is taken back from others when it was readable by them', async () => {
    mkdirSync(join(folder, 'data'));
    writeFileSync(path, '', { mode: 0o644 });
    await (await openSqliteStore({ path })).close();
    expect(mode(path)).toBe('600');
  });

  it('is whole in itself after closing', async () => {
    const store = await openSqliteStore({ path });
    await openSession(store, 's1');
    await store.close();
    const copy = join(folder, 'copy.db');
    writeFileSync(copy, readFileSync(path));
    const copied = await openSqliteStore({ path: copy });
    expect(await copied.sessions.find('s1')).not.toBeNull();
    await copied.close();
  });

  it('is refused in one line that names it when it is no database, and left as it was', async () => {
    mkdirSync(join(folder, 'data'));
    const text = 'my shopping list\n'.repeat(500);
    writeFileSync(path, text);
    const error = await refusal(path);
    expect(error.code).toBe('not-a-database');
    expect(error.message).toContain(path);
    expect(error.message).not.toContain('\n');
    expect(readFileSync(path, 'utf8')).toBe(text);
  });

  it('is refused when it cannot be made there', async () => {
    writeFileSync(join(folder, 'file'), '');
    for (const at of [join(folder, 'file', 'store.db'), folder]) {
      const error = await refusal(at);
      expect(error.code).toBe('cannot-open');
      expect(error.message).toContain(at);
    }
  });

  it('is refused, and not touched, when a later version wrote it', async () => {
    await (await openSqliteStore({ path })).close();
    const db = new Database(path);
    db.exec("INSERT INTO kysely_migration (name, timestamp) VALUES ('9999-future', '2099')");
    db.close();
    const error = await refusal(path);
    expect(error.code).toBe('newer-schema');
    expect(error.message).toContain('9999-future');
  });

  it('can be opened by several at the same moment, of which one makes the schema', async () => {
    const stores = await Promise.all([1, 2, 3].map(() => openSqliteStore({ path })));
    await openSession(stores[0]!, 's1');
    expect(await stores[2]!.sessions.find('s1')).not.toBeNull();
    await Promise.all(stores.map((store) => store.close()));
  });

  it('has settings under which a commit is on the disk', async () => {
    const db = await openDatabase(path);
    const setting = (name: string) => Object.values(db.prepare(`PRAGMA ${name}`).all()[0] as object)[0];
    expect(setting('journal_mode')).toBe('wal');
    expect(setting('synchronous')).toBe(2);
    expect(setting('foreign_keys')).toBe(1);
    db.close();
  });

  it('forgets a sealed token that nobody can be given any more', async () => {
    const store = await openSqliteStore({ path });
    await openSession(store, 's', { first: 'R0' });
    for (let i = 0; i < 4; i++) {
      await store.sessions.rotate({
        digest: digest(`R${i}`),
        now: 2_000 + i,
        graceMs: 30_000,
        successor: { digest: digest(`R${i + 1}`), sealed: sealed(`R${i + 1}`) },
      });
    }
    await store.close();
    const db = new Database(path);
    const rows = db
      .prepare('SELECT successor_sealed IS NOT NULL AS kept FROM refresh_tokens ORDER BY generation')
      .all() as { kept: number }[];
    db.close();
    // R3 was presented last: R2 may still be asked for R3 in its grace, and R3 for R4.
    expect(rows.map(({ kept }) => kept)).toEqual([0, 0, 1, 1, 0]);
  });

  it('shows a changed, a cut and a moved audit row', async () => {
    const entry = { at: 1, actor: 'system', action: 'test', source: null, detail: '{}' };
    const tampering = [
      ["UPDATE audit SET target = 'x' WHERE n = 3", 3],
      ['DELETE FROM audit WHERE n = 3', 3],
      ["UPDATE audit SET actor = actor || action, action = '' WHERE n = 2", 2],
    ] as const;
    for (const [i, [statement, brokenAt]] of tampering.entries()) {
      const at = join(folder, `audit-${i}.db`);
      const store = await openSqliteStore({ path: at });
      for (let n = 1; n <= 5; n++) await store.audit.append({ ...entry, target: `t${n}` });
      expect(await store.audit.verify()).toMatchObject({ rows: 5, brokenAt: null });
      const db = new Database(at);
      db.exec(statement);
      db.close();
      expect((await store.audit.verify()).brokenAt).toBe(brokenAt);
      await store.close();
    }
  });

  it('can be taken back to before its schema, and forward again', async () => {
    const db = await openDatabase(path);
    const tables = () =>
      db
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT GLOB 'sqlite_*'")
        .all()
        .map((row) => (row as { name: string }).name)
        .filter((name) => !name.startsWith('kysely'));
    const made = tables();
    expect(made).toContain('sessions');
    const migrator = sqliteMigrator(db);
    expect((await migrator.migrateTo(NO_MIGRATIONS)).error).toBeUndefined();
    expect(tables()).toEqual([]);
    expect((await migrator.migrateToLatest()).error).toBeUndefined();
    expect(tables().sort()).toEqual(made.sort());
    db.close();
    expect(existsSync(path)).toBe(true);
  });
});
