/**
 * Deliveries a second of two gateways on one Redis and one PostgreSQL, beside one gateway on the same, and how long a
 * publication takes from the call on one gateway to a reader of the other.
 *
 * Each gateway has a core of its own and 500 readers of one channel. `flat out`: a batch is published on the first gateway
 * when all readers have the batches before the last eight. This process, which publishes and reads, and Redis run on the
 * same two cores and take most of them (`gatewayShare` is what the gateways got of both), so two gateways share
 * what one had for itself. `even` publishes at a rate that all can follow: there `perGatewayCpuSecond`, deliveries for a
 * second of a gateway's own processor time, carries to gateways on machines of their own, and `timesOne` is taken
 * from it: two gateways against one, each with a core.
 *
 * Run: npm run bench -- cluster [--rounds 3] [--seconds 6]
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import {
  type Cluster,
  createHttpClient,
  missingForCluster,
  openRawWebSocket,
  type RawWebSocket,
  startCluster,
} from '@countersign/testkit';
import { cpuMicros } from './lib/cpu.ts';
import { type Figures, measure, percentile, ratio } from './lib/rounds.ts';

const READERS = 500;
const BATCH = 20;
const AHEAD = 8;
/** Milliseconds from batch to batch where the rate is even: 500,000 deliveries a second on each gateway. */
const EVERY = 20;
const CORES = 2;
/** Publications a second while latency is measured: far from what a gateway carries. */
const CALM = 100;
const SUBSCRIBE = JSON.stringify({
  op: 'subscribe',
  args: [{ channel: 'recentTradeUpdate', marketType: 'inclusionPreconf' }],
});

export async function cluster({ rounds, seconds }: { rounds: number; seconds: number }): Promise<void> {
  const missing = missingForCluster();
  if (missing.length > 0) {
    process.stderr.write(`cluster: left out, there is no ${missing.join(' and no ')}\n`);
    return;
  }
  const raw = await measure(
    'cluster',
    [
      { name: 'one gateway, flat out', run: () => on(1, (venue) => fanout(venue, seconds, 0)) },
      { name: 'two gateways, flat out', run: () => on(2, (venue) => fanout(venue, seconds, 0)) },
      { name: 'one gateway, even', run: () => on(1, (venue) => fanout(venue, seconds, EVERY)) },
      { name: 'two gateways, even', run: () => on(2, (venue) => fanout(venue, seconds, EVERY)) },
      { name: 'latency on one gateway', run: () => on(2, (venue) => latency(venue, 0, seconds)) },
      { name: 'latency to the other gateway', run: () => on(2, (venue) => latency(venue, 1, seconds)) },
    ],
    rounds,
  );
  const times = 2 * ratio(raw, 'two gateways, even', 'one gateway, even', 'perGatewayCpuSecond');
  const wall = ratio(raw, 'two gateways, flat out', 'one gateway, flat out', 'deliveriesPerSecond');
  process.stdout.write(
    `${JSON.stringify({ bench: 'cluster', readersOfEach: READERS, timesOne: round(times), timesOneOnTheseCores: round(wall) })}\n`,
  );
}

const round = (value: number): number => Number(value.toFixed(2));

interface Venue {
  readonly cluster: Cluster;
  /** To the first gateway. */
  publish(first: number, count: number): Promise<void>;
}

async function on(nodes: number, run: (venue: Venue) => Promise<Figures>): Promise<Figures> {
  const started = await startCluster({ nodes, flags: ['--log-level', 'error'] });
  const [first] = started.nodes;
  const http = createHttpClient(first!.process.ready.internal, 1);
  const token = readFileSync(join(started.dataDir, 'backend.token'), 'utf8').trim();
  const headers = `Authorization: Bearer ${token}\r\nContent-Type: application/json\r\n`;
  try {
    for (const [n, node] of started.nodes.entries())
      execFileSync('taskset', ['-a', '-c', '-p', String(n % CORES), String(node.process.pid)], {
        stdio: 'ignore',
      });
    return await run({
      cluster: started,
      async publish(from, count) {
        const publications = Array.from({ length: count }, (_, i) => trade(from + i));
        const answer = await http.request(
          'POST',
          '/backend/v1/publish',
          headers,
          JSON.stringify({ publications }),
        );
        if (answer.status !== 200) throw new Error(`publish answered ${answer.status}: ${answer.body}`);
      },
    });
  } finally {
    http.close();
    await started.close();
  }
}

