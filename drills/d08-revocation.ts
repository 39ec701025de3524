/**
 * D08 on one node: access of 2,000 sockets is revoked, once as one session of one user, once as 100 users with 20
 * sockets each. Measured from the admin call to the end of each socket as its client sees it.
 *
 * Must hold (R46): p99 at most 1 s, nobody later than 3 s, every one closed with 4000; sockets of a user who was
 * not meant stay; the token opens nothing any more.
 *
 * Run: npm run drills -- d08
 */
import { createHttpClient, createLoadWallets, logIn } from '@countersign/testkit';
import { WebSocket } from 'ws';
import { type DrillGateway, pause, percentile, startDrillGateway } from './lib/gateway.ts';
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
  socket: WebSocket;
  /** When it ended, and the code; 0 while it lives. */
  at: number;
  code: number;
}

export async function d08(): Promise<boolean> {
  const gateway = await startDrillGateway();
  const { rest, websocket } = gateway.process.ready;
  const http = createHttpClient(rest, 16);
  try {
    const wallets = await createLoadWallets(USERS + 2);
    const users: SignedIn[] = await Promise.all(
      wallets.map(async (wallet) => {
        const { accessToken: token } = await logIn(http, wallet);
        const claims = JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString());
        return { token, userId: Number(claims.sub), sid: String(claims.sid) };
      }),
    );
    const [bystander, single, ...many] = users as [SignedIn, SignedIn, ...SignedIn[]];
    const others = await open(
      websocket,
      Array.from({ length: BYSTANDERS }, () => bystander),
    );

    const one = await revoke(
      'one session',
      await open(
        websocket,
        Array.from({ length: SOCKETS }, () => single),
      ),
      () => gateway.admin('DELETE', `/sessions/${single.sid}`),
    );
    const all = await revoke(
      '100 users',
      await open(
        websocket,
        Array.from({ length: SOCKETS }, (_, n) => many[n % USERS]!),
      ),
      () => logOutAll(gateway, many),
    );
    const lost = others.filter(({ at }) => at !== 0).length;
    const stillGood = await Promise.all(
      [single, ...many].map(async ({ token }) => {
        const headers = `Authorization: Bearer ${token}\r\n`;
        return (await http.request('GET', '/v1/user/info', headers)).status !== 401;
      }),
    );
    const accepted = stillGood.filter(Boolean).length;
    for (const { socket } of others) socket.terminate();
    const good = [one, all].every(
      ({ stragglers, wrongCode, p99, max }) =>
        stragglers === 0 && wrongCode === 0 && p99 <= P99_MS && max <= MAX_MS,
    );
    return summary(
      'D08',
      {
        sockets: SOCKETS,
        oneSession: one,
        hundredUsers: all,
        bystandersLost: lost,
        tokensStillAccepted: accepted,
      },
      good && lost === 0 && accepted === 0,
    );
  } finally {
    http.close();
    await gateway.stop();
  }
}

async function logOutAll(gateway: DrillGateway, users: readonly SignedIn[]): Promise<void> {
  await Promise.all(users.map(({ userId }) => gateway.admin('POST', `/users/${userId}/logout`)));
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
function openOne(url: string, token: string): Promise<Watched> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url, {
      headers: { authorization: `Bearer ${token}` },
      perMessageDeflate: false,
    });
    const entry: Watched = { socket, at: 0, code: 0 };
    socket.once('error', reject);
    socket.once('open', () => socket.send(SUBSCRIBE));
    socket.once('message', () => resolve(entry));
    socket.once('close', (code) => {
      entry.at = performance.now();
      entry.code = code;
    });
  });
}

async function revoke(what: string, sockets: Watched[], call: () => Promise<void>) {
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
    wrongCode: sockets.filter(({ at, code }) => at !== 0 && code !== 4000).length,
  };
  for (const { socket } of sockets) socket.terminate();
  report(`${what}: ${JSON.stringify(figures)}`);
  return figures;
}
