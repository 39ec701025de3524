/**
 * D01: a gateway dies during logins. Load runs at 200 logins a second with refreshes and logouts mixed in, spread
 * over all nodes; one of them is killed with SIGKILL at random moments and started again on the same data. An
 * outside oracle (a file that is written and synced before the next request of a lane) knows what was acknowledged.
 *
 * Must hold, whichever node is asked afterwards: every acknowledged session refreshes, every acknowledged logout
 * holds, no spent nonce is accepted again.
 *
 * Run: npm run drills -- d01 [--rounds 20] [--seed N] [--nodes 2]
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  createHttpClient,
  createLoadWallets,
  type HttpClient,
  type LoadWallet,
  logIn,
  postForm,
  startGatewayProcess,
} from '@countersign/testkit';
import { acknowledgedIn, check, createOracle, noTally, type Oracle, type Tally } from './lib/acknowledged.ts';
import { startDrillCluster } from './lib/gateway.ts';
import { createRandom } from './lib/random.ts';
import { report, summary } from './lib/report.ts';

const LANES = 20;
const LOGINS_PER_SECOND = 200;

/** One lane: log in, sometimes refresh, sometimes log out, at its share of the rate, until its node is gone or the round ends. */
async function lane(
  client: HttpClient,
  wallets: LoadWallet[],
  random: () => number,
  oracle: Oracle,
  end: AbortSignal,
): Promise<void> {
  const gap = (1000 * LANES) / LOGINS_PER_SECOND;
  while (!end.aborted) {
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

/** Gateways that can be killed one at a time. */
interface Stage {
  /** REST of each node. */
  rest(): string[];
  kill(node: number): Promise<unknown>;
  /** @returns milliseconds until it was ready again */
  restart(node: number): Promise<number>;
  stop(): Promise<void>;
}

async function stageOf(nodes: number, dataDir: string): Promise<Stage> {
  const flags = ['--no-sandbox', '--log-level', 'warn'];
  if (nodes === 1) {
    const start = () => startGatewayProcess({ dataDir, flags });
    let gateway = await start();
    return {
      rest: () => [gateway.ready.rest],
      kill: () => gateway.stop('SIGKILL'),
      async restart() {
        gateway = await start();
        return gateway.startedIn;
      },
      stop: () => gateway.stop().then(() => undefined),
    };
  }
  const { cluster, stop } = await startDrillCluster({ nodes, dataDir, flags });
  return {
    rest: () => cluster.nodes.map(({ process }) => process.ready.rest),
    kill: async (node) => cluster.nodes[node]?.stop('SIGKILL'),
    async restart(node) {
      await cluster.nodes[node]?.start();
      return cluster.nodes[node]?.process.startedIn ?? Number.NaN;
    },
    stop,
  };
}

/** What the nodes that live go on for after the other has died, in milliseconds. */
const AFTERWARDS = 300;

export async function d01({
  rounds,
  seed,
  nodes,
}: {
  rounds: number;
  seed: number;
  nodes: number;
}): Promise<boolean> {
  const random = createRandom(seed);
  const folder = mkdtempSync(join(tmpdir(), 'countersign-d01-'));
  const oraclePath = join(folder, 'acknowledged.jsonl');
  const dataDir = join(folder, 'data');
  const wallets = await createLoadWallets(64);
  const total = noTally();
  const restarts: number[] = [];
  const stage = await stageOf(nodes, dataDir);
  let seen = 0;
  for (let round = 1; round <= rounds; round += 1) {
    const oracle = createOracle(oraclePath);
    const clients = stage.rest().map((url) => createHttpClient(url, LANES));
    const over = new AbortController();
    const lanes = Array.from({ length: LANES }, (_, n) =>
      lane(clients[n % clients.length]!, wallets, random, oracle, over.signal),
    );
    const victim = Math.floor(random() * nodes);
    const died = setTimeout(
      () => {
        void stage.kill(victim);
        setTimeout(() => over.abort(), AFTERWARDS);
      },
      500 + random() * 1500,
    );
    const ends = await Promise.allSettled(lanes);
    clearTimeout(died);
    for (const client of clients) client.close();
    oracle.close();
    for (const end of ends) {
      if (end.status === 'rejected' && !/connection lost|closed/.test(String(end.reason))) throw end.reason;
    }
    await stage.kill(victim);
    restarts.push(await stage.restart(victim));
    const entries = acknowledgedIn(oraclePath, seen);
    seen += entries.length;
    // Each node in turn: what one promised, all keep.
    const checker = createHttpClient(stage.rest()[(victim + round) % nodes]!, LANES);
    const tally = await check(checker, wallets, entries);
    checker.close();
    for (const key of Object.keys(total) as (keyof Tally)[]) total[key] += tally[key];
    report(
      `round ${round}/${rounds}: ${tally.logins} logins acknowledged, ${tally.lost} lost, ${tally.resurrected} resurrected, ${tally.nonceAcceptedTwice} nonces twice`,
    );
  }
  await stage.stop();
  rmSync(folder, { recursive: true, force: true });
  return summary(
    'D01',
    { seed, nodes, rounds, ...total, restartToReadyMs: restarts },
    total.lost + total.resurrected + total.nonceAcceptedTwice === 0 && total.logins > 0,
  );
}
