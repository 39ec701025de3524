/**
 * How many publications per second reach 1,000 subscribers over real loopback sockets: hub, outbox and
 * flusher against plain `ws.send` for every subscriber, in the same run on the same sockets' twins.
 *
 *   npx tsx --conditions=source bench/outbox-micro.ts [subscribers=1000] [seconds=3] [payload bytes=150]
 *
 * Each way gets its own `ws` server in this process, and readers in a child process that parse nothing: they
 * count bytes. Publishing goes as fast as the readers take it: while any reader is more than 64 KiB behind,
 * the publisher pauses. So memory is bounded and every frame that counts was delivered.
 * The two ways take turns, three rounds each; the middle round is shown. Publisher and readers share the
 * machine: with fewer than two cores the figures mean little.
 *
 * `at a fixed rate`: publications evenly spaced at the given rates, CPU time of this process per frame.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { type WebSocket, WebSocketServer } from 'ws';
import { createMemoryBroker } from '../packages/gateway/src/broker/memory.ts';
import { systemClock } from '../packages/gateway/src/operations/clock.ts';
import { channelTable } from '../packages/gateway/src/streams/channel.ts';
import type { Encoder } from '../packages/gateway/src/streams/encoder.ts';
import { createFlusher } from '../packages/gateway/src/streams/flusher.ts';
import { createHub } from '../packages/gateway/src/streams/hub.ts';
import { createOutbox, type Outbox } from '../packages/gateway/src/streams/outbox.ts';
import { socketSink } from '../packages/gateway/src/streams/socket-sink.ts';
import { textFrame } from '../packages/gateway/src/streams/text-frame.ts';

const HIGH_WATER = 64 * 1024;
const ROUNDS = 3;

/** The child: opens sockets, upgrades them by hand and answers `count` with the bytes seen since. */
async function read(port: number, count: number): Promise<void> {
  let bytes = 0;
  const sockets: Socket[] = [];
  for (let i = 0; i < count; i++) {
    const socket = connect(port, '127.0.0.1');
    await once(socket, 'connect');
    socket.write(
      'GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
        'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n',
    );
    await once(socket, 'data');
    socket.on('data', (chunk) => {
      bytes += chunk.length;
    });
    sockets.push(socket);
  }
  process.on('message', () => {
    process.send?.(bytes);
    bytes = 0;
  });
  process.on('disconnect', () => process.exit());
  process.send?.('ready');
}

interface Way {
  name: string;
  publish(): void;
  /** Bytes that one socket is behind. */
  behind(socket: number): number;
  readers: ReturnType<typeof fork>;
  close(): void;
}

async function serve(
  subscribers: number,
): Promise<{ clients: WebSocket[]; readers: Way['readers']; close(): void }> {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate: false });
  await once(server, 'listening');
  const clients: WebSocket[] = [];
  server.on('connection', (client) => clients.push(client));
  const { port } = server.address() as { port: number };
  const readers = fork(fileURLToPath(import.meta.url), [String(port), String(subscribers)], {
    execArgv: process.execArgv,
  });
  await once(readers, 'message');
  return {
    clients,
    readers,
    close() {
      readers.disconnect();
      for (const client of clients) client.terminate();
      server.close();
    },
  };
}

const socketOf = (client: WebSocket): Socket => (client as unknown as { _socket: Socket })._socket;

async function below(way: Way, subscribers: number, bytes: number): Promise<void> {
  for (let i = 0; i < subscribers; i++) {
    while (way.behind(i) > bytes) await new Promise((resolve) => setImmediate(resolve));
  }
}

async function plain(subscribers: number, payload: string): Promise<Way> {
  const { clients, readers, close } = await serve(subscribers);
  const sockets = clients.map(socketOf);
  return {
    name: 'ws.send to each',
    publish() {
      // What a server without a hub does: the text is made once, framed and written per client.
      for (const client of clients) client.send(payload);
    },
    behind: (i) => sockets[i]!.writableLength,
    readers,
    close,
  };
}

