import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createFakeClock } from '../../../testkit/src/fake-clock.ts';
import { createSweeper } from '../../src/operations/sweeper.ts';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import type { Store } from '../../src/store/store.ts';
import { LIFE, openSession } from '../store/samples.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
let folder: string;
let store: Store;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-sweeper-'));
  store = await openSqliteStore({ path: join(folder, 'store.db') });
});
afterEach(async () => {
  await store.close();
  rmSync(folder, { recursive: true, force: true });
});

function set(over: Partial<Store> = {}, clockAgrees = () => true) {
  // The samples' sessions begin at second one of 1970.
  const clock = createFakeClock(0);
  const lines: object[] = [];
  const problems: unknown[] = [];
  const steps: Promise<{ sessions: number; refreshTokens: number }>[] = [];
  const sweep: Store['sweep'] = (...args) => {
    const step = (over.sweep ?? store.sweep)(...args);
    steps.push(step);
    return step;
  };
  const sweeper = createSweeper({
    store: { sweep },
    clock,
    keepMs: 30 * DAY,
    clockAgrees,
    log: { info: (entry) => void lines.push(entry) },
    onProblem: (problem) => void problems.push(problem),
  });
  /** Waits for the step that has begun, and for what follows from its answer. */
  const settled = async () => {
    await steps.at(-1)?.catch(() => {});
    await null;
  };
  return { clock, lines, problems, steps, sweeper, settled };
}

it('forgets old sessions hourly, in steps with pauses, and says how many', async () => {
  await Promise.all(Array.from({ length: 400 }, (_, i) => openSession(store, `s${i}`)));
  const { clock, lines, steps, sweeper, settled } = set();
  clock.advance(HOUR - 1);
  expect(steps).toHaveLength(0);
  clock.advance(1);
  await settled();
  expect([steps.length, lines.length]).toEqual([1, 0]);
  clock.jump(LIFE + 30 * DAY);
  clock.advance(HOUR);
  await settled();
  expect([steps.length, lines.length]).toEqual([2, 0]);
  clock.advance(200);
  await settled();
  expect(lines).toEqual([{ event: 'store.swept', sessions: 400, refreshTokens: 400 }]);
  expect(await store.sessions.find('s7')).toBeNull();
  sweeper.close();
  sweeper.close();
  clock.advance(2 * HOUR);
  expect(steps).toHaveLength(3);
});

it('tells of a store that fails and tries again in an hour', async () => {
  const { clock, problems, steps, settled } = set({ sweep: () => Promise.reject(new Error('busy')) });
  for (const hours of [1, 2]) {
    clock.advance(HOUR);
    await settled();
    expect([steps.length, problems.length]).toEqual([hours, hours]);
  }
});

it('forgets nothing by a clock that is wrong', async () => {
  await openSession(store, 's0');
  let right = false;
  const { clock, steps, settled } = set({}, () => right);
  clock.jump(12 * 365 * DAY);
  clock.advance(HOUR);
  await settled();
  expect(steps).toHaveLength(0);
  right = true;
  clock.advance(HOUR);
  await settled();
  expect(steps).toHaveLength(1);
});
