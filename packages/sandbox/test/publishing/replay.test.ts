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

test('frames captured from real sockets come as what their venue published', async () => {
  const lines = [
    {
      channel: 'ticker',
      timestamp: '2026-09-05T22:10:29.562008293Z',
      sequence_num: 0,
      events: [
        {
          type: 'snapshot',
          tickers: [
            { type: 'ticker', product_id: 'BTC-USD', price: '79879.1' },
            { type: 'ticker', product_id: '', price: '' },
            { type: 'ticker', product_id: 'ETH-USD', price: '3100' },
          ],
        },
      ],
    },
    { channel: 'subscriptions', timestamp: '2026-09-05T22:10:29.6Z', events: [{ subscriptions: {} }] },
    { type: 'error', message: 'authentication failure', events: [], timestamp: '2026-09-05T22:10:29.6Z' },
    {
      channel: 'l2_data',
      client_id: '',
      timestamp: '2026-09-05T22:10:30.062Z',
      events: [
        {
          type: 'snapshot',
          product_id: 'BTC-USD',
          updates: [
            { side: 'bid', event_time: '1970-01-01T00:00:00Z', price_level: '10', new_quantity: '1' },
            { side: 'offer', event_time: '1970-01-01T00:00:00Z', price_level: '11', new_quantity: '0' },
          ],
        },
      ],
    },
    { e: 'recentTradeUpdate', E: Date.UTC(2026, 8, 5, 22, 10, 31), s: 'ETH-WB-7', P: { p: '1', q: '2' } },
    { e: 'accountOrderUpdate', E: Date.UTC(2026, 8, 5, 22, 10, 31), s: 'ETH-WB-7', P: { o: 1 } },
  ].map((frame) => JSON.stringify(frame));
  const heard: Publication[] = [];
  const replay = startReplay(file(lines), eagerClock(), (list) => void heard.push(...list));
  await replay.finished;
  expect(heard.map(({ time, ...rest }) => ({ at: time - heard[0]!.time, ...rest }))).toEqual([
    {
      at: 0,
      channel: 'ticker',
      key: 'BTC-USD',
      data: { tickers: [{ type: 'ticker', product_id: 'BTC-USD', price: '79879.1' }] },
    },
    {
      at: 0,
      channel: 'ticker',
      key: 'ETH-USD',
      data: { tickers: [{ type: 'ticker', product_id: 'ETH-USD', price: '3100' }] },
    },
    {
      at: 500,
      channel: 'level2',
      key: 'BTC-USD',
      data: {
        reset: true,
        levels: [
          ['bid', '10', '1'],
          ['ask', '11', '0'],
        ],
      },
    },
    { at: 1438, channel: 'recentTradeUpdate', key: 'wholeBlock', item: 'ETH-WB-7', data: { p: '1', q: '2' } },
  ]);
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
