/**
 * D07: one of two nodes is cut off from Redis, and so from every signal, for ten seconds in which 1,000 sessions of 200
 * users, whose sockets it holds, are revoked on the other. It still reads the change log in PostgreSQL.
 *
 * Must hold (R47): every one of them is closed with 4000, within three seconds and before Redis is back; its token opens
 * nothing any more on the node that was cut off; sockets of others stay; when Redis is back, signals travel again.
 *
 * Run: npm run drills -- d07
 */
import {
  type ClusterNode,
  createHttpClient,
  createLoadWallets,
  type HttpClient,
  type LoadWallet,
  logIn,
} from '@countersign/testkit';
import { pause, percentile, startDrillCluster } from './lib/gateway.ts';
import { type LogReader, openLogReaders } from './lib/log-readers.ts';
import { report, summary } from './lib/report.ts';

/** Users, each with so many sessions and a socket for each of them. */
const SESSIONS = 5;
const REVOKED = 200;
const BYSTANDERS = 10;
const AFTERWARDS = 4;
const AT_ONCE = 16;
/** Seconds that Redis is away, in the first part of which the revocations are made. */
const AWAY = 10;
const LAND = 6;
/** Milliseconds that one may take to be applied on the node that hears no signal. */
const MOST = 3000;
/** Milliseconds until it hears again. */
const PATIENCE = 10_000;

interface Held {
  token: string;
  userId: number;
  socket: LogReader;
  /** When the operator's call was answered. */
  revokedAt: number;
}

export async function d07(): Promise<boolean> {
  const { cluster, operators, stop } = await startDrillCluster({ nodes: 2, proxies: true });
  const [here, cutOff] = cluster.nodes;
  const [operator] = operators;
  const door = createHttpClient(here!.process.ready.rest, AT_ONCE);
  const other = createHttpClient(cutOff!.process.ready.rest, AT_ONCE);
  const all: Held[] = [];
  try {
    const count = REVOKED + BYSTANDERS + AFTERWARDS;
    const wallets = (await createLoadWallets(count)).flatMap((wallet) =>
      Array.from({ length: SESSIONS }, () => wallet),
    );
    const url = cutOff!.process.ready.websocket.replace('/ws', '');
    all.push(...(await signIn(door, url, wallets)));
    const meant = all.slice(0, REVOKED * SESSIONS);
    const bystanders = all.slice(REVOKED * SESSIONS, (REVOKED + BYSTANDERS) * SESSIONS);
    const last = all.slice((REVOKED + BYSTANDERS) * SESSIONS);
    report(`${all.length} sockets on the node that will hear nothing`);

    /** All sessions of a user. */
    const revoke = async (sessions: readonly Held[]) => {
      await operator!.admin('POST', `/users/${sessions[0]!.userId}/logout`);
      for (const one of sessions) one.revokedAt = performance.now();
    };
    const { redis } = cutOff!.towards!;
    redis.down = true;
    redis.cut();
    const begun = performance.now();
    await inParts(byUser(meant), async (sessions, n) => {
      const due = begun + (LAND * 1000 * n) / REVOKED;
      await pause(Math.max(0, due - performance.now()));
      await revoke(sessions);
    });
    const landed = (performance.now() - begun) / 1000;
    await pause(Math.max(0, AWAY * 1000 - (performance.now() - begun)));
    const missed = meant.filter(({ socket }) => socket.closes.length === 0).length;
    const accepted = await stillAccepted(other, meant);
    const deaf = !(await brokerCheck(cutOff!));
    redis.down = false;

    const lags = meant.flatMap(({ socket, revokedAt }) =>
      socket.closes.map(({ at }) => Math.max(0, at - revokedAt)),
    );
    const wrongCode = meant.filter(({ socket }) => socket.closes.some(({ code }) => code !== 4000)).length;
    const lost = bystanders.filter(({ socket }) => !socket.open).length;
    const back = performance.now();
    while (!(await brokerCheck(cutOff!)) && performance.now() - back < PATIENCE) await pause(50);
    const hearsAgainIn = Math.round(performance.now() - back);
    await inParts(byUser(last), revoke);
    await pause(MOST);
    const lagsAfter = last.flatMap(({ socket, revokedAt }) =>
      socket.closes.map(({ at }) => Math.max(0, at - revokedAt)),
    );
    const figures = {
      revoked: meant.length,
      landedInSeconds: Math.round(landed * 10) / 10,
      missed,
      wrongCode,
      tokensStillAccepted: accepted,
      bystandersLost: lost,
      lagMs: {
        p50: Math.round(percentile(lags, 0.5)),
        p99: Math.round(percentile(lags, 0.99)),
        max: Math.round(Math.max(...lags)),
      },
      hearsAgainInMs: hearsAgainIn,
      afterwards: { closed: lagsAfter.length, maxMs: Math.round(Math.max(...lagsAfter)) },
      // Else nothing was tried.
      wasDeaf: deaf,
    };
    return summary(
      'D07',
      figures,
      missed + wrongCode + accepted + lost === 0 &&
        landed < AWAY - 1 &&
        figures.lagMs.max <= MOST &&
        lagsAfter.length === last.length &&
        hearsAgainIn < PATIENCE &&
        deaf,
    );
  } finally {
    for (const { socket } of all) socket.close();
    door.close();
    other.close();
    await stop();
  }
}

/** Users were given their numbers in the order of their first login, so that a part of the list has whole users. */
function byUser(all: readonly Held[]): Held[][] {
  return [...new Set(all.map(({ userId }) => userId))].map((userId) =>
    all.filter((one) => one.userId === userId),
  );
}

/** Whether a hint that the node sends through Redis comes back to it. */
async function brokerCheck({ process }: ClusterNode): Promise<boolean> {
  const answer = await fetch(`${process.ready.internal}/readyz?verbose`);
  const { checks } = (await answer.json()) as { checks: { broker: { ok: boolean } } };
  return checks.broker.ok;
}

async function signIn(door: HttpClient, url: string, wallets: readonly LoadWallet[]): Promise<Held[]> {
  const sessions: { token: string; userId: number }[] = [];
  await inParts(wallets, async (wallet) => {
    const { accessToken: token } = await logIn(door, wallet);
    const claims = JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString()) as { sub: string };
    sessions.push({ token, userId: Number(claims.sub) });
  });
  sessions.sort((a, b) => a.userId - b.userId);
  const sockets = await openLogReaders(
    sessions.map(({ token }) => ({
      url,
      token,
      protocol: 'websocket',
      channel: 'accountOrderUpdate',
      marketType: 'inclusionPreconf',
      comeBack: null,
    })),
  );
  return sessions.map((session, n) => ({ ...session, socket: sockets[n]!, revokedAt: Number.NaN }));
}

async function stillAccepted(door: HttpClient, held: readonly Held[]): Promise<number> {
  let accepted = 0;
  await inParts(held, async ({ token }) => {
    const answer = await door.request('GET', '/v1/user/info', `Authorization: Bearer ${token}\r\n`);
    if (answer.status !== 401) accepted += 1;
  });
  return accepted;
}

/** A few at a time, in order. */
async function inParts<T>(all: readonly T[], work: (one: T, index: number) => Promise<void>): Promise<void> {
  const queue = [...all.entries()];
  const lane = async () => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) await work(next[1], next[0]);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, lane));
}
