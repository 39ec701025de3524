/**
 * D14: 2,000 sockets of 2,000 users drop at once at the balancer, and every client signs in anew (the wallet login in
 * two requests, then a socket with its token and a private subscription): once as the seeds' clients do, each a second
 * after it was cut, all together and again a second after each refusal; once with the pauses of our SDK (full jitter,
 * `Retry-After` heeded).
 *
 * Must hold: no gateway ends; whatever is refused is refused with 429 or 503 and `Retry-After`, and nothing hangs or is
 * cut off; with jitter 95 % are back within 15 s; the herd without it comes back in the end.
 *
 * Run: npm run drills -- d14 [--nodes 2] [--seed N]
 */
import { createBackoff } from '@countersign/client';
import {
  createHttpClient,
  createLoadWallets,
  type HttpClient,
  type LoadWallet,
  logIn,
  openRawWebSocket,
  postForm,
  type RawWebSocket,
} from '@countersign/testkit';
import { type DrillCluster, type Operator, pause, percentile, startDrillCluster } from './lib/gateway.ts';
import { createRandom } from './lib/random.ts';
import { report, summary } from './lib/report.ts';

const SOCKETS = 2000;
const AT_ONCE = 100;
/** Seconds until 95 % have to be back, with jitter; and until everybody has to be, without. */
const SOON = 15;
const LATE = 60;
/** Milliseconds after which an answer counts as never given. */
const HANG = 10_000;
const SUBSCRIBE = JSON.stringify({
  op: 'subscribe',
  args: [{ channel: 'accountOrderUpdate', marketType: 'inclusionPreconf' }],
});

/** Milliseconds until the next attempt. */
type Pauses = (retryAfter?: number) => number;

/** Refused by a gateway that says so; the head of what it said. */
class Refused extends Error {
  readonly head: string;
  constructor(status: number, head: string) {
    super(String(status));
    this.head = head;
  }
}

interface Storm {
  /** Milliseconds from the cut, of those that are back. */
  back: number[];
  refused: Record<string, number>;
  /** Refused without a word that says when to come again, cut off, or left without an answer. */
  unclean: Record<string, number>;
  /** Milliseconds that each request took. */
  answers: number[];
}

export async function d14({ nodes, seed }: { nodes: number; seed: number }): Promise<boolean> {
  const random = createRandom(seed);
  const stage = await startDrillCluster({
    nodes,
    postgres: { shared_preload_libraries: 'pg_stat_statements' },
  });
  const { cluster } = stage;
  cluster.postgres.psql('countersign', 'create extension pg_stat_statements');
  const sockets: RawWebSocket[] = [];
  try {
    const wallets = await createLoadWallets(SOCKETS);
    const door = createHttpClient(cluster.rest, 1);
    const { accessToken } = await logIn(door, wallets[0]!);
    door.close();
    for (let from = 0; from < SOCKETS; from += AT_ONCE) {
      const some = Array.from({ length: AT_ONCE }, () => openStream(cluster.websocket, accessToken));
      sockets.push(...(await Promise.all(some)));
    }
    report(`${SOCKETS} sockets on ${nodes} nodes`);

    const clients = { sockets, wallets };
    const herd = await observed(stage, 'without jitter', (storm) =>
      breakOut(stage, clients, storm, () => () => 1000),
    );
    const spread = await observed(stage, 'with full jitter', (storm) =>
      breakOut(stage, clients, storm, () => createBackoff({ random }).next),
    );
    const alive = await Promise.all(cluster.nodes.map(({ process }) => stillThere(process.ended)));
    const ended = alive.filter((lives) => !lives).length;
    const unclean = [herd, spread].flatMap(({ unclean }) => Object.values(unclean));
    const held =
      ended === 0 &&
      unclean.length === 0 &&
      herd.allBack &&
      spread.allBack &&
      spread.s95 !== null &&
      spread.s95 <= SOON;
    return summary(
      'D14',
      { seed, nodes, sockets: SOCKETS, withoutJitter: herd, withJitter: spread, gatewaysEnded: ended },
      held,
    );
  } finally {
    for (const socket of sockets) socket.close();
    await stage.stop();
  }
}

/** Cuts everybody off and brings everybody back, each by its own pauses. */
async function breakOut(
  { cluster }: DrillCluster,
  { sockets, wallets }: { sockets: RawWebSocket[]; wallets: readonly LoadWallet[] },
  storm: Storm,
  pauses: () => Pauses,
): Promise<void> {
  const http = createHttpClient(cluster.rest, SOCKETS);
  const begun = performance.now();
  const until = begun + LATE * 1000;
  cluster.balancer.cut();
  while (sockets.some(({ closed }) => !closed)) await pause(1);
  const note = (of: Record<string, number>, what: string) => {
    of[what] = (of[what] ?? 0) + 1;
  };
  const client = async (n: number): Promise<void> => {
    const next = pauses();
    let wait = next();
    while (performance.now() + wait < until) {
      await pause(wait);
      try {
        const token = await signIn(http, wallets[n]!, storm);
        sockets[n] = await timed(storm, openStream(cluster.websocket, token));
        storm.back.push(performance.now() - begun);
        return;
      } catch (error) {
        const { head = '', message } = error as Partial<Refused> & Error;
        const retryAfter = /^retry-after: *(\d+)/im.exec(head)?.[1];
        const clean = (message === '429' || message === '503') && retryAfter !== undefined;
        note(clean ? storm.refused : storm.unclean, message);
        wait = next(retryAfter === undefined ? undefined : Number(retryAfter));
      }
    }
  };
  await Promise.all(Array.from({ length: SOCKETS }, (_, n) => client(n)));
  http.close();
}

