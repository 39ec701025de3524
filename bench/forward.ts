/**
 * Round trips a second to a venue's HTTP service: called directly, through REST of the gateway, and as events over
 * Socket.IO, with 64 under way at a time. The gateway signs in, checks the permission, counts the budget and signs
 * the identity of each. The gateway has processor 0 to itself; venue and load share processor 1, in all of them.
 *
 * A hop reads and writes everything twice, so no gateway comes near to a direct call of a venue that does nothing.
 * What a hop costs by itself stands beside it: two proxies that decide nothing, in place of the gateway. The time of
 * the processor that each needs for a request says more than requests a second on a machine with other work.
 *
 * Run: taskset -c 1 npm run bench -- forward [--rounds 3] [--seconds 4]
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  createHttpClient,
  createLoadWallets,
  type GatewayProcess,
  logIn,
  openRawWebSocket,
  type RawWebSocket,
  startGatewayProcess,
} from '@countersign/testkit';
import { type Child, startChild } from './lib/children.ts';
import { cpuMicros } from './lib/cpu.ts';
import { closedLoop } from './lib/load.ts';
import { measure, percentile, ratio } from './lib/rounds.ts';

const LANES = 64;
const PATH = '/v1/bench/quote';
const EVENT = '/evm/buy/quote';
const QUOTE = {
  chain: 'eth',
  token: `0x${'ab'.repeat(20)}`,
  swapMode: 'ExactIn',
  amountIn: '1000000000000000000',
  wallet: `0x${'cd'.repeat(20)}`,
};

export async function forward({ rounds, seconds }: { rounds: number; seconds: number }): Promise<void> {
  const venue = await startChild('./plain-venue.ts', '1');
  try {
    const raw = await measure(
      'forward',
      [
        { name: 'direct', run: () => direct(venue, seconds) },
        { name: 'node:http proxy', run: () => throughProxy('node', venue.url, seconds) },
        { name: 'Fastify and undici proxy', run: () => throughProxy('undici', venue.url, seconds) },
        { name: 'REST', run: () => behind(venue.url, (gateway) => overRest(gateway, seconds)) },
        { name: 'Socket.IO', run: () => behind(venue.url, (gateway) => overSocketIo(gateway, seconds)) },
      ],
      rounds,
    );
    const of = (name: string, other: string, figure: string) =>
      Number(ratio(raw, name, other, figure).toFixed(3));
    const bare = 'Fastify and undici proxy';
    process.stdout.write(
      `${JSON.stringify({
        bench: 'forward',
        restOfDirect: of('REST', 'direct', 'perSecond'),
        restOfProxy: of('REST', bare, 'perSecond'),
        proxyOfDirect: of(bare, 'direct', 'perSecond'),
        socketIoOfDirect: of('Socket.IO', 'direct', 'perSecond'),
        proxyCpuOfRest: of(bare, 'REST', 'cpuMicros'),
        proxyCpuOfSocketIo: of(bare, 'Socket.IO', 'cpuMicros'),
      })}\n`,
    );
  } finally {
    await venue.stop();
  }
}

async function direct({ url, pid }: Child, seconds: number) {
  const client = createHttpClient(url, LANES);
  const body = JSON.stringify({ event: EVENT, params: QUOTE });
  const figures = await load(pid, seconds, async () => {
    const { status } = await client.request('POST', '/events', JSON_BODY, body);
    if (status !== 200) throw new Error(`the venue answered ${status}`);
  });
  client.close();
  return figures;
}

/** The bytes that the gateway is sent, a token of the usual size among them. */
async function throughProxy(kind: 'node' | 'undici', venue: string, seconds: number) {
  const proxy = await startChild('./plain-proxy.ts', '0', [kind, venue]);
  const client = createHttpClient(proxy.url, LANES);
  const headers = `${JSON_BODY}Authorization: Bearer ${'x'.repeat(620)}\r\n`;
  const body = JSON.stringify(QUOTE);
  try {
    return await load(proxy.pid, seconds, async () => {
      const answer = await client.request('POST', PATH, headers, body);
      if (answer.status !== 200) throw new Error(`the proxy answered ${answer.status}: ${answer.body}`);
    });
  } finally {
    client.close();
    await proxy.stop();
  }
}

