/**
 * Reconnect storm: clients that are cut at once by a gateway that dies and comes back, and how they come back: the time
 * until 50, 95 and 100 % hold their stream again, counted from the moment the gateway accepts connections, and the most
 * connection attempts and connections in one second. The pauses of the clients are drawn from the seed.
 *
 * Run: npx tsx bench/storm.ts [--clients 500] [--away 1000] [--seed text] [--keep]
 */
import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { coinbaseDialect, createFeed, type Feed } from '@countersign/client';
import { NodeWebSocket } from '@countersign/client/node';
import { startGatewayProcess } from '@countersign/testkit';
import { createDraw } from './lib/soak-truth.ts';

const { values } = parseArgs({
  options: {
    clients: { type: 'string', default: '500' },
    /** Milliseconds for which the gateway is gone, besides the time it takes to start. */
    away: { type: 'string', default: '1000' },
    seed: { type: 'string', default: randomBytes(4).toString('hex') },
    /** Adds the result to bench/results/storm.json. */
    keep: { type: 'boolean', default: false },
  },
});
const count = Number(values.clients);
const load = loadavg()[0]!;

const dataDir = mkdtempSync(join(tmpdir(), 'countersign-storm-'));
const start = (flags: string[] = []) =>
  startGatewayProcess({ dataDir, flags: ['--no-sandbox', '--log-level', 'error', ...flags] });
let gateway = await start();
const port = (url: string) => new URL(url).port;
const ports = ['--port', port(gateway.ready.rest), '--internal-port', port(gateway.ready.internal)];
const { websocket, internal } = gateway.ready;
const backend = readFileSync(join(dataDir, 'backend.token'), 'utf8').trim();

async function publish(price: string): Promise<void> {
  const answer = await fetch(`${internal}/backend/v1/publish`, {
    method: 'POST',
    headers: { authorization: `Bearer ${backend}`, 'content-type': 'application/json' },
    body: JSON.stringify({
      channel: 'ticker',
      key: 'ETH-USD',
      data: { tickers: [{ product_id: 'ETH-USD', price }] },
    }),
  });
  if (!answer.ok) throw new Error(`publish answered ${answer.status}`);
}
await publish('1');

const attempts: number[] = [];
const connects: number[] = [];
let back: number[] = [];
const feeds: Feed[] = [];
for (let index = 0; index < count; index += 1) {
  const draw = createDraw(`${values.seed}.${index}`);
  const random = () => draw(2 ** 24) / 2 ** 24;
  const feed = createFeed({ url: websocket, dialect: coinbaseDialect(), WebSocket: NodeWebSocket, random });
  feed.on('state', ({ state }) => {
    if (state.status === 'connecting') attempts.push(performance.now());
    if (state.status === 'open') connects.push(performance.now());
  });
  feed.on('resync', ({ reason }) => {
    if (reason === 'reconnect') back.push(performance.now());
  });
  feeds.push(feed);
}
const subscriptions = feeds.map((feed) =>
  feed.subscribe({ channel: 'ticker', product: 'ETH-USD' }, () => {}),
);
await Promise.all(subscriptions.map(({ ready }) => ready));

attempts.length = 0;
connects.length = 0;
back = [];
const cut = performance.now();
await gateway.stop('SIGKILL');
await new Promise((resolve) => setTimeout(resolve, Number(values.away)));
gateway = await start(ports);
const up = performance.now();
await publish('2');
const deadline = up + 120_000;
while (back.length < count && performance.now() < deadline) {
  await new Promise((resolve) => setTimeout(resolve, 20));
}

const after = back.map((at) => Math.max(0, at - up)).sort((a, b) => a - b);
const at = (share: number) => {
  const ms = after[Math.ceil(share * count) - 1];
  return ms === undefined ? null : Math.round(ms);
};
/** The most in any window of one second. */
function peak(times: readonly number[]): number {
  let most = 0;
  let from = 0;
  times.forEach((time, index) => {
    while (time - times[from]! > 1000) from += 1;
    most = Math.max(most, index - from + 1);
  });
  return most;
}
const sorted = [...attempts].sort((a, b) => a - b);
const figures = {
  seed: values.seed,
  clients: count,
  'gone for, ms': Math.round(up - cut),
  'back after the gateway is, ms': { '50 %': at(0.5), '95 %': at(0.95), '100 %': at(1) },
  'attempts in all': sorted.length,
  'peak attempts in 1 s': peak(sorted),
  'peak attempts in 1 s once the gateway is back': peak(sorted.filter((time) => time >= up)),
  'peak connects in 1 s': peak([...connects].sort((a, b) => a - b)),
};
console.log(JSON.stringify(figures, null, 2));
if (values.keep) keep();
await Promise.all(feeds.map((feed) => feed.close()));
await gateway.stop();
rmSync(dataDir, { recursive: true, force: true });
process.exit(back.length === count ? 0 : 1);

function keep(): void {
  const file = new URL('./results/storm.json', import.meta.url);
  const before = existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as { runs: object[] }).runs : [];
  const machine = {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    node: process.version,
    loadAtStart: load,
  };
  const runs = [...before, { at: new Date().toISOString(), machine, figures, back: after.map(Math.round) }];
  writeFileSync(file, `${JSON.stringify({ bench: 'storm', runs }, null, 1)}\n`);
}
