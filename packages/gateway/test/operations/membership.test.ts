/** Nodes that share one store: how many of them each believes to be alive. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { createFakeClock } from '@countersign/testkit';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createMembership } from '../../src/operations/membership.ts';
import type { NodeStore } from '../../src/store/nodes.ts';
import { openDatabase } from '../../src/store/sqlite/database.ts';
import { sqliteStoreOn } from '../../src/store/sqlite.ts';
import type { Store } from '../../src/store/store.ts';
import { StoreError } from '../../src/store/store-error.ts';

const clock = createFakeClock();
let folder: string;
let store: Store;
let away = false;
let pending = 0;

beforeEach(async () => {
  away = false;
  folder = mkdtempSync(join(tmpdir(), 'countersign-membership-'));
  const db = await openDatabase(join(folder, 'store.db'));
  // No power is cut here, and every commit would wait for the disk.
  db.exec('PRAGMA synchronous = OFF');
  store = sqliteStoreOn(db, clock);
});
afterEach(async () => {
  await store.close();
  rmSync(folder, { recursive: true, force: true });
});

/** The store as one node sees it: it may be away, for all or for that one. */
function behind(cut: () => boolean): NodeStore {
  const guarded =
    (name: keyof NodeStore) =>
    async (...args: never[]) => {
      if (cut()) throw new StoreError('busy', 'away');
      pending += 1;
      const call = (store.nodes[name] as (...args: never[]) => Promise<unknown>)(...args);
      return call.finally(() => {
        pending -= 1;
      });
    };
  const names = ['time', 'join', 'beat', 'leave', 'giveUp', 'list', 'sweep'] as const;
  return Object.fromEntries(names.map((name) => [name, guarded(name)])) as unknown as NodeStore;
}

function node(name: string) {
  let joined = 0;
  const link = { cut: false };
  const membership = createMembership({
    store: behind(() => away || link.cut),
    clock,
    address: () => name,
    version: 'test',
    position: () => 0,
    newId: () => `${name}${joined++}`,
  });
  return Object.assign(membership, { link });
}

async function pass(ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 500) {
    clock.advance(500);
    do await setImmediate();
    while (pending > 0);
  }
}

describe('the number of living nodes', () => {
  it('is one for a node that has not joined yet, and for one alone', async () => {
    const a = node('a');
    expect(a.living()).toBe(1);
    await a.start();
    await pass(20_000);
    expect(a.living()).toBe(1);
    await a.close();
  });

  it('is known to a newcomer at once, to the others within a second, and less within a second of a goodbye', async () => {
    const [a, b, c] = [node('a'), node('b'), node('c')];
    await a.start();
    await b.start();
    await c.start();
    expect(c.living()).toBe(3);
    await pass(1000);
    expect([a, b, c].map(({ living }) => living())).toEqual([3, 3, 3]);
    await c.close();
    await pass(1000);
    expect([a, b].map(({ living }) => living())).toEqual([2, 2]);
    await Promise.all([a.close(), b.close()]);
  });

  it('is less by one that was not heard of, which counts itself all the same', async () => {
    const [a, b] = [node('a'), node('b')];
    await a.start();
    await b.start();
    await pass(1000);
    b.link.cut = true;
    await pass(5000);
    expect(a.living()).toBe(2);
    await pass(5000);
    expect(a.living()).toBe(1);
    expect(b.living()).toBe(2);
    b.link.cut = false;
    await pass(4000);
    expect([a.living(), b.living()]).toEqual([2, 2]);
    await Promise.all([a.close(), b.close()]);
  });

  it('stays what it was while nobody can read the store', async () => {
    const [a, b] = [node('a'), node('b')];
    await a.start();
    await b.start();
    await pass(1000);
    away = true;
    await pass(60_000);
    expect([a.living(), b.living()]).toEqual([2, 2]);
    away = false;
    await pass(2000);
    expect([a.living(), b.living()]).toEqual([2, 2]);
    await Promise.all([a.close(), b.close()]);
  });
});