async function overRest(gateway: GatewayProcess, seconds: number) {
  const client = createHttpClient(gateway.ready.rest, LANES);
  const headers = `${JSON_BODY}Authorization: Bearer ${await accessToken(gateway)}\r\n`;
  const body = JSON.stringify(QUOTE);
  const figures = await load(gateway.pid, seconds, async () => {
    const answer = await client.request('POST', PATH, headers, body);
    if (answer.status !== 200) throw new Error(`the gateway answered ${answer.status}: ${answer.body}`);
  });
  client.close();
  return figures;
}

/** One connection for each of the 64 that are under way, an acknowledgement asked for each time. */
async function overSocketIo(gateway: GatewayProcess, seconds: number) {
  const token = await accessToken(gateway);
  const url = `${gateway.ready.socketio.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket`;
  const sockets = await Promise.all(
    Array.from({ length: LANES }, async () => {
      const socket = await openRawWebSocket(url);
      const connected = frame(socket, 2);
      // CONNECT of the main namespace; the two frames are the server's OPEN and its CONNECT.
      socket.send(`40${JSON.stringify({ token })}`);
      await connected;
      return socket;
    }),
  );
  const event = JSON.stringify([EVENT, QUOTE]);
  const figures = await load(gateway.pid, seconds, async (lane) => {
    const socket = sockets[lane]!;
    const answered = frame(socket, socket.frames + 1);
    socket.send(`421${event}`);
    await answered;
  });
  for (const socket of sockets) socket.close();
  return figures;
}

const JSON_BODY = 'Content-Type: application/json\r\n';

async function load(pid: number, seconds: number, operation: (lane: number) => Promise<void>) {
  let count = 0;
  let before = 0;
  const { perSecond, latencies } = await closedLoop(
    LANES,
    seconds,
    async (lane) => {
      await operation(lane);
      count += 1;
    },
    // Before that the compiler takes its share, a larger one of a larger program, and never again.
    () => {
      count = 0;
      before = cpuMicros(pid);
    },
  );
  return {
    perSecond,
    cpuMicros: (cpuMicros(pid) - before) / count,
    p50ms: percentile(latencies, 0.5),
    p99ms: percentile(latencies, 0.99),
  };
}

/** Resolves when the socket has seen so many frames. */
function frame(socket: RawWebSocket, count: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('no answer over Socket.IO')), 10_000);
    const look = () => {
      if (socket.frames < count) return;
      clearTimeout(timer);
      socket.onFrames = null;
      resolve();
    };
    socket.onFrames = look;
    look();
  });
}

async function accessToken(gateway: GatewayProcess): Promise<string> {
  const [wallet] = await createLoadWallets(1);
  const client = createHttpClient(gateway.ready.rest, 1);
  const { accessToken: token } = await logIn(client, wallet!);
  client.close();
  return token;
}

async function behind<T>(venue: string, work: (gateway: GatewayProcess) => Promise<T>): Promise<T> {
  const dataDir = mkdtempSync(join(tmpdir(), 'countersign-bench-'));
  const gateway = await startGatewayProcess({
    dataDir,
    cpus: '0',
    flags: ['--no-sandbox', '--log-level', 'error'],
    env: {
      COUNTERSIGN_VENUE_URL: venue,
      COUNTERSIGN_ROUTES: JSON.stringify([
        { match: { rest: `POST ${PATH}` }, to: { path: '/quote' }, permission: 'trading' },
      ]),
      // One user asks more in a second than the shipped tiers allow in a minute. The check is made all the same.
      COUNTERSIGN_TIERS: '{"free":{"requests":{"limit":1000000000}}}',
      COUNTERSIGN_WEBSOCKET_MESSAGES_PER_SECOND: '1000000',
      COUNTERSIGN_WEBSOCKET_MESSAGE_BURST: '1000000',
    },
  });
  try {
    return await work(gateway);
  } finally {
    await gateway.stop('SIGKILL');
    rmSync(dataDir, { recursive: true, force: true });
  }
}
