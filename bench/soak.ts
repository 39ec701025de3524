/**
 * Clients of every door against a gateway that makes every fault there is and is restarted now and then. At the end
 * the faults are still on: what counts is that nothing is missing without a word, that nothing comes twice, and that
 * every book equals the one that was published.
 *
 * Run: npx tsx --expose-gc bench/soak.ts [--seconds 120] [--clients 50] [--seed text] [--restart 45] [--access-ttl 30]
 */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Book, createWalletSession, type LevelChange, type WalletSession } from '@countersign/client';
import { type GatewayProcess, startGatewayProcess } from '@countersign/testkit';
import {
  BookTruth,
  createTally,
  type SoakClient,
  socketIoClient,
  webSocketClient,
} from './lib/soak-clients.ts';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '120' },
    clients: { type: 'string', default: '50' },
    seed: { type: 'string', default: randomBytes(4).toString('hex') },
    restart: { type: 'string', default: '45' },
    'access-ttl': { type: 'string', default: '30' },
    rate: { type: 'string', default: '20' },
  },
});
const seconds = Number(values.seconds);
const perDoor = Number(values.clients);
const rate = Number(values.rate);

/** On every WebSocket connection; and one of the endings each, by turns. */
const FAULTS = 'drop:0.01,duplicate:0.01,reorder:0.01,gap:0.002,429:0.02,delay:0-20';
const ENDINGS = [
  'close:1012@20',
  'close:1001@25',
  'close:4101@15',
  'freeze:10-25',
  'expire:12',
  'revoke:30',
  'close:1000@9',
];

const dataDir = mkdtempSync(join(tmpdir(), 'countersign-soak-'));
const env = {
  COUNTERSIGN_SANDBOX_FAULTS: 'true',
  COUNTERSIGN_TOKENS_ACCESS_TTL: values['access-ttl'],
  COUNTERSIGN_TOKENS_LEEWAY: '5',
};
const start = (flags: string[] = []) =>
  startGatewayProcess({ dataDir, env, flags: ['--no-sandbox', '--log-level', 'error', ...flags] });

let gateway: GatewayProcess = await start();
const ports = [
  '--port',
  new URL(gateway.ready.rest).port,
  '--internal-port',
  new URL(gateway.ready.internal).port,
];
const { rest, websocket, socketio, internal } = gateway.ready;
const backend = readFileSync(join(dataDir, 'backend.token'), 'utf8').trim();

const tally = createTally();
const truth = new BookTruth();
let rejections = 0;
process.on('unhandledRejection', (error) => {
  rejections += 1;
  if (rejections <= 5) console.error('unhandled rejection', error);
});

// ------------------------------------------------------------------------------------------------ the publisher

interface Taken {
  results: { epoch: string; sequence: number; stream: string }[];
}

