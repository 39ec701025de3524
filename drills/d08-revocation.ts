/**
 * D08: access of 2,000 sockets is revoked, once as one session of one user, once as 100 users with 20 sockets
 * each. Measured from the admin call to the close frame as its client sees it: the last byte that could have been private came before. With several nodes the
 * sockets are spread over them, every call goes to the first, and both are done once more while Redis stands
 * still, when only the change log in PostgreSQL tells the other nodes.
 *
 * Must hold (R46): p99 at most 1 s, nobody later than 3 s, every one closed with 4000; sockets of a user who was
 * not meant stay; the token opens nothing any more, on no node.
 *
 * Run: npm run drills -- d08 [--nodes 2]
 */
import {
  createHttpClient,
  createLoadWallets,
  logIn,
  openRawWebSocket,
  type RawWebSocket,
} from '@countersign/testkit';
import { type Operator, pause, percentile, startDrillCluster, startDrillGateway } from './lib/gateway.ts';
import { report, summary } from './lib/report.ts';

const SOCKETS = 2000;
const USERS = 100;
const BYSTANDERS = 50;
const AT_ONCE = 50;
const P99_MS = 1000;
const MAX_MS = 3000;
const PATIENCE = 5000;
const SUBSCRIBE = JSON.stringify({
  op: 'subscribe',
  args: [{ channel: 'accountOrderUpdate', marketType: 'inclusionPreconf' }],
});

interface SignedIn {
  token: string;
  userId: number;
  sid: string;
}

interface Watched {
  socket: RawWebSocket;
  /** When the close frame came, or the end without one; 0 while it lives. */
  at: number;
}

/** What the drill needs, of one gateway or of several. */
interface Stage {
  readonly nodes: number;
  readonly websocket: string;
  /** REST of every node. */
  readonly rest: readonly string[];
  /** Of the first node. */
  readonly operator: Operator;
  /** Redis stops answering, and goes on; null with one node. */
  readonly redis: { pause(): void; resume(): void } | null;
  stop(): Promise<void>;
}

async function stageOf(nodes: number): Promise<Stage> {
  if (nodes === 1) {
    const gateway = await startDrillGateway();
    const { rest, websocket } = gateway.process.ready;
    return { nodes, websocket, rest: [rest], operator: gateway, redis: null, stop: gateway.stop };
  }
  const { cluster, operators, stop } = await startDrillCluster({ nodes });
  return {
    nodes,
    websocket: cluster.websocket,
    rest: cluster.nodes.map(({ process }) => process.ready.rest),
    operator: operators[0]!,
    redis: cluster.redis,
    stop,
  };
}

export async function d08({ nodes }: { nodes: number }): Promise<boolean> {
  const stage = await stageOf(nodes);
  try {
    const usual = await round(stage, 0);
    let withoutRedis: Round | null = null;
    if (stage.redis !== null) {
      report('and while Redis stands still');
      withoutRedis = await round(stage, 1);
    }
    const rounds = withoutRedis === null ? [usual] : [usual, withoutRedis];
    return summary(
      'D08',
      {
        nodes,
        sockets: SOCKETS,
        ...usual.figures,
        ...(withoutRedis ? { redisPaused: withoutRedis.figures } : {}),
      },
      rounds.every(({ held }) => held),
    );
  } finally {
    await stage.stop();
  }
}

interface Round {
  figures: Record<string, unknown>;
  held: boolean;
}

