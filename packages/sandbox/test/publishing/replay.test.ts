import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import type { Publication } from '../../src/publication.ts';
import { startReplay } from '../../src/publishing/replay.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'replay-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const file = (lines: string[]): string => {
  const path = join(folder, 'recording.jsonl');
  writeFileSync(path, lines.join('\n'));
  return path;
};
const level = (time: number, levels: unknown[], reset?: boolean) =>
  JSON.stringify({ channel: 'level2', key: 'A-B', time, data: { levels, ...(reset ? { reset } : {}) } });

/** Time that passes at once when somebody waits for it, and not otherwise. */
function eagerClock() {
  let passed = 0;
  return {
    ...systemClock,
    now: () => Date.UTC(2026, 0, 1) + passed,
    monotonic: () => passed,
    after(ms: number, task: () => void) {
      const immediate = setImmediate(() => {
        passed += ms;
        task();
      });
      return () => clearImmediate(immediate);
    },
  };
}

test('recorded publications come in their order, at their own distances, with today as their time', async () => {
  const lines = [1000, 1000, 1060, 1090].map((time, n) =>
    JSON.stringify({ channel: 'ticker', key: 'A-B', time, data: { n } }),
  );
  const heard: { at: number; publication: Publication }[] = [];
  const clock = eagerClock();
  const replay = startReplay(file(lines), clock, ([publication]) => {
    heard.push({ at: clock.monotonic(), publication: publication! });
  });
  await replay.finished;
  expect(heard.map(({ publication }) => publication.data.n)).toEqual([0, 1, 2, 3]);
  const times = heard.map(({ publication }) => publication.time - heard[0]!.publication.time);
  expect(times).toEqual([0, 0, 60, 90]);
  expect(heard[0]!.publication.time).toBe(Date.UTC(2026, 0, 1));
  expect(heard.map(({ at }) => at)).toEqual([0, 0, 60, 90]);
  await replay.close();
});

test('a gateway that lost everything gets the books as they are at that point of the recording', async () => {
  const lines = [
    level(
      1,
      [
        ['bid', '9', '1'],
        ['ask', '11', '1'],
      ],
      true,
    ),
    level(2, [
      ['bid', '9', '0'],
      ['bid', '8', '3'],
    ]),
  ];
  const replay = startReplay(file(lines), systemClock, () => {});
  await replay.finished;
  expect(replay.snapshot().map(({ data }) => data)).toEqual([
    {
      reset: true,
      levels: [
        ['ask', '11', '1'],
        ['bid', '8', '3'],
      ],
    },
  ]);
});

test.each(['{', '{"channel":"a"}', '[]', 'null'])(
  'a line that is no publication ends the replay with its number: %s',
  async (line) => {
    const replay = startReplay(file([level(1, []), line]), systemClock, () => {});
    await expect(replay.finished).rejects.toThrow(/^line 2 /);
  },
);

test('close stops a replay that waits', async () => {
  const replay = startReplay(file([level(1, []), level(86_400_000, [])]), systemClock, () => {});
  await replay.close();
  await replay.close();
});
