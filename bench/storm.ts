/**
 * Reconnect storm: clients that are cut at once by a gateway that dies and comes back, and how they come back: the time
 * until 50, 95 and 100 % hold their stream again, counted from the moment the gateway accepts connections, and the most
 * connection attempts that begin in one second.
 *
 * Run: npx tsx bench/storm.ts [--clients 500] [--away 1000]
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { coinbaseDialect, createFeed, type Feed } from '@countersign/client';
import { NodeWebSocket } from '@countersign/client/node';
import { startGatewayProcess } from '@countersign/testkit';

const { values } = parseArgs({
  options: {
    clients: { type: 'string', default: '500' },
    /** Milliseconds for which the gateway is gone, besides the time it takes to start. */
    away: { type: 'string', default: '1000' },
  },
});
const count = Number(values.clients);

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
let back: number[] = [];
const feeds: Feed[] = [];
for (let index = 0; index < count; index += 1) {
  const feed = createFeed({ url: websocket, dialect: coinbaseDialect(), WebSocket: NodeWebSocket });
  feed.on('state', ({ state }) => {
    if (state.status === 'connecting') attempts.push(performance.now());
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
console.log(
  JSON.stringify(
    {
      clients: count,
      'gone for, ms': Math.round(up - cut),
      'back after the gateway is, ms': { '50 %': at(0.5), '95 %': at(0.95), '100 %': at(1) },
      'attempts in all': sorted.length,
      'peak attempts in 1 s': peak(sorted),
      'peak attempts in 1 s once the gateway is back': peak(sorted.filter((time) => time >= up)),
    },
    null,
    2,
  ),
);
await Promise.all(feeds.map((feed) => feed.close()));
await gateway.stop();
rmSync(dataDir, { recursive: true, force: true });
process.exit(back.length === count ? 0 : 1);
