/**
 * One budget over every door: a user of each of three tiers asks over REST, WebSocket and Socket.IO at once, as
 * fast as answers come, for 60 seconds that are one window of the budget. Beside them a fourth user asks quietly.
 *
 * Must hold: over all three doors together nobody is admitted more than the limit of the tier allows in one
 * window (and one more), everybody gets what is theirs, and the quiet user is never refused and waits at most
 * twice as long as before, or 20 ms more where that was little.
 *
 * Run: npm run drills -- budget
 */
import { createHttpClient, createLoadWallets, type HttpClient, logIn } from '@countersign/testkit';
import { io, type Socket } from 'socket.io-client';
import { WebSocket } from 'ws';
import { pause, percentile, startDrillGateway } from './lib/gateway.ts';
import { report, summary } from './lib/report.ts';

const WINDOW = 60;
const LIMITS = { small: 600, middle: 3000, large: 12_000 } as const;
type Tier = keyof typeof LIMITS;
const EVENT = '/evm/buy/quote';

interface Tally {
  admitted: Record<'rest' | 'websocket' | 'socketio', number>;
  refused: number;
}

/** Asks again and again until the time is over; a refusal is followed by a short pause. */
async function lane(
  until: number,
  ask: () => Promise<boolean>,
  tally: Tally,
  door: keyof Tally['admitted'],
): Promise<void> {
  while (performance.now() < until) {
    const sent = performance.now();
    if (await ask()) {
      // What was asked in the window counts in it, whenever the answer came.
      if (sent < until) tally.admitted[door] += 1;
    } else {
      tally.refused += 1;
      await pause(20);
    }
  }
}

function openSocket(url: string, token: string): Promise<{ ask: () => Promise<boolean>; close: () => void }> {
  const socket = new WebSocket(url, { headers: { authorization: `Bearer ${token}` } });
  let answered: ((text: string) => void) | null = null;
  socket.on('message', (data) => answered?.(String(data)));
  const ask = () =>
    new Promise<boolean>((resolve) => {
      answered = (text) => resolve(!text.includes('"code":1003'));
      // Leaving what is not held costs one and is answered at once.
      socket.send('{"op":"unsubscribe","args":[{"channel":"tickerUpdate","marketType":"wholeBlock"}]}');
    });
  return new Promise((resolve, reject) => {
    socket.once('open', () => resolve({ ask, close: () => socket.close() }));
    socket.once('error', reject);
  });
}

async function openSocketIo(url: string, token: string): Promise<Socket> {
  const socket = io(url, { transports: ['websocket'], auth: { token } });
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', () => resolve());
    socket.once('connect_error', reject);
  });
  return socket;
}

const askSocketIo = async (socket: Socket): Promise<boolean> => {
  // No venue stands behind this gateway: an answer other than "too many" was admitted and counted.
  const answer = (await socket.timeout(5000).emitWithAck(EVENT, { chain: 'eth' })) as {
    error?: { code: string };
  };
  return answer.error?.code !== 'RATE_LIMITED';
};

const askRest = async (client: HttpClient, token: string): Promise<boolean> =>
  (await client.request('GET', '/v1/user/info', `Authorization: Bearer ${token}\r\n`)).status === 200;

async function waits(
  client: HttpClient,
  token: string,
  seconds: number,
): Promise<{ p99: number; refused: number }> {
  const latencies: number[] = [];
  let refused = 0;
  const until = performance.now() + seconds * 1000;
  while (performance.now() < until) {
    const begun = performance.now();
    if (!(await askRest(client, token))) refused += 1;
    latencies.push(performance.now() - begun);
    await pause(100);
  }
  return { p99: percentile(latencies, 0.99), refused };
}

export async function budget(): Promise<boolean> {
  const tiers = Object.fromEntries(
    Object.entries(LIMITS).map(([name, limit]) => [name, { requests: { limit, window: WINDOW } }]),
  );
  const gateway = await startDrillGateway({
    COUNTERSIGN_TIERS: JSON.stringify({ ...tiers, free: { requests: { limit: 1_000_000 } } }),
  });
  const { rest, websocket, socketio } = gateway.process.ready;
  const client = createHttpClient(rest, 8);
  const wallets = await createLoadWallets(4);
  const people: { tier: Tier | null; token: string }[] = [];
  for (const [index, tier] of ([...Object.keys(LIMITS), null] as (Tier | null)[]).entries()) {
    const { accessToken } = await logIn(client, wallets[index]!);
    const { userId } = JSON.parse(Buffer.from(accessToken.split('.')[1]!, 'base64url').toString()).user;
    if (tier !== null) await gateway.admin('PATCH', `/users/${userId}`, { tier });
    people.push({ tier, token: accessToken });
  }
  const quiet = people.pop()!;
  const quietClient = createHttpClient(rest, 1);
  const before = await waits(quietClient, quiet.token, 5);
  report(`quiet user alone: p99 ${before.p99.toFixed(1)} ms`);

  const opened = await Promise.all(
    people.map(async ({ token }) => ({
      webSocket: await openSocket(websocket, token),
      socketIo: await openSocketIo(socketio, token),
    })),
  );
  const until = performance.now() + WINDOW * 1000;
  const during = waits(quietClient, quiet.token, WINDOW);
  const tallies = await Promise.all(
    people.map(async ({ token }, index) => {
      const tally: Tally = { admitted: { rest: 0, websocket: 0, socketio: 0 }, refused: 0 };
      const { webSocket, socketIo } = opened[index]!;
      await Promise.all([
        lane(until, () => askRest(client, token), tally, 'rest'),
        lane(until, webSocket.ask, tally, 'websocket'),
        lane(until, () => askSocketIo(socketIo), tally, 'socketio'),
      ]);
      webSocket.close();
      socketIo.close();
      return tally;
    }),
  );
  const after = await during;
  client.close();
  quietClient.close();
  await gateway.stop();

  const figures = Object.fromEntries(
    people.map(({ tier }, index) => {
      const { admitted, refused } = tallies[index]!;
      const sum = admitted.rest + admitted.websocket + admitted.socketio;
      return [tier!, { limit: LIMITS[tier!], admitted: sum, ...admitted, refused }];
    }),
  );
  // A handshake or two of each user was paid out of the same budget.
  const within = Object.values(figures).every(
    ({ limit, admitted }) => admitted <= limit + 1 && admitted >= limit * 0.95,
  );
  const calm = after.refused === 0 && after.p99 <= Math.max(before.p99 * 2, before.p99 + 20);
  return summary(
    'budget',
    {
      ...figures,
      quietP99: { before: Number(before.p99.toFixed(1)), during: Number(after.p99.toFixed(1)) },
      quietRefused: after.refused,
    },
    within && calm,
  );
}