async function post(path: string, body: object): Promise<Taken | null> {
  try {
    const answer = await fetch(`${internal}/backend/v1${path}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${backend}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(5000),
    });
    return answer.ok ? ((await answer.json()) as { data: Taken }).data : null;
  } catch {
    return null;
  }
}

let random = [...values.seed].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) >>> 0, 7);
const draw = (below: number): number => {
  random = (Math.imul(random, 1664525) + 1013904223) >>> 0;
  return (random >>> 8) % below;
};

const books = [
  { channel: 'level2', key: 'ETH-USD', item: undefined, book: new Book() },
  { channel: 'orderBookUpdate', key: 'wholeBlock', item: 'ETH-WB-1', book: new Book() },
];
/** Numbers of the logs: one that was not taken is used again. */
const numbers = { public: 1, user: 1 };
let fresh = true;
let published = 0;

function change(): LevelChange[] {
  return Array.from({ length: 1 + draw(4) }, (): LevelChange => {
    const side = draw(2) === 0 ? 'bid' : 'ask';
    return [side, `${(side === 'bid' ? 900 : 1000) + draw(100)}.${draw(10)}`, String(draw(5))];
  });
}

async function publishOnce(users: readonly number[]): Promise<void> {
  const n = String(numbers.public);
  const drafts = books.map(({ channel, key, item, book }) => {
    const levels = change();
    book.apply(levels);
    const all = [
      ...book.bids().map(({ price, quantity }): LevelChange => ['bid', price, quantity]),
      ...book.asks().map(({ price, quantity }): LevelChange => ['ask', price, quantity]),
    ];
    const data = fresh ? { reset: true, levels: all } : { levels };
    return { channel, key, ...(item === undefined ? {} : { item }), data };
  });
  const checksums = books.map(({ book }) => book.checksum());
  const trades = [{ trade_id: n, product_id: 'ETH-USD' }];
  const done = await post('/publish', {
    publications: [
      { channel: 'market_trades', key: 'ETH-USD', data: { trades } },
      { channel: 'recentTradeUpdate', key: 'wholeBlock', data: { n } },
      ...drafts,
    ],
  });
  if (done === null) {
    // Whether it was taken is not known: the books begin anew, and the number is left out.
    fresh = true;
    numbers.public += 1;
    unsure = true;
    return;
  }
  fresh = false;
  published += drafts.length + 2;
  numbers.public += 1;
  done.results.slice(2).forEach(({ stream, epoch, sequence }, index) => {
    truth.note(`${stream}/${epoch}/${sequence}`, checksums[index]!);
  });
  if (numbers.public % 40 !== 0) return;
  const m = String(numbers.user++);
  await Promise.all(
    users.map((user) =>
      Promise.all([
        post(`/users/${user}/events`, {
          channel: 'accountTransactionUpdate',
          key: 'wholeBlock',
          data: { n: m },
        }),
        post(`/users/${user}/events`, {
          channel: 'user',
          data: { orders: [{ order_id: m, status: 'OPEN' }] },
        }),
      ]),
    ),
  );
}
/** A number may be missing because its publication was: then no client is to blame. */
let unsure = false;

// ------------------------------------------------------------------------------------------------ the clients

const sessions: WalletSession[] = [];
const clients = new Map<number, SoakClient>();
const totals = { connects: 0, logins: 0, gaps: 0, recovered: 0, lost: 0, replaced: 0 };
let ending = false;

function keep(client: SoakClient): void {
  const { connects, logins, gaps, recovered, lost } = client.stats();
  totals.connects += connects;
  totals.logins += logins;
  totals.gaps += gaps;
  totals.recovered += recovered;
  totals.lost += lost;
}

function open(index: number): void {
  const session = sessions[index]!;
  const surroundings = {
    tally,
    truth,
    onOver(error: Error | null) {
      const client = clients.get(index);
      if (client !== undefined) keep(client);
      clients.delete(index);
      if (ending || error === null) return;
      // Revoked on purpose: whoever was signs up anew.
      totals.replaced += 1;
      setTimeout(() => !ending && open(index), 1000);
    },
  };
  const door = Math.floor(index / perDoor);
  const faults = `?faults=${FAULTS},${ENDINGS[index % ENDINGS.length]}&seed=${values.seed}.${index}`;
  const client =
    door === 0
      ? webSocketClient(`ethgas ${index}`, 'ethgas', `${websocket}${faults}`, session, surroundings)
      : door === 1
        ? webSocketClient(`coinbase ${index}`, 'coinbase', `${websocket}${faults}`, session, surroundings)
        : socketIoClient(`socketio ${index}`, socketio, session, surroundings);
  clients.set(index, client);
}

console.log(`seed ${values.seed}, ${seconds} s, ${perDoor} clients of each of ethgas, coinbase and socketio`);
const begun = performance.now();
for (let index = 0; index < perDoor * 3; index += 1) {
  sessions.push(
    createWalletSession({ baseUrl: rest, signer: (index + 1).toString(16).padStart(64, '0'), chainId: 1 }),
  );
}
await Promise.all(sessions.map((session) => session.webSocketLogin()));
const users = sessions.map((session) => session.userId).filter((id) => id !== null);
for (let index = 0; index < perDoor * 3; index += 1) open(index);

const memory: { at: number; heap: number }[] = [];
const sample = () => {
  (globalThis as { gc?: () => void }).gc?.();
  memory.push({ at: (performance.now() - begun) / 1000, heap: process.memoryUsage().heapUsed });
};
const sampling = setInterval(sample, 5000);

let restarts = 0;
let nextRestart = performance.now() + Number(values.restart) * 1000;
for (const until = begun + seconds * 1000; performance.now() < until; ) {
  const turn = performance.now();
  await publishOnce(users);
  if (numbers.public % rate === 0)
    await post('/publish', {
      publications: [
        { channel: 'heartbeats', data: { current_time: 'x', heartbeat_counter: numbers.public } },
      ],
    });
  if (performance.now() > nextRestart && performance.now() < until - 20_000) {
    restarts += 1;
    nextRestart = performance.now() + Number(values.restart) * 1000;
    await gateway.stop('SIGKILL');
    gateway = await start(ports);
    fresh = true;
  }
  const rest = 1000 / rate - (performance.now() - turn);
  if (rest > 0) await new Promise((resolve) => setTimeout(resolve, rest));
}

// ------------------------------------------------------------------------------------------------ the reckoning

/**
 * Publishing goes on, slowly, so that whatever was lost last is noticed. The faults go on as well, so never are all
 * clients up to date at once: each has to be at some time.
 */
const calm = performance.now() + 60_000;
const waiting = new Map(clients);
const newestPublic = ({ newest }: SoakClient) =>
  Math.max(
    0,
    ...['market_trades/ETH-USD', 'recentTradeUpdate/wholeBlock'].map((name) => newest.get(name) ?? 0),
  );
while (performance.now() < calm && waiting.size > 0) {
  await publishOnce([]);
  await new Promise((resolve) => setTimeout(resolve, 200));
  for (const index of waiting.keys()) {
    // One that was revoked meanwhile has a successor.
    const client = clients.get(index);
    if (client === undefined || client.books.some((book) => book.stale)) continue;
    if (newestPublic(client) >= numbers.public - 1) waiting.delete(index);
  }
}
const late = [...waiting.values()];
await new Promise((resolve) => setTimeout(resolve, 2500));
sample();
clearInterval(sampling);
ending = true;
await Promise.all([...clients.values()].map((client) => client.close()));
const stats = sessions.map((session) => session.stats());
await Promise.all(sessions.map((session) => session.close()));
await gateway.stop();
rmSync(dataDir, { recursive: true, force: true });

const half = memory.slice(Math.floor(memory.length / 2));
const slope = (points: typeof memory): number => {
  const mean = (list: number[]) => list.reduce((sum, one) => sum + one, 0) / list.length;
  const [x, y] = [mean(points.map(({ at }) => at)), mean(points.map(({ heap }) => heap))];
  const up = points.reduce((sum, { at, heap }) => sum + (at - x) * (heap - y), 0);
  return up / points.reduce((sum, { at }) => sum + (at - x) ** 2, 0);
};
const figures = {
  seed: values.seed,
  seconds: Math.round((performance.now() - begun) / 1000),
  published,
  restarts,
  updates: tally.updates,
  'undetected gaps': tally.undetected,
  'duplicate deliveries': tally.duplicates,
  'books compared': tally.compared,
  'book mismatches': tally.mismatches,
  'gaps noticed': totals.gaps,
  'resyncs recovered': totals.recovered,
  'resyncs with loss told': totals.lost,
  connects: totals.connects,
  'socket logins': totals.logins,
  'session logins': stats.reduce((sum, { logins }) => sum + logins, 0),
  'session refreshes': stats.reduce((sum, { refreshes }) => sum + refreshes, 0),
  'ended by revocation or refusal': tally.ended,
  'clients still behind': late.map(({ name }) => name),
  'unhandled rejections': rejections,
  errors: Object.fromEntries(tally.errors),
  'heap MiB': memory.map(({ heap }) => Math.round(heap / 2 ** 20)).join(' '),
  'heap KiB/s, second half': Math.round(slope(half) / 1024),
  'publications that may be missing': unsure,
};
console.log(JSON.stringify(figures, null, 2));
const failed =
  tally.undetected + tally.duplicates + tally.mismatches + rejections + late.length > 0 ||
  tally.compared === 0;
process.exit(failed ? 1 : 0);