async function hubbed(subscribers: number, payload: string): Promise<Way> {
  const { clients, readers, close } = await serve(subscribers);
  const sockets = clients.map(socketOf);
  const channels = channelTable([
    { name: 'trades', kind: 'log', audience: 'public', permission: null, keyedBy: 'product', history: 100 },
  ]);
  const broker = createMemoryBroker({ clock: systemClock, channels });
  const hub = createHub({ broker, channels, clock: systemClock });
  const flusher = createFlusher({ clock: systemClock, coalesceMs: 10 });
  const encoder: Encoder = { publication: () => textFrame(payload), snapshot: () => [] };
  const outboxes: Outbox[] = [];
  for (const socket of sockets) {
    const outbox = createOutbox({
      sink: socketSink(socket),
      flusher,
      limits: { soft: 64 * 1024 * 1024, hard: 128 * 1024 * 1024 },
      onOverflow: () => socket.destroy(),
    });
    const subscription = hub.join({
      channel: 'trades',
      key: 'ETH-USD',
      encoder,
      outbox,
      onCut: (reason) => {
        throw new Error(`cut: ${reason}`);
      },
    });
    outboxes.push(outbox);
    outbox.pushAll(subscription.opening);
    subscription.start();
  }
  const draft = { channel: 'trades', key: 'ETH-USD', time: 0, data: {} };
  return {
    name: 'hub and outbox',
    publish() {
      void broker.publish([draft]);
    },
    behind: (i) => outboxes[i]!.queuedBytes,
    readers,
    close() {
      hub.close();
      flusher.close();
      close();
    },
  };
}

async function received(way: Way): Promise<number> {
  way.readers.send('count');
  const [bytes] = await once(way.readers, 'message');
  return bytes as number;
}

/** Publications per second, as fast as the readers take them; by bytes that arrived. */
async function saturate(way: Way, ms: number, subscribers: number, frame: number): Promise<number> {
  await received(way);
  const started = performance.now();
  let published = 0;
  // A burst per turn of the loop, as publications arrive from a socket; never more than the high-water mark.
  const burst = Math.max(1, Math.floor(HIGH_WATER / frame / 8));
  while (performance.now() - started < ms) {
    for (let i = 0; i < burst; i++) way.publish();
    published += burst;
    await new Promise((resolve) => setImmediate(resolve));
    await below(way, subscribers, HIGH_WATER);
  }
  await below(way, subscribers, 0);
  const expected = published * subscribers * frame;
  let got = 0;
  while (got < expected) got += await received(way);
  if (got !== expected) throw new Error(`${way.name}: ${got} bytes arrived, not ${expected}`);
  return published / ((performance.now() - started) / 1000);
}

/** Microseconds of this process's CPU time per frame at a rate of publications per second. */
async function paced(way: Way, ms: number, rate: number, subscribers: number): Promise<string> {
  const before = process.cpuUsage();
  const started = performance.now();
  let published = 0;
  while (performance.now() - started < ms) {
    const due = Math.floor(((performance.now() - started) / 1000) * rate);
    if (published < due) {
      way.publish();
      published++;
    }
    await new Promise((resolve) => setTimeout(resolve, published < due ? 0 : 1));
  }
  await below(way, subscribers, 0);
  const { user, system } = process.cpuUsage(before);
  const took = (performance.now() - started) / 1000;
  return `${(published / took).toFixed(0)}/s, ${((user + system) / published / subscribers).toFixed(2)} us per frame`;
}

async function main(subscribers: number, seconds: number, size: number): Promise<void> {
  const payload = 'x'.repeat(size);
  const frame = textFrame(payload).length;
  const ways = [await plain(subscribers, payload), await hubbed(subscribers, payload)];
  const rates = new Map(ways.map((way) => [way, [] as number[]]));
  for (const way of ways) await saturate(way, 500, subscribers, frame);
  for (let round = 0; round < ROUNDS; round++) {
    for (const way of ways) rates.get(way)!.push(await saturate(way, seconds * 1000, subscribers, frame));
  }
  const middle = ways.map((way) => rates.get(way)!.sort((a, b) => a - b)[Math.floor(ROUNDS / 2)]!);
  console.log(`${subscribers} subscribers, ${size} byte payloads, Node ${process.version}`);
  ways.forEach((way, i) => {
    const rate = middle[i]!;
    console.log(
      `${way.name.padEnd(16)} ${rate.toFixed(0).padStart(7)} publications/s ${((rate * subscribers) / 1000).toFixed(0).padStart(7)} k frames/s`,
    );
  });
  console.log(`ratio ${(middle[1]! / middle[0]!).toFixed(1)}`);
  for (const rate of [20, 100]) {
    for (const way of ways) {
      console.log(
        `at ${rate}/s ${way.name.padEnd(16)} ${await paced(way, seconds * 1000, rate, subscribers)}`,
      );
    }
  }
  for (const way of ways) way.close();
}

if (process.send) await read(Number(process.argv[2]), Number(process.argv[3]));
else
  await main(Number(process.argv[2] ?? 1000), Number(process.argv[3] ?? 3), Number(process.argv[4] ?? 150));