/** @param turn 0 with everything in order, 1 with Redis paused once the sockets are open */
async function round({ rest, websocket, operator, redis }: Stage, turn: 0 | 1): Promise<Round> {
  const http = rest.map((url) => createHttpClient(url, 16));
  const [first] = http;
  if (first === undefined) throw new Error('there is no node');
  const still = <T>(task: () => Promise<T>): Promise<T> => {
    if (turn === 1) redis?.pause();
    return task();
  };
  try {
    const wallets = (await createLoadWallets(2 * (USERS + 2))).slice(
      turn * (USERS + 2),
      (turn + 1) * (USERS + 2),
    );
    const users: SignedIn[] = await Promise.all(
      wallets.map(async (wallet) => {
        const { accessToken: token } = await logIn(first, wallet);
        const claims = JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString());
        return { token, userId: Number(claims.sub), sid: String(claims.sid) };
      }),
    );
    const [bystander, single, ...many] = users as [SignedIn, SignedIn, ...SignedIn[]];
    const others = await open(
      websocket,
      Array.from({ length: BYSTANDERS }, () => bystander),
    );
    const sockets = await open(
      websocket,
      Array.from({ length: SOCKETS }, () => single),
    );
    const one = await revoke('one session', sockets, () =>
      still(() => operator.admin('DELETE', `/sessions/${single.sid}`)),
    );
    redis?.resume();
    const spread = await open(
      websocket,
      Array.from({ length: SOCKETS }, (_, n) => many[n % USERS]!),
    );
    const all = await revoke('100 users', spread, () => still(() => logOutAll(operator, many)));
    const lost = others.filter(({ at }) => at !== 0).length;
    const accepted = (
      await Promise.all(
        http.flatMap((client) =>
          [single, ...many].map(async ({ token }) => {
            const headers = `Authorization: Bearer ${token}\r\n`;
            return (await client.request('GET', '/v1/user/info', headers)).status !== 401;
          }),
        ),
      )
    ).filter(Boolean).length;
    redis?.resume();
    for (const { socket } of others) socket.close();
    const good = [one, all].every(
      ({ stragglers, wrongCode, p99, max }) =>
        stragglers === 0 && wrongCode === 0 && p99 <= P99_MS && max <= MAX_MS,
    );
    const figures = {
      oneSession: one,
      hundredUsers: all,
      bystandersLost: lost,
      tokensStillAccepted: accepted,
    };
    return { figures, held: good && lost === 0 && accepted === 0 };
  } finally {
    redis?.resume();
    for (const client of http) client.close();
  }
}

async function logOutAll(operator: Operator, users: readonly SignedIn[]): Promise<void> {
  await Promise.all(users.map(({ userId }) => operator.admin('POST', `/users/${userId}/logout`)));
}

async function open(url: string, owners: readonly SignedIn[]): Promise<Watched[]> {
  const watched: Watched[] = [];
  for (let from = 0; from < owners.length; from += AT_ONCE) {
    const some = owners.slice(from, from + AT_ONCE).map(({ token }) => openOne(url, token));
    watched.push(...(await Promise.all(some)));
  }
  return watched;
}

/** Resolves when its private subscription was answered. */
async function openOne(url: string, token: string): Promise<Watched> {
  const socket = await openRawWebSocket(url, `Authorization: Bearer ${token}\r\n`);
  const entry: Watched = { socket, at: 0 };
  socket.onEnd = () => {
    entry.at = performance.now();
    socket.close();
  };
  await new Promise<void>((resolve) => {
    socket.onFrames = () => {
      socket.onFrames = null;
      resolve();
    };
    socket.send(SUBSCRIBE);
  });
  return entry;
}

async function revoke(what: string, sockets: Watched[], call: () => Promise<unknown>) {
  const early = sockets.filter(({ at }) => at !== 0).length;
  if (early > 0) throw new Error(`${early} sockets ended before the revocation`);
  const begun = performance.now();
  await call();
  const called = performance.now() - begun;
  while (performance.now() - begun < PATIENCE && sockets.some(({ at }) => at === 0)) await pause(5);
  const times = sockets.filter(({ at }) => at !== 0).map(({ at }) => at - begun);
  const figures = {
    callMs: Math.round(called),
    p50: Math.round(percentile(times, 0.5)),
    p99: Math.round(percentile(times, 0.99)),
    max: Math.round(Math.max(...times)),
    stragglers: sockets.length - times.length,
    wrongCode: sockets.filter(({ at, socket }) => at !== 0 && socket.closeCode !== 4000).length,
  };
  for (const { socket } of sockets) socket.close();
  report(`${what}: ${JSON.stringify(figures)}`);
  return figures;
}
