/**
 * D09: the database is slow. Two gateways reach it through proxies that hold everything up by 200 ms, then by two
 * seconds; then somebody holds a lock on the table that logins write, so that every connection of the pool waits, and 2,400
 * logins arrive within little more than a second.
 *
 * Must hold: who comes with a token that the node has verified before is served as ever (p99 at most twice, or 50 ms more than, what it
 * was; in the last case, than under the same flood without the lock); logins are answered or refused with 503 and `Retry-After`, none hangs; no more than 2,000 calls wait; afterwards
 * logins are answered again.
 *
 * Run: npm run drills -- d09
 */
import { spawn } from 'node:child_process';
import { createHttpClient, createLoadWallets, type HttpClient, logIn, postForm } from '@countersign/testkit';
import { type Operator, pause, percentile, startDrillCluster } from './lib/gateway.ts';
import { openLogReader } from './lib/log-readers.ts';
import { report, summary } from './lib/report.ts';

const LANES = 8;
const FLOOD = 2400;
const FLOOD_MS = 1200;
const MOST_WAITING = 2000;
/** Milliseconds: of a phase, of the lock, from one look with a known token to the next. */
const PHASE = 5000;
const LOCKED = 4000;
const LOOK = 50;
/** Milliseconds: two seconds, and one for a machine that floods itself. */
const HANG = 3000;

interface Phase {
  /** Of a socket that is opened, recognised and subscribed. */
  p99: number;
  failed: number;
  logins: number;
  shed: number;
  unclean: number;
  slowest: number;
  waiting: number;
}

export async function d09(): Promise<boolean> {
  const { cluster, operators, stop } = await startDrillCluster({
    nodes: 2,
    proxies: true,
    env: { COUNTERSIGN_WALLET_CHALLENGES_PER_SOURCE: '100000' },
  });
  const doors = cluster.nodes.map(({ process }) => createHttpClient(process.ready.rest, FLOOD));
  const proxies = cluster.nodes.map(({ towards }) => towards!.postgres);
  try {
    const [wallet] = await createLoadWallets(1);
    const { accessToken: token } = await logIn(doors[0]!, wallet!);
    const known = { url: cluster.nodes[0]!.process.ready.websocket.replace('/ws', ''), token };
    const phase = async (name: string, extra: () => Promise<Answered[]> = async () => []) => {
      const found = await load({ doors, operator: operators[0]!, known, extra });
      report(`${name}: ${JSON.stringify(found)}`);
      return found;
    };
    const delayed = async (ms: number) => {
      for (const proxy of proxies) proxy.delay = ms;
      const found = await phase(`${ms} ms late`);
      for (const proxy of proxies) proxy.delay = 0;
      await pause(1000);
      return found;
    };
    await load({ doors, operator: operators[0]!, known, extra: async () => [], ms: 1000 });
    const before = await phase('before');
    const late = await delayed(100);
    const veryLate = await delayed(1000);
    const flooded = await phase('a flood alone', () => flood(doors[0]!));
    const locked = await phase('locked', async () => {
      const lock = holdLock(cluster.postgres.url('countersign'));
      await pause(300);
      const answers = await flood(doors[0]!, 10_000);
      await lock;
      return answers;
    });
    await pause(1000);
    const after = await phase('after');
    const faulty = [late, veryLate, locked];
    /** A flood costs time whatever becomes of it. */
    const calm = (one: Phase) => {
      const usual = one === locked ? flooded.p99 : before.p99;
      return one.p99 <= Math.max(2 * usual, usual + 50);
    };
    const all = [before, flooded, ...faulty, after];
    return summary(
      'D09',
      { before, late, veryLate, flooded, locked, after },
      faulty.every(calm) &&
        all.every(
          (one) => one.failed + one.unclean === 0 && one.slowest <= HANG && one.waiting <= MOST_WAITING,
        ) &&
        locked.shed > 0 &&
        locked.waiting > LANES &&
        after.shed === 0 &&
        after.logins > 0,
    );
  } finally {
    for (const door of doors) door.close();
    await stop();
  }
}

interface Answered {
  status: number;
  ms: number;
  clean: boolean;
}

/** Asks for a login message. */
async function begin(door: HttpClient, address: string): Promise<Answered> {
  const at = performance.now();
  const { status, head } = await postForm(door, '/v1/user/login', { addr: address, chainId: '1' });
  const clean = status === 200 || (status === 503 && /^retry-after: *\d/im.test(head));
  return { status, ms: performance.now() - at, clean };
}

const addressOf = (n: number) => `0x${(n + 1).toString(16).padStart(40, '0')}`;

/** Far more at once than the pool has connections. */
async function flood(door: HttpClient, first = 1000): Promise<Answered[]> {
  const begun = performance.now();
  return Promise.all(
    Array.from({ length: FLOOD }, async (_, n) => {
      await pause(Math.max(0, begun + (FLOOD_MS * n) / FLOOD - performance.now()));
      return begin(door, addressOf(first + n));
    }),
  );
}

interface Load {
  doors: readonly HttpClient[];
  operator: Operator;
  known: { url: string; token: string };
  extra: () => Promise<Answered[]>;
  ms?: number;
}

async function load({ doors, operator, known, extra, ms = PHASE }: Load): Promise<Phase> {
  const until = performance.now() + ms;
  const answers: Answered[] = [];
  const looks: number[] = [];
  let failed = 0;
  let waiting = 0;
  const login = async (n: number) => {
    for (let turn = 0; performance.now() < until; turn += 1) {
      answers.push(await begin(doors[n % doors.length]!, addressOf(n * 100 + (turn % 100))));
      await pause(50);
    }
  };
  const look = async () => {
    while (performance.now() < until) {
      const at = performance.now();
      const reader = await openLogReader({
        ...known,
        protocol: 'websocket',
        channel: 'accountOrderUpdate',
        marketType: 'inclusionPreconf',
        comeBack: null,
      }).catch(() => null);
      if (reader === null) failed += 1;
      else looks.push(performance.now() - at);
      reader?.close();
      await pause(LOOK);
    }
  };
  const watch = async () => {
    while (performance.now() < until) {
      waiting = Math.max(waiting, await operator.metric('countersign_store_pool_waiting '));
      await pause(250);
    }
  };
  const [more] = await Promise.all([
    extra(),
    look(),
    watch(),
    ...Array.from({ length: LANES }, (_, n) => login(n)),
  ]);
  const all = [...answers, ...more];
  return {
    p99: Math.round(percentile(looks, 0.99)),
    failed,
    logins: all.filter(({ status }) => status === 200).length,
    shed: all.filter(({ status }) => status === 503).length,
    unclean: all.filter(({ clean }) => !clean).length,
    slowest: Math.round(Math.max(...all.map(({ ms: took }) => took))),
    waiting,
  };
}

/** Somebody else's transaction, in a process of its own: this one has answers to time. */
function holdLock(url: string): Promise<void> {
  const sql = `begin; lock table challenges in access exclusive mode; select pg_sleep(${LOCKED / 1000}); commit;`;
  const child = spawn('psql', ['-X', '-q', '-c', sql, url], { stdio: 'ignore' });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => (code === 0 ? resolve() : reject(new Error(`psql ended with ${code}`))));
  });
}
