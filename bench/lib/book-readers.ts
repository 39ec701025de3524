/**
 * One client library after another, fed with frames as its socket would feed it: text in, book out. No network, so
 * that what is measured is what the library does.
 *
 *     node --import tsx bench/lib/book-readers.ts <reader> <seconds> [folder with ccxt and coinbase-api]
 */
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { coinbaseDialect, createFeed, type SocketLike } from '@countersign/client';
import { bookFrames } from './book-frames.ts';

export const READERS = ['@countersign/client', 'ccxt', 'coinbase-api', 'JSON.parse'] as const;

interface Reader {
  take(frame: string): void;
  /** Null for one that keeps no book. */
  best(): { bid: number; ask: number } | null;
  close?(): Promise<void>;
}

const UPDATES = 20_000;
const DEPTH = 1000;

/** A socket that opens at once; what the feed asks for is answered by hand. */
class HandSocket implements SocketLike {
  static last: HandSocket;
  binaryType = '';
  onopen: ((event: never) => void) | null = null;
  onmessage: ((event: never) => void) | null = null;
  onclose: ((event: never) => void) | null = null;
  onerror: ((event: never) => void) | null = null;
  readonly sent: string[] = [];

  constructor() {
    HandSocket.last = this;
    queueMicrotask(() => this.onopen?.({} as never));
  }

  send(data: string): void {
    this.sent.push(data);
  }

  /** The end of the closing handshake. */
  close(code = 1000): void {
    queueMicrotask(() => this.onclose?.({ code, reason: '' } as never));
  }

  say(data: string): void {
    this.onmessage?.({ data } as never);
  }
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

async function ours(snapshot: string): Promise<Reader> {
  const feed = createFeed({
    url: 'ws://127.0.0.1/',
    dialect: coinbaseDialect({ sequence: 'connection' }),
    WebSocket: HandSocket,
    heartbeatTimeout: 3_600_000,
  });
  const book = feed.orderBook('ETH-USD');
  await turn();
  const socket = HandSocket.last;
  const acknowledge = (subscriptions: object) =>
    socket.say(JSON.stringify({ channel: 'subscriptions', events: [{ subscriptions }] }));
  acknowledge({ heartbeats: ['heartbeats'] });
  await turn();
  socket.say(snapshot);
  acknowledge({ heartbeats: ['heartbeats'], level2: ['ETH-USD'] });
  await book.ready;
  return {
    take: (frame) => socket.say(frame),
    best: () => ({ bid: Number(book.bestBid?.price), ask: Number(book.bestAsk?.price) }),
    close: () => feed.close(),
  };
}

// biome-ignore lint/suspicious/noExplicitAny: neither package is installed where this is type-checked
type Foreign = any;

async function ccxt(snapshot: string, folder: string): Promise<Reader> {
  const file = pathToFileURL(join(folder, 'node_modules', 'ccxt', 'js', 'ccxt.js')).href;
  const { default: library } = (await import(file)) as Foreign;
  const exchange = new library.pro.coinbase();
  exchange.setMarkets([
    { id: 'ETH-USD', symbol: 'ETH/USD', base: 'ETH', quote: 'USD', type: 'spot', spot: true, active: true },
  ]);
  const client = exchange.client('wss://127.0.0.1/');
  client.onMessage({ data: snapshot });
  return {
    take: (frame) => client.onMessage({ data: frame }),
    best() {
      const book = exchange.orderbooks['ETH/USD'];
      return { bid: book.bids[0][0], ask: book.asks[0][0] };
    },
  };
}

async function coinbaseApi(snapshot: string, folder: string): Promise<Reader> {
  const require = createRequire(join(folder, 'package.json'));
  const { WebsocketClient } = require('coinbase-api') as Foreign;
  const quiet = { trace() {}, info() {}, error() {} };
  const client = new WebsocketClient({}, quiet);
  client.on('update', () => {});
  const take = (data: string) => client.onWsMessage({ data, type: 'message' }, 'advTradeMarketData', null);
  take(snapshot);
  return { take, best: () => null };
}

async function parseOnly(): Promise<Reader> {
  return { take: (frame) => JSON.parse(frame), best: () => null };
}

const [name, seconds, folder = ''] = process.argv.slice(2);
const make = {
  '@countersign/client': ours,
  ccxt: (snapshot: string) => ccxt(snapshot, folder),
  'coinbase-api': (snapshot: string) => coinbaseApi(snapshot, folder),
  'JSON.parse': parseOnly,
}[name as (typeof READERS)[number]];

const { frames, best } = bookFrames(UPDATES, DEPTH);
const [snapshot = '', ...updates] = frames;
let taken = 0;
let busy = 0;
let wall = 0;
// The first pass warms up.
for (let pass = 0; pass < 2 || wall < Number(seconds) * 1000; pass += 1) {
  const reader = await make(snapshot);
  const cpuBefore = process.cpuUsage();
  const before = performance.now();
  for (const frame of updates) reader.take(frame);
  const cpu = process.cpuUsage(cpuBefore);
  if (pass > 0) {
    wall += performance.now() - before;
    busy += (cpu.user + cpu.system) / 1e6;
    taken += updates.length;
  }
  const got = reader.best();
  if (got !== null && (got.bid !== best.bid || got.ask !== best.ask)) {
    throw new Error(`${name} has ${JSON.stringify(got)}, the frames say ${JSON.stringify(best)}`);
  }
  await reader.close?.();
}
// Of the processor's time, not the clock's: other programs on the machine change it little.
process.stdout.write(`${JSON.stringify({ perCpuSecond: taken / busy, perSecond: (taken / wall) * 1000 })}\n`);
process.exit(0);
