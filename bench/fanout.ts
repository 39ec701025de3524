/**
 * Frames a second to 1,000 subscribers of one channel, from a backend's publish call to the readers, beside a
 * server that does what most do: `ws.send` of the same text to each client. A batch is published when all
 * readers have the batches before the last two, so nobody falls behind and nothing is conflated.
 *
 * Run: npm run bench -- fanout [--rounds 3] [--seconds 6]
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import {
  createHttpClient,
  openRawWebSocket,
  type RawWebSocket,
  startGatewayProcess,
} from '@countersign/testkit';
import { measure, ratio } from './lib/rounds.ts';

const READERS = 1000;
const BATCH = 20;
const AHEAD = 2;
const SUBSCRIBE = JSON.stringify({
  op: 'subscribe',
  args: [{ channel: 'recentTradeUpdate', marketType: 'inclusionPreconf' }],
});

export async function fanout({ rounds, seconds }: { rounds: number; seconds: number }): Promise<void> {
  const raw = await measure(
    'fanout',
    [
      { name: 'countersign', run: () => countersign(seconds) },
      { name: 'plain ws.send', run: () => plain(seconds) },
    ],
    rounds,
  );
  const times = ratio(raw, 'countersign', 'plain ws.send', 'framesPerSecond');
  process.stdout.write(
    `${JSON.stringify({ bench: 'fanout', readers: READERS, timesPlainWs: Number(times.toFixed(2)) })}\n`,
  );
}

/** About 150 bytes as a frame, like a trade. */
const trade = (n: number) => ({
  i: 'ETH-PC-1234567',
  p: '0.000012345',
  q: '21000',
  s: n % 2 === 0,
  d: 'buy',
  t: 1_700_000_000_000 + n,
});

async function countersign(seconds: number) {
  const dataDir = mkdtempSync(join(tmpdir(), 'countersign-bench-'));
  const gateway = await startGatewayProcess({
    dataDir,
    cpus: '0',
    flags: ['--no-sandbox', '--log-level', 'error'],
  });
  const token = readFileSync(join(dataDir, 'backend.token'), 'utf8').trim();
  const client = createHttpClient(gateway.ready.internal, 1);
  const headers = `Authorization: Bearer ${token}\r\nContent-Type: application/json\r\n`;
  const publish = async (first: number) => {
    const publications = Array.from({ length: BATCH }, (_, i) => ({
      channel: 'recentTradeUpdate',
      key: 'inclusionPreconf',
      item: 'ETH-PC-1234567',
      data: trade(first + i),
    }));
    const { status, body } = await client.request(
      'POST',
      '/backend/v1/publish',
      headers,
      JSON.stringify({ publications }),
    );
    if (status !== 200) throw new Error(`publish answered ${status}: ${body}`);
  };
  try {
    return await drive(gateway.ready.websocket, publish, seconds);
  } finally {
    client.close();
    await gateway.stop('SIGKILL');
    rmSync(dataDir, { recursive: true, force: true });
  }
}

async function plain(seconds: number) {
  const program = fileURLToPath(new URL('./lib/plain-fanout.ts', import.meta.url));
  const child = spawn('taskset', ['-c', '0', process.execPath, '--import', 'tsx', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [url] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
  const client = createHttpClient(url, 1);
  const publish = async (first: number) => {
    const texts = Array.from({ length: BATCH }, (_, i) => ({
      e: 'recentTradeUpdate',
      E: 1_700_000_000_000,
      s: 'ETH-PC-1234567',
      sequence: first + i,
      P: trade(first + i),
    }));
    await client.request('POST', '/', '', JSON.stringify(texts));
  };
  try {
    return await drive(url.replace('http', 'ws'), publish, seconds);
  } finally {
    client.close();
    child.kill('SIGKILL');
  }
}

async function drive(url: string, publish: (first: number) => Promise<void>, seconds: number) {
  const readers: RawWebSocket[] = [];
  for (let opened = 0; opened < READERS; opened += 50) {
    readers.push(...(await Promise.all(Array.from({ length: 50 }, () => openRawWebSocket(url)))));
  }
  for (const reader of readers) reader.send(SUBSCRIBE);
  // One publication shows when every subscription has taken effect.
  await new Promise((resolve) => setTimeout(resolve, 500));
  const before = readers.map(({ frames }) => frames);
  const slowest = () => Math.min(...readers.map(({ frames }, index) => frames - before[index]!));
  const begun = performance.now();
  const until = begun + seconds * 1000;
  let published = 0;
  while (performance.now() < until) {
    await publish(published);
    published += BATCH;
    while (slowest() < published - AHEAD * BATCH) {
      if (readers.some(({ closed }) => closed)) throw new Error('a reader was cut');
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
  const received = readers.reduce((sum, { frames }, index) => sum + frames - before[index]!, 0);
  const took = (performance.now() - begun) / 1000;
  for (const reader of readers) reader.close();
  return { framesPerSecond: received / took, publicationsPerSecond: published / took };
}
