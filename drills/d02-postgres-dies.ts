/**
 * D02: PostgreSQL dies under two gateways: first one of its backends is killed (SIGKILL), at which it ends all others and
 * recovers, then the server itself, which is started again after three seconds. Logins, refreshes and logouts go on all the while.
 *
 * Must hold: as D01, whichever node is asked afterwards; requests that need the database are answered with 503 and
 * `Retry-After`, none hangs, none is cut off, and nothing else is answered; both nodes serve again within ten seconds.
 *
 * Run: npm run drills -- d02 [--seed N] [--long]
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type Answer,
  createHttpClient,
  createLoadWallets,
  type HttpClient,
  type LoadWallet,
  postForm,
} from '@countersign/testkit';
import { acknowledgedIn, check, createOracle, noTally, type Oracle, type Tally } from './lib/acknowledged.ts';
import { pause, percentile, startDrillCluster } from './lib/gateway.ts';
import { createRandom } from './lib/random.ts';
import { report, summary } from './lib/report.ts';

const LANES = 8;
/** Milliseconds between two logins of a lane. */
const GAP = 80;
/** Milliseconds: two seconds, and half a one for a machine that runs the drill as well. */
const HANG = 2500;
const AWAY = 3000;
const BACK = 10_000;
const CALM = 3000;

interface Asked {
  at: number;
  ms: number;
  status: number;
  /** Refused with 503 and without a word that says when to come again. */
  wordless: boolean;
}

