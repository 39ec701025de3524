import { expect, test } from 'vitest';
import type { Publication } from '../../src/publication.ts';
import { Backlog } from '../../src/publishing/backlog.ts';

const log = (channel: string, time: number) => ({ channel, key: 'k', time, data: {} });

test('a long outage keeps a bounded log, and gives up public trades before private entries', () => {
  const backlog = new Backlog();
  backlog.degrade();
  for (let time = 0; time < 19_000; time++) backlog.add([log('market_trades', time), log('user', time)]);
  backlog.recover([]);
  const kept: Publication[] = [];
  for (let next = backlog.take(); next !== undefined; next = backlog.take()) kept.push(next);
  expect(kept.filter(({ channel }) => channel === 'user').length).toBe(19_000);
  expect(kept.filter(({ channel }) => channel === 'market_trades').length).toBe(5000);
  expect(backlog.dropped).toBe(14_000);
  expect(kept.every(({ time }, i) => i === 0 || kept[i - 1]!.time <= time)).toBe(true);
});

test('a gateway slower than the venue is treated like one that is away', () => {
  const backlog = new Backlog();
  for (let time = 0; time <= 20_000; time++) backlog.add([log('level2', time)]);
  expect(backlog.degraded).toBe(true);
  expect(backlog.size).toBe(0);
});
