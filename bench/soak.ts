/**
 * The soak of `lib/soak.ts` against a gateway in a process of its own, with the memory of both.
 *
 * Time is shortened: an access token lives 60 s instead of an hour and a session 300 s instead of seven days, so
 * that ten minutes see what ten hours of tokens and two weeks of sessions do. Pings, pauses and faults are in real time.
 *
 * Run: npx tsx --expose-gc bench/soak.ts [--minutes 10] [--clients 50] [--seed text] [--restart 45]
 *      [--access 60] [--session 300] [--rate 20] [--keep] [--snapshots folder]
 */
import { randomBytes } from 'node:crypto';
import { createWriteStream, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { writeHeapSnapshot } from 'node:v8';
import { type GatewayProcess, startGatewayProcess } from '@countersign/testkit';
import { inspectorOf } from './lib/collect-garbage.ts';
import { soak } from './lib/soak.ts';
import { type MemoryPoint, memoryHere, memoryOf, type RemoteMemory, slopeOf } from './lib/soak-memory.ts';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    /** Of each door. */
    clients: { type: 'string', default: '50' },
    seed: { type: 'string', default: randomBytes(4).toString('hex') },
    /** Seconds between restarts, in the first part. */
    restart: { type: 'string', default: '45' },
    /** Lives in seconds. */
    access: { type: 'string', default: '60' },
    session: { type: 'string', default: '300' },
    rate: { type: 'string', default: '20' },
    /** Writes the result to bench/results/soak.json. */
    keep: { type: 'boolean', default: false },
    /** Writes heap snapshots of both processes at the start and near the end of the time in which memory is watched. */
    snapshots: { type: 'string' },
  },
});
const seconds = Number(values.minutes) * 60;
const rate = Number(values.rate);
const lives = { access: Number(values.access), session: Number(values.session), leeway: 5 };
/** As many as the gateway remembers of each log: then its memory is as full as it will ever be. */
const REMEMBERED = 1000;
const SAMPLE_EVERY = 5;
const load = loadavg()[0]!;

const dataDir = mkdtempSync(join(tmpdir(), 'countersign-soak-'));
const env = {
  COUNTERSIGN_SANDBOX_FAULTS: 'true',
  COUNTERSIGN_TOKENS_ACCESS_TTL: String(lives.access),
  COUNTERSIGN_TOKENS_REFRESH_TTL: String(lives.session),
  COUNTERSIGN_TOKENS_LEEWAY: String(lives.leeway),
};
const start = (flags: string[] = []) =>
  startGatewayProcess({
    dataDir,
    env,
    flags: ['--no-sandbox', '--log-level', 'error', ...flags],
    node: ['--inspect=127.0.0.1:0'],
    // On a machine that others use as well.
    patience: 60_000,
  });
let gateway: GatewayProcess = await start();
const portOf = (url: string) => new URL(url).port;
const ports = ['--port', portOf(gateway.ready.rest), '--internal-port', portOf(gateway.ready.internal)];

const memory: { clients: MemoryPoint[]; gateway: MemoryPoint[] } = { clients: [], gateway: [] };
let remote: RemoteMemory | null = null;
async function take(at: number): Promise<void> {
  remote ??= await memoryOf(inspectorOf(gateway.log));
  const taken = memory.clients.length;
  if (taken === 0) await snapshots('start');
  if (taken === Math.floor((0.8 * watched.seconds) / SAMPLE_EVERY)) await snapshots('end');
  memory.clients.push(await memoryHere(at));
  memory.gateway.push(await remote.sample(at));
}
async function snapshots(when: string): Promise<void> {
  if (values.snapshots === undefined) return;
  writeHeapSnapshot(join(values.snapshots, `clients-${when}.heapsnapshot`));
  const file = createWriteStream(join(values.snapshots, `gateway-${when}.heapsnapshot`));
  await remote?.snapshot((chunk) => file.write(chunk));
  await new Promise<void>((resolve) => file.end(resolve));
}

const hours = (seconds * 3600) / lives.access / 3600;
const weeks = seconds / lives.session;
console.log(
  `seed ${values.seed}; ${values.clients} clients of each of ethgas, coinbase and socketio; ${seconds} s, which are ` +
    `${hours.toFixed(1)} h in lives of access tokens (${3600 / lives.access} times shortened) and ` +
    `${weeks.toFixed(1)} weeks in lives of sessions (${Math.round((7 * 86_400) / lives.session)} times)`,
);
const restart = async () => {
  await gateway.stop('SIGKILL');
  gateway = await start(ports);
};
const restarting = { seconds: seconds * 0.35, restartEvery: Number(values.restart) };
const warmUp = { seconds: seconds * 0.2, restartEvery: Number.POSITIVE_INFINITY, fill: REMEMBERED };
const watched = {
  seconds: seconds * 0.45,
  restartEvery: Number.POSITIVE_INFINITY,
  sample: { every: SAMPLE_EVERY, take },
};
const report = await soak(
  {
    urls: gateway.ready,
    backendToken: readFileSync(join(dataDir, 'backend.token'), 'utf8').trim(),
    seed: values.seed,
    perDoor: Number(values.clients),
    rate,
    lives,
    restart,
  },
  [restarting, warmUp, watched],
);
// A process that is being inspected waits for its inspector before it ends.
(remote as RemoteMemory | null)?.close();
await gateway.stop();
rmSync(dataDir, { recursive: true, force: true });

const shown = (points: readonly MemoryPoint[]) =>
  Object.fromEntries(
    (['heap', 'rss', 'external'] as const).map((of) => {
      const slope = slopeOf(points, of);
      if (slope === null) return [of, 'watched for too short a time'];
      const { mean, perHour, within } = slope;
      return [of, `${mean.toFixed(1)} MiB, ${perHour.toFixed(1)} ± ${within.toFixed(1)} MiB/h`];
    }),
  );
const figures = {
  ...report,
  'protocol hours': hours,
  'protocol weeks of sessions': weeks,
  'memory watched for, s': Math.round(watched.seconds),
  'memory of the gateway': shown(memory.gateway),
  'memory of clients and oracles': shown(memory.clients),
};
console.log(JSON.stringify(figures, null, 2));
if (values.keep) {
  const machine = {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    node: process.version,
    loadAtStart: load,
  };
  const folder = new URL('./results/', import.meta.url);
  mkdirSync(folder, { recursive: true });
  const raw = { bench: 'soak', at: new Date().toISOString(), machine, figures, memory };
  writeFileSync(new URL('soak.json', folder), `${JSON.stringify(raw, null, 1)}\n`);
}
process.exit(report.failures.length === 0 ? 0 : 1);