async function readersOf({ nodes }: Cluster, count: number): Promise<RawWebSocket[]> {
  const readers: RawWebSocket[] = [];
  for (const { process } of nodes) {
    for (let opened = 0; opened < count; opened += 50) {
      const some = Array.from({ length: Math.min(50, count) }, () =>
        openRawWebSocket(process.ready.websocket),
      );
      readers.push(...(await Promise.all(some)));
    }
  }
  for (const reader of readers) reader.send(SUBSCRIBE);
  while (readers.some(({ frames }) => frames === 0)) await pause(10);
  // A snapshot may follow the answer.
  await pause(300);
  return readers;
}

/** @param every milliseconds from batch to batch, if readers follow */
async function fanout({ cluster: whole, publish }: Venue, seconds: number, every: number): Promise<Figures> {
  const { nodes } = whole;
  const readers = await readersOf(whole, READERS);
  try {
    const before = readers.map(({ frames }) => frames);
    const slowest = () => Math.min(...readers.map(({ frames }, n) => frames - before[n]!));
    const cpu = () => nodes.reduce((sum, { process }) => sum + cpuMicros(process.pid), 0) / 1e6;
    const used = cpu();
    const begun = performance.now();
    const until = begun + seconds * 1000;
    let published = 0;
    while (performance.now() < until) {
      await publish(published, BATCH);
      published += BATCH;
      while (slowest() < published - AHEAD * BATCH) {
        if (readers.some(({ closed }) => closed)) throw new Error('a reader was cut');
        await new Promise((resolve) => setImmediate(resolve));
      }
      const due = begun + (published / BATCH) * every;
      if (performance.now() < due) await pause(due - performance.now());
    }
    const took = (performance.now() - begun) / 1000;
    const cpuSeconds = cpu() - used;
    const received = readers.reduce((sum, { frames }, n) => sum + frames - before[n]!, 0);
    return {
      deliveriesPerSecond: received / took,
      publicationsPerSecond: published / took,
      perGatewayCpuSecond: received / cpuSeconds,
      gatewayShare: cpuSeconds / took / CORES,
    };
  } finally {
    for (const reader of readers) reader.close();
  }
}

/** @param at which gateway the reader is on */
async function latency({ cluster: whole, publish }: Venue, at: number, seconds: number): Promise<Figures> {
  const readers = await readersOf(whole, 1);
  try {
    const reader = readers[at]!;
    const sent: number[] = [];
    const took: number[] = [];
    const before = reader.frames;
    reader.onFrames = () => {
      const now = performance.now();
      while (took.length < reader.frames - before) took.push(now - sent[took.length]!);
    };
    for (let n = 0; n < seconds * CALM; n += 1) {
      sent.push(performance.now());
      await publish(n, 1);
      await pause(Math.max(0, 1000 / CALM - (performance.now() - sent[n]!)));
    }
    await pause(200);
    return { p50: percentile(took, 0.5), p99: percentile(took, 0.99), missed: sent.length - took.length };
  } finally {
    for (const reader of readers) reader.close();
  }
}

/** About 150 bytes as a frame. */
const trade = (n: number) => ({
  channel: 'recentTradeUpdate',
  key: 'inclusionPreconf',
  item: 'ETH-PC-1234567',
  data: {
    i: 'ETH-PC-1234567',
    p: '0.000012345',
    q: '21000',
    s: n % 2 === 0,
    d: 'buy',
    t: 1_700_000_000_000 + n,
  },
});
