/**
 * D18: 20 sockets send 5,000 messages a second each: pings, logins with a bad token, subscribes. Meanwhile 20 users
 * who do nothing wrong ask five times a second, over REST and over a socket.
 *
 * Must hold: no well-behaved request is refused or lost, their p99 stays under twice what it was (or under 20 ms more,
 * where it was that small), the flooding sockets are closed, and memory does not grow with what they send.
 *
 * Run: npm run drills -- d18
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import {
  createHttpClient,
  createLoadWallets,
  type HttpClient,
  logIn,
  openRawWebSocket,
  type RawWebSocket,
} from '@countersign/testkit';
import { pause, percentile, startDrillGateway } from './lib/gateway.ts';
import { report, summary } from './lib/report.ts';

const SOCKETS = 20;
const RATE = 5000;
const USERS = 20;
const PER_SECOND = 5;
const BEFORE = 5;
const DURING = 12;
/** MiB that the resident set may grow by. */
const ROOM = 96;
const PATIENCE = 10_000;

interface User {
  token: string;
  socket: RawWebSocket;
}

export async function d18(): Promise<boolean> {
  const gateway = await startDrillGateway();
  const { rest, websocket } = gateway.process.ready;
  const http = createHttpClient(rest, USERS);
  const users: User[] = [];
  try {
    for (const wallet of await createLoadWallets(USERS)) {
      const { accessToken: token } = await logIn(http, wallet);
      const socket = await openRawWebSocket(websocket, `Authorization: Bearer ${token}\r\n`);
      users.push({ token, socket });
    }
    const before = await behave(http, users, BEFORE);
    const residentBefore = gateway.resident();
    const program = fileURLToPath(new URL('./lib/flood.ts', import.meta.url));
    const flood = spawn(
      // Not on the gateway's processor: what the flood costs to make is not to be measured.
      'taskset',
      [
        '-c',
        '1',
        'nice',
        '-n',
        '10',
        process.execPath,
        '--import',
        'tsx',
        program,
        websocket,
        ...[SOCKETS, RATE, DURING].map(String),
      ],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    const told = once(createInterface({ input: flood.stdout }), 'line') as Promise<[string]>;
    // The program takes a moment to start: only what is asked while it floods counts.
    await pause(1500);
    const during = await behave(http, users, DURING - 2);
    const residentDuring = gateway.resident();
    const tally = JSON.parse((await told)[0]) as Record<string, number>;
    report(`flood: ${JSON.stringify(tally)}`);
    const ratio = during.p99 / before.p99;
    const calm = ratio < 2 || during.p99 - before.p99 < 20;
    const grown = residentDuring - residentBefore;
    return summary(
      'D18',
      {
        ...tally,
        asked: before.asked + during.asked,
        failed: before.failed + during.failed,
        p99BeforeMs: Math.round(before.p99 * 10) / 10,
        p99DuringMs: Math.round(during.p99 * 10) / 10,
        p99Ratio: Math.round(ratio * 100) / 100,
        residentBeforeMb: Math.round(residentBefore),
        residentDuringMb: Math.round(residentDuring),
      },
      before.failed + during.failed === 0 && calm && grown < ROOM && (tally.closed ?? 0) > 0,
    );
  } finally {
    for (const { socket } of users) socket.close();
    http.close();
    await gateway.stop();
  }
}

async function behave(http: HttpClient, users: readonly User[], duration: number) {
  const latencies: number[] = [];
  let failed = 0;
  const timed = async (work: () => Promise<boolean>) => {
    const begun = performance.now();
    const good = await work().catch(() => false);
    latencies.push(performance.now() - begun);
    if (!good) failed += 1;
  };
  const until = performance.now() + duration * 1000;
  await Promise.all(
    users.map(async ({ token, socket }, index) => {
      const headers = `Authorization: Bearer ${token}\r\n`;
      await pause((index * 1000) / PER_SECOND / users.length);
      while (performance.now() < until) {
        const due = performance.now() + 1000 / PER_SECOND;
        await timed(async () => (await http.request('GET', '/v1/user/info', headers)).status === 200);
        await timed(() => answered(socket));
        await pause(Math.max(0, due - performance.now()));
      }
    }),
  );
  return { p99: percentile(latencies, 0.99), asked: latencies.length, failed };
}

/** One more frame after a text ping. */
function answered(socket: RawWebSocket): Promise<boolean> {
  if (socket.closed) return Promise.resolve(false);
  return new Promise((resolve) => {
    const finish = (good: boolean) => {
      clearTimeout(timer);
      socket.onFrames = null;
      resolve(good);
    };
    const timer = setTimeout(() => finish(false), PATIENCE);
    const before = socket.frames;
    socket.onFrames = () => {
      if (socket.frames > before) finish(true);
    };
    socket.send('ping');
  });
}
