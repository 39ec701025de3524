/**
 * D01: the gateway dies during logins. Load runs at 200 logins a second with refreshes and logouts mixed in;
 * the gateway is killed with SIGKILL at random moments and started again on the same data. An outside oracle
 * (a file that is written and synced before the next request of a lane) knows what was acknowledged.
 *
 * Must hold: every acknowledged session refreshes, every acknowledged logout holds, no spent nonce is accepted
 * again.
 *
 * Run: npm run drills -- d01 [--rounds 20] [--seed N]
 */
import { closeSync, fsyncSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  createHttpClient,
  createLoadWallets,
  type GatewayProcess,
  type HttpClient,
  type LoadWallet,
  logIn,
  postForm,
  startGatewayProcess,
} from '@countersign/testkit';
import { createRandom } from './lib/random.ts';
import { report, summary } from './lib/report.ts';

const LANES = 20;
const LOGINS_PER_SECOND = 200;

type Acknowledged =
  | { kind: 'login'; wallet: number; nonce: string; signature: string; refreshToken: string }
  | { kind: 'refresh'; refreshToken: string }
  /** Written before the request: without an answer, nobody may say whether the session still lives. */
  | { kind: 'logout-begun'; refreshToken: string }
  | { kind: 'logout'; refreshToken: string };

/** Appends one line and syncs it before anything else may happen. */
function createOracle(path: string) {
  const file = openSync(path, 'a');
  return {
    acknowledge(entry: Acknowledged) {
      writeSync(file, `${JSON.stringify(entry)}\n`);
      fsyncSync(file);
    },
    close: () => closeSync(file),
  };
}

/** One lane: log in, sometimes refresh, sometimes log out, at its share of the rate, until the gateway is gone. */
async function lane(
  client: HttpClient,
  wallets: LoadWallet[],
  random: () => number,
  oracle: ReturnType<typeof createOracle>,
): Promise<void> {
  const gap = (1000 * LANES) / LOGINS_PER_SECOND;
  for (;;) {
    const due = performance.now() + gap;
    const wallet = Math.floor(random() * wallets.length);
    const login = await logIn(client, wallets[wallet]!);
    if (login.status !== 200) throw new Error(`a good login was refused with ${login.status}`);
    const { nonce, signature, refreshToken } = login;
    oracle.acknowledge({ kind: 'login', wallet, nonce, signature, refreshToken });
    const what = random();
    if (what < 0.25) {
      const refreshed = await postForm(client, '/v1/user/login/refresh', { refreshToken });
      if (refreshed.status === 200) oracle.acknowledge({ kind: 'refresh', refreshToken });
    } else if (what < 0.5) {
      oracle.acknowledge({ kind: 'logout-begun', refreshToken });
      const out = await client.request(
        'POST',
        '/v1/user/logout',
        `Authorization: Bearer ${login.accessToken}\r\n`,
      );
      if (out.status === 200) oracle.acknowledge({ kind: 'logout', refreshToken });
    }
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, due - performance.now())));
  }
}

interface Tally {
  logins: number;
  refreshes: number;
  logouts: number;
  lost: number;
  resurrected: number;
  nonceAcceptedTwice: number;
}

/** Holds what the oracle knows against the restarted gateway. */
async function check(client: HttpClient, wallets: LoadWallet[], entries: Acknowledged[]): Promise<Tally> {
  const tally: Tally = {
    logins: 0,
    refreshes: 0,
    logouts: 0,
    lost: 0,
    resurrected: 0,
    nonceAcceptedTwice: 0,
  };
  const named = (kind: Acknowledged['kind']) =>
    new Set(entries.filter((entry) => entry.kind === kind).map((entry) => entry.refreshToken));
  const ended = named('logout');
  const ending = named('logout-begun');
  await eachBounded(entries, LANES, async (entry) => {
    if (entry.kind === 'refresh') tally.refreshes += 1;
    if (entry.kind === 'logout') tally.logouts += 1;
    if (entry.kind !== 'login') return;
    tally.logins += 1;
    const refreshed = await postForm(client, '/v1/user/login/refresh', { refreshToken: entry.refreshToken });
    if (ended.has(entry.refreshToken)) tally.resurrected += refreshed.status === 403 ? 0 : 1;
    else if (!ending.has(entry.refreshToken)) tally.lost += refreshed.status === 200 ? 0 : 1;
    const { address } = wallets[entry.wallet]!;
    const again = await postForm(client, '/v1/user/login/verify', {
      addr: address,
      nonceHash: entry.nonce,
      signature: entry.signature,
    });
    tally.nonceAcceptedTwice += again.status === 200 ? 1 : 0;
  });
  return tally;
}

async function eachBounded<T>(
  items: readonly T[],
  width: number,
  task: (item: T) => Promise<void>,
): Promise<void> {
  const queue = [...items];
  await Promise.all(
    Array.from({ length: width }, async () => {
      for (let item = queue.shift(); item !== undefined; item = queue.shift()) await task(item);
    }),
  );
}

export async function d01({ rounds, seed }: { rounds: number; seed: number }): Promise<boolean> {
  const random = createRandom(seed);
  const folder = mkdtempSync(join(tmpdir(), 'countersign-d01-'));
  const oraclePath = join(folder, 'acknowledged.jsonl');
  const dataDir = join(folder, 'data');
  const wallets = await createLoadWallets(64);
  const total: Tally = {
    logins: 0,
    refreshes: 0,
    logouts: 0,
    lost: 0,
    resurrected: 0,
    nonceAcceptedTwice: 0,
  };
  const restarts: number[] = [];
  // The failure limiter would rightly throttle the replays that the check sends from one address.
  const start = (): Promise<GatewayProcess> =>
    startGatewayProcess({ dataDir, flags: ['--no-sandbox', '--log-level', 'warn'] });
  let seen = 0;
  let gateway = await start();
  for (let round = 1; round <= rounds; round += 1) {
    const oracle = createOracle(oraclePath);
    const client = createHttpClient(gateway.ready.rest, LANES);
    const lanes = Array.from({ length: LANES }, () => lane(client, wallets, random, oracle));
    const died = setTimeout(() => void gateway.stop('SIGKILL'), 500 + random() * 1500);
    const ends = await Promise.allSettled(lanes);
    clearTimeout(died);
    client.close();
    oracle.close();
    for (const end of ends) {
      if (end.status === 'rejected' && !/connection lost|closed/.test(String(end.reason))) throw end.reason;
    }
    await gateway.stop('SIGKILL');
    gateway = await start();
    restarts.push(gateway.startedIn);
    const entries = readFileSync(oraclePath, 'utf8')
      .trim()
      .split('\n')
      .slice(seen)
      .map((line) => JSON.parse(line) as Acknowledged);
    seen += entries.length;
    const checker = createHttpClient(gateway.ready.rest, LANES);
    const tally = await check(checker, wallets, entries);
    checker.close();
    for (const key of Object.keys(total) as (keyof Tally)[]) total[key] += tally[key];
    report(
      `round ${round}/${rounds}: ${tally.logins} logins acknowledged, ${tally.lost} lost, ${tally.resurrected} resurrected, ${tally.nonceAcceptedTwice} nonces twice`,
    );
  }
  await gateway.stop();
  rmSync(folder, { recursive: true, force: true });
  return summary(
    'D01',
    { seed, rounds, ...total, restartToReadyMs: restarts },
    total.lost + total.resurrected + total.nonceAcceptedTwice === 0 && total.logins > 0,
  );
}