export async function d02({ seed, long = false }: { seed: number; long?: boolean }): Promise<boolean> {
  const random = createRandom(seed);
  const rounds = long ? 5 : 1;
  const folder = mkdtempSync(join(tmpdir(), 'countersign-d02-'));
  const path = join(folder, 'acknowledged.jsonl');
  const oracle = createOracle(path);
  const { cluster, stop } = await startDrillCluster({ nodes: 2 });
  const { postgres, nodes } = cluster;
  const doors = nodes.map(({ process }) => createHttpClient(process.ready.rest, LANES));
  const over = new AbortController();
  const asked: Asked[] = [];
  const cutOff: string[] = [];
  try {
    const wallets = await createLoadWallets(64);
    const lanes = Array.from({ length: LANES }, (_, n) =>
      lane({ client: doors[n % doors.length]!, wallets, random, oracle, asked, cutOff, end: over.signal }),
    );
    const phase = async (what: string, work: () => Promise<void>): Promise<[number, number]> => {
      const from = performance.now();
      await work();
      const until = performance.now();
      const within = asked.filter(({ at }) => at >= from && at < until);
      const refused = within.filter(({ status }) => status === 503).length;
      report(`${what}: ${within.length} requests, ${refused} refused, p99 ${p99Of(within)} ms`);
      return [from, until];
    };
    const before = await phase('before', () => pause(CALM));
    const recoveries: number[] = [];
    const during: [number, number][] = [];
    for (let round = 0; round < rounds; round += 1) {
      const fault = async (what: string, kill: () => Promise<void>) =>
        during.push(
          await phase(what, async () => {
            await kill();
            recoveries.push(await msUntilServing(doors, wallets[0]!));
          }),
        );
      await fault('a backend', async () => {
        const backends = postgres.backends('countersign');
        process.kill(backends[Math.floor(random() * backends.length)]!, 'SIGKILL');
      });
      await pause(1000);
      await fault('the server', async () => {
        await postgres.stop('SIGKILL');
        await pause(AWAY);
        await postgres.restart();
      });
    }
    const after = await phase('after', () => pause(CALM));
    over.abort();
    await Promise.all(lanes);
    oracle.close();

    const tally: Tally = noTally();
    const entries = acknowledgedIn(path);
    // Half of the sessions at each node: a check spends the refresh token of what it asks about.
    const half = new Set(entries.filter((_, n) => n % 2 === 0).map(({ refreshToken }) => refreshToken));
    for (const [n, door] of doors.entries()) {
      const part = await check(
        door,
        wallets,
        entries.filter(({ refreshToken }) => half.has(refreshToken) === (n === 0)),
      );
      for (const key of Object.keys(tally) as (keyof Tally)[]) tally[key] += part[key];
    }
    const within = ([from, until]: [number, number]) => asked.filter(({ at }) => at >= from && at < until);
    const faulty = during.flatMap(within);
    const slowest = Math.max(...asked.map(({ ms }) => ms));
    const odd = asked.filter(({ status }) => status !== 200 && status !== 503);
    const wordless = asked.filter((each) => each.wordless).length;
    const figures = {
      seed,
      faults: during.length,
      requests: asked.length,
      ...tally,
      refused: asked.filter(({ status }) => status === 503).length,
      refusedWithoutRetryAfter: wordless,
      otherAnswers: [...new Set(odd.map(({ status }) => String(status)))].join(' '),
      cutOff: cutOff.length,
      slowestMs: Math.round(slowest),
      p99Ms: { before: p99Of(within(before)), during: p99Of(faulty), after: p99Of(within(after)) },
      msToServing: recoveries,
    };
    return summary(
      'D02',
      figures,
      tally.lost + tally.resurrected + tally.nonceAcceptedTwice === 0 &&
        tally.logins > 0 &&
        figures.refused > 0 &&
        wordless + odd.length + cutOff.length === 0 &&
        slowest <= HANG &&
        Math.max(...recoveries) <= BACK,
    );
  } finally {
    over.abort();
    for (const door of doors) door.close();
    await stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

const p99Of = (asked: readonly Asked[]): number =>
  Math.round(
    percentile(
      asked.map(({ ms }) => ms),
      0.99,
    ),
  );

interface Lane {
  client: HttpClient;
  wallets: readonly LoadWallet[];
  random: () => number;
  oracle: Oracle;
  asked: Asked[];
  cutOff: string[];
  end: AbortSignal;
}

async function lane({ client, wallets, random, oracle, asked, cutOff, end }: Lane): Promise<void> {
  const timed = async (ask: Promise<Answer>): Promise<Answer | null> => {
    const at = performance.now();
    try {
      const answer = await ask;
      const wordless = answer.status === 503 && !/^retry-after: *\d/im.test(answer.head);
      asked.push({ at, ms: performance.now() - at, status: answer.status, wordless });
      return answer.status === 200 ? answer : null;
    } catch (error) {
      if (!end.aborted) cutOff.push(String(error));
      return null;
    }
  };
  const once = async (): Promise<void> => {
    const wallet = Math.floor(random() * wallets.length);
    const { address, signLogin } = wallets[wallet]!;
    const begun = await timed(postForm(client, '/v1/user/login', { addr: address, chainId: '1' }));
    if (begun === null) return;
    const nonce = String((JSON.parse(begun.body) as { data: { nonceHash: string } }).data.nonceHash);
    const signature = signLogin(nonce, 1);
    const done = await timed(
      postForm(client, '/v1/user/login/verify', { addr: address, nonceHash: nonce, signature }),
    );
    if (done === null) return;
    const { data } = JSON.parse(done.body) as {
      data: { accessToken: { token: string }; refreshToken: string };
    };
    const { refreshToken } = data;
    oracle.acknowledge({ kind: 'login', wallet, nonce, signature, refreshToken });
    const what = random();
    if (what < 0.25) {
      if ((await timed(postForm(client, '/v1/user/login/refresh', { refreshToken }))) !== null)
        oracle.acknowledge({ kind: 'refresh', refreshToken });
    } else if (what < 0.5) {
      oracle.acknowledge({ kind: 'logout-begun', refreshToken });
      const bearer = `Authorization: Bearer ${data.accessToken.token}\r\n`;
      if ((await timed(client.request('POST', '/v1/user/logout', bearer))) !== null)
        oracle.acknowledge({ kind: 'logout', refreshToken });
    }
  };
  while (!end.aborted) {
    await once();
    await pause(GAP);
  }
}

/** Until every node has answered five logins in a row. */
async function msUntilServing(doors: readonly HttpClient[], { address }: LoadWallet): Promise<number> {
  const begun = performance.now();
  const until = async (door: HttpClient) => {
    for (let row = 0; row < 5 && performance.now() - begun < 3 * BACK; ) {
      const { status } = await postForm(door, '/v1/user/login', { addr: address, chainId: '1' });
      row = status === 200 ? row + 1 : 0;
      if (status !== 200) await pause(50);
    }
  };
  await Promise.all(doors.map(until));
  return performance.now() - begun;
}
