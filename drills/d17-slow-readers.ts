/**
 * D17: 50 of 500 readers of a stream that may skip nothing stop reading, while 200 publications a second go on.
 *
 * Must hold (R63): all slow ones are cut, none of the others, which miss nothing; memory stays within what 50 full
 * queues may take; the p99 of the others stays within 20 % (or 5 ms, where it is that small) of what it was.
 *
 * Run: npm run drills -- d17
 */
import { openRawWebSocket, type RawWebSocket } from '@countersign/testkit';
import { type DrillGateway, pause, percentile, startDrillGateway } from './lib/gateway.ts';
import { report, summary } from './lib/report.ts';

const READERS = 500;
const SLOW = 50;
const RATE = 200;
/** Seconds with everybody reading, and with the slow ones not. */
const BEFORE = 6;
const DURING = 20;
/** The kernel holds some 4 MiB for a reader on loopback. A second stream, which only the slow ones have, fills that. */
const BULK_RATE = 25;
const BULK = 20_000;
/** MiB: a hard backlog for each slow reader, and what the collector of garbage leaves lying in between. */
const ROOM = SLOW * 1 + 48;
const subscribe = (marketType: string) =>
  JSON.stringify({ op: 'subscribe', args: [{ channel: 'recentTradeUpdate', marketType }] });

export async function d17(): Promise<boolean> {
  const gateway = await startDrillGateway();
  const readers: RawWebSocket[] = [];
  try {
    for (let opened = 0; opened < READERS; opened += 50) {
      const some = Array.from({ length: 50 }, () => openRawWebSocket(gateway.process.ready.websocket));
      readers.push(...(await Promise.all(some)));
    }
    for (const reader of readers) reader.send(subscribe('inclusionPreconf'));
    while (readers.some(({ frames }) => frames === 0)) await pause(20);
    const healthy = readers.slice(SLOW);
    const slow = readers.slice(0, SLOW);

    const before = await phase(gateway, healthy, BEFORE);
    for (const reader of slow) reader.send(subscribe('wholeBlock'));
    await pause(500);
    for (const reader of slow) reader.pause();
    const during = await phase(gateway, healthy, DURING);
    const cut = await gateway.metric('countersign_connections_closed_total');
    const lost = healthy.filter(({ closed }) => closed).length;
    const growth = Math.max(...during.residentMb) - Math.max(...before.residentMb);
    const ratio = during.p99 / before.p99;
    report(`resident MiB while 50 do not read: ${during.residentMb.map(Math.round).join(' ')}`);
    const calm = ratio <= 1.2 || during.p99 - before.p99 <= 5;
    return summary(
      'D17',
      {
        readers: READERS,
        slow: SLOW,
        cut,
        firstCutSeconds: during.firstCut,
        lastCutSeconds: during.lastCut,
        healthyLost: lost,
        healthyMissed: before.missed + during.missed,
        p99BeforeMs: Math.round(before.p99 * 10) / 10,
        p99DuringMs: Math.round(during.p99 * 10) / 10,
        p99Ratio: Math.round(ratio * 100) / 100,
        residentBeforeMb: Math.round(before.residentMb.at(-1)!),
        residentMaxMb: Math.round(Math.max(...during.residentMb)),
        residentAfterMb: Math.round(during.residentMb.at(-1)!),
      },
      cut === SLOW && lost === 0 && before.missed + during.missed === 0 && growth < ROOM && calm,
    );
  } finally {
    for (const reader of readers) reader.close();
    await gateway.stop();
  }
}

/** Publishes at even distances; latencies count from when each publication was due. */
async function phase(gateway: DrillGateway, readers: readonly RawWebSocket[], duration: number) {
  const total = duration * RATE;
  const gap = 1000 / RATE;
  const latencies: number[] = [];
  const begun = performance.now() + 20;
  const starts = readers.map((reader) => {
    const start = reader.frames;
    let seen = 0;
    reader.onFrames = () => {
      const now = performance.now();
      for (const until = reader.frames - start; seen < until; seen += 1)
        latencies.push(now - begun - seen * gap);
    };
    return start;
  });
  const residentMb: number[] = [];
  const cutAt: number[] = [];
  const watch = setInterval(() => {
    residentMb.push(gateway.resident());
    gateway.metric('countersign_connections_closed_total').then(
      (cut) => {
        while (cutAt.length < cut) cutAt.push((performance.now() - begun) / 1000);
      },
      () => {},
    );
  }, 1000);
  for (let sent = 0; sent < total; ) {
    const due = Math.min(total, Math.floor((performance.now() - begun) / gap) + 1);
    if (due > sent) {
      const trades = Array.from({ length: due - sent }, (_, n) => trade(sent + n));
      const every = RATE / BULK_RATE;
      const bulky = Math.floor(due / every) > Math.floor(sent / every);
      await gateway.publish(bulky ? [...trades, bulk(due)] : trades);
      sent = due;
    } else await pause(1);
  }
  await pause(1000);
  clearInterval(watch);
  const missed = readers.reduce((sum, { frames }, n) => sum + Math.max(0, total - (frames - starts[n]!)), 0);
  for (const reader of readers) reader.onFrames = null;
  const seconds = (value: number | undefined) => (value === undefined ? null : Math.round(value));
  return {
    p99: percentile(latencies, 0.99),
    missed,
    residentMb,
    firstCut: seconds(cutAt[0]),
    lastCut: seconds(cutAt.at(-1)),
  };
}

const trade = (n: number) => ({
  channel: 'recentTradeUpdate',
  key: 'inclusionPreconf',
  item: 'ETH-PC-1234567',
  data: { p: '0.000012345', q: '21000', t: n },
});

const bulk = (n: number) => ({
  channel: 'recentTradeUpdate',
  key: 'wholeBlock',
  item: 'ETH-WB-1234567',
  data: { t: n, note: 'x'.repeat(BULK) },
});