/** One storm, with what it did to gateways and database. */
async function observed(
  { cluster, operators }: DrillCluster,
  name: string,
  run: (storm: Storm) => Promise<void>,
) {
  const statements = () =>
    Number(cluster.postgres.psql('countersign', 'select sum(calls)::bigint from pg_stat_statements'));
  const storm: Storm = { back: [], refused: {}, unclean: {}, answers: [] };
  const lag = async (operator: Operator) =>
    1000 * (await operator.metric('countersign_nodejs_eventloop_lag_max_seconds '));
  await Promise.all(operators.map(lag));
  const logins = () => sum(operators, 'countersign_logins_total', 'outcome="ok"');
  const before = { logins: await logins(), statements: statements() };
  let queued = 0;
  const lags: number[] = [];
  // Each reading starts the event loop's measure anew: the peak is the highest of them.
  const watch = setInterval(() => {
    for (const operator of operators) {
      lag(operator).then((ms) => lags.push(ms));
      operator.metric('countersign_store_pool_waiting').then((count) => {
        queued = Math.max(queued, count);
      });
    }
  }, 500);
  await run(storm);
  clearInterval(watch);
  lags.push(...(await Promise.all(operators.map(lag))));
  const after = { logins: await logins(), statements: statements() };
  const { back, refused, unclean, answers } = storm;
  const share = (of: number) => {
    const all = back.length / SOCKETS;
    return all < of ? null : Math.round(percentile(back, of / all - 1e-9) / 10) / 100;
  };
  const figures = {
    s50: share(0.5),
    s95: share(0.95),
    s100: share(1),
    allBack: back.length === SOCKETS,
    refused,
    unclean,
    answerP99Ms: Math.round(percentile(answers, 0.99)),
    slowestAnswerMs: Math.round(percentile(answers, 1)),
    peakLoopDelayMs: Math.round(Math.max(...lags)),
    mostWaitingForDatabase: queued,
    statementsPerLogin: Number(
      ((after.statements - before.statements) / (after.logins - before.logins)).toFixed(1),
    ),
  };
  report(`${name}: ${JSON.stringify(figures)}`);
  return figures;
}

/** A wallet login. @returns its access token. @throws Refused */
async function signIn(http: HttpClient, wallet: LoadWallet, storm: Storm): Promise<string> {
  const ask = async (path: string, fields: Record<string, string>): Promise<Record<string, unknown>> => {
    const { status, head, body } = await timed(storm, postForm(http, path, fields));
    if (status !== 200) throw new Refused(status, head);
    return (JSON.parse(body) as { data: Record<string, unknown> }).data;
  };
  const addr = wallet.address;
  const { nonceHash } = await ask('/v1/user/login', { addr, chainId: '1' });
  const nonce = String(nonceHash);
  const signature = wallet.signLogin(nonce, 1);
  const { accessToken } = await ask('/v1/user/login/verify', { addr, nonceHash: nonce, signature });
  return (accessToken as { token: string }).token;
}

/** A socket whose private subscription was answered. @throws Refused */
async function openStream(url: string, token: string): Promise<RawWebSocket> {
  const socket = await openRawWebSocket(url, `Authorization: Bearer ${token}\r\n`).catch((error: Error) => {
    const status = / (\d{3}) /.exec(error.message)?.[1];
    throw status === undefined ? error : new Refused(Number(status), String(error.cause));
  });
  await new Promise<void>((resolve) => {
    socket.onFrames = resolve;
    socket.send(SUBSCRIBE);
  });
  socket.onFrames = null;
  return socket;
}

/** @throws Error `no answer` after {@link HANG} */
function timed<T>(storm: Storm, work: Promise<T>): Promise<T> {
  const asked = performance.now();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('no answer')), HANG);
  });
  return Promise.race([work, late]).finally(() => {
    clearTimeout(timer);
    storm.answers.push(performance.now() - asked);
  });
}

const stillThere = (ended: Promise<unknown>): Promise<boolean> =>
  Promise.race([ended.then(() => false), pause(0).then(() => true)]);

async function sum(operators: readonly Operator[], name: string, ...labels: string[]): Promise<number> {
  const all = await Promise.all(operators.map((operator) => operator.metric(name, ...labels)));
  return all.reduce((total, each) => total + each, 0);
}
