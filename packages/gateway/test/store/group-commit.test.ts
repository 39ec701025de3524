import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'libsql';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { GroupCommit } from '../../src/store/sqlite/group-commit.ts';

let folder: string;
let db: Database.Database;
let commits: GroupCommit;
/** A second connection: what it sees has been committed. */
let witness: Database.Database;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-commit-'));
  db = new Database(join(folder, 'x.db'));
  db.exec('PRAGMA journal_mode = WAL');
  db.exec('CREATE TABLE t (x INTEGER PRIMARY KEY, filler BLOB) STRICT');
  witness = new Database(join(folder, 'x.db'));
  commits = new GroupCommit(db);
});

afterEach(() => {
  commits.close();
  db.close();
  witness.close();
  rmSync(folder, { recursive: true, force: true });
});

const insert = (x: number) => () => db.prepare('INSERT INTO t (x) VALUES (?)').run([x]).changes;
const fill = (x: number) => () =>
  db.prepare('INSERT INTO t (x, filler) VALUES (?, zeroblob(100000))').run([x]).changes;
const committed = () =>
  (witness.prepare('SELECT x FROM t ORDER BY x').all() as { x: number }[]).map(({ x }) => x);

/** Counts the transactions that `run` takes. */
async function countingCommits(run: () => Promise<unknown>): Promise<number> {
  let begun = 0;
  const exec = db.exec.bind(db);
  db.exec = (sql: string) => {
    if (sql.startsWith('BEGIN')) begun++;
    return exec(sql);
  };
  await run();
  db.exec = exec;
  return begun;
}

describe('grouped commits', () => {
  it('make the writes of one turn durable together', async () => {
    const begun = await countingCommits(() =>
      Promise.all(Array.from({ length: 100 }, (_, i) => commits.write(insert(i)))),
    );
    expect(begun).toBe(1);
    expect(committed()).toHaveLength(100);
  });

  it('resolve only when another connection can see the write', async () => {
    const seen = await Promise.all([1, 2, 3].map((x) => commits.write(insert(x)).then(() => committed())));
    for (const rows of seen) expect(rows).toEqual([1, 2, 3]);
  });

  it('run writes in the order they were asked for', async () => {
    const order: number[] = [];
    await Promise.all([1, 2, 3].map((x) => commits.write(() => order.push(x))));
    expect(order).toEqual([1, 2, 3]);
  });

  it('reject only the culprit, and undo all that it did', async () => {
    const results = await Promise.allSettled([
      commits.write(insert(1)),
      commits.write(() => {
        insert(2)();
        throw new Error('thought better of it');
      }),
      commits.write(insert(3)),
      commits.write(insert(1)),
      commits.write(insert(4)),
    ]);
    expect(results.map(({ status }) => status)).toEqual([
      'fulfilled',
      'rejected',
      'fulfilled',
      'rejected',
      'fulfilled',
    ]);
    expect(results[1]).toMatchObject({ reason: { message: 'thought better of it' } });
    expect(results[3]).toMatchObject({ reason: { name: 'StoreError', code: 'invalid' } });
    expect(committed()).toEqual([1, 3, 4]);
  });

  it('need two transactions at most, however many of a group are culprits', async () => {
    await commits.write(insert(0));
    const begun = await countingCommits(() =>
      Promise.allSettled(Array.from({ length: 200 }, (_, i) => commits.write(insert(i % 2 ? 0 : i + 1)))),
    );
    expect(begun).toBe(2);
    expect(committed()).toHaveLength(101);
  });

  it('split what waits into groups of bounded size', async () => {
    commits = new GroupCommit(db, { maxGroup: 10 });
    const begun = await countingCommits(() =>
      Promise.all(Array.from({ length: 25 }, (_, i) => commits.write(insert(i)))),
    );
    expect(begun).toBe(3);
    expect(committed()).toHaveLength(25);
  });

  it('refuse at once what is beyond the limit, and take more when there is room', async () => {
    commits = new GroupCommit(db, { maxWaiting: 2 });
    const results = await Promise.allSettled([1, 2, 3].map((x) => commits.write(insert(x))));
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected']);
    expect(results[2]).toMatchObject({ reason: { name: 'StoreError', code: 'overloaded' } });
    await commits.write(insert(4));
    expect(committed()).toEqual([1, 2, 4]);
  });

  it('reject all of a group that cannot be committed, and work again afterwards', async () => {
    witness.exec('BEGIN IMMEDIATE');
    const results = await Promise.allSettled([1, 2].map((x) => commits.write(insert(x))));
    for (const result of results) {
      expect(result).toMatchObject({ status: 'rejected', reason: { name: 'StoreError', code: 'busy' } });
    }
    witness.exec('ROLLBACK');
    await commits.write(insert(3));
    expect(committed()).toEqual([3]);
  });

  it('lose nothing that was acknowledged when space runs out, and recover when there is some', async () => {
    db.exec('PRAGMA max_page_count = 200');
    const acknowledged: number[] = [];
    const refused: unknown[] = [];
    for (let round = 0; round < 20; round++) {
      const xs = [round * 2, round * 2 + 1];
      const results = await Promise.allSettled(xs.map((x) => commits.write(fill(x))));
      results.forEach((result, i) => {
        if (result.status === 'fulfilled') acknowledged.push(xs[i]!);
        else refused.push(result.reason);
      });
    }
    expect(acknowledged.length).toBeGreaterThan(0);
    expect(refused.length).toBeGreaterThan(0);
    for (const reason of refused) expect(reason).toMatchObject({ name: 'StoreError', code: 'full' });
    expect(committed()).toEqual(acknowledged);

    db.exec('PRAGMA max_page_count = 100000');
    await commits.write(fill(1_000));
    expect(committed()).toEqual([...acknowledged, 1_000]);
  });

  it('are finished before closing, and refused after', async () => {
    const last = commits.write(insert(1));
    commits.close();
    expect(committed()).toEqual([1]);
    await last;
    await expect(commits.write(insert(2))).rejects.toMatchObject({ code: 'closed' });
    await expect(commits.read(() => 1)).rejects.toMatchObject({ code: 'closed' });
  });
});
