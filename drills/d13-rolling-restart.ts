/**
 * D13: two gateways are replaced one after the other (SIGTERM, a new process, then the other) under 2,000 sockets behind
 * a balancer, while a venue publishes a public and private logs and wallets log in.
 *
 * Must hold: a node that drains takes no socket; it closes its own with 1012 (on Socket.IO after an event that says the
 * same), spread over its window, and exits with 0 within 25 s; every reader is back and has missed nothing, been given
 * nothing twice and told of no loss; no login that was begun is cut off, and what was acknowledged works afterwards.
 *
 * Run: npm run drills -- d13 [--seed N]
 */
import {
  type ClusterNode,
  createHttpClient,
  createLoadWallets,
  type HttpClient,
  type LoadWallet,
  logIn,
  openRawWebSocket,
  postForm,
} from '@countersign/testkit';
import { operatorOf, pause, percentile, startDrillCluster } from './lib/gateway.ts';
import { type LogReader, openLogReaders, tallyOf } from './lib/log-readers.ts';
import { createRandom } from './lib/random.ts';
import { report, summary } from './lib/report.ts';

const SOCKETS = { public: 1600, private: 200, socketio: 200 };
const USERS = 20;
const MARKET = 'inclusionPreconf';
/** Publications a second to the public log, which everybody else reads; each private one gets one. */
const RATE = 4;
const LANES = 4;
/** Milliseconds. */
const LOGIN_GAP = 60;
const EXIT_SECONDS = 25;
const BACK_SECONDS = 15;
/** Milliseconds over which a client spreads its return, and the gateway's `drain.window`. */
const RETURN = 1000;
const WINDOW = 2000;

export async function d13({ seed }: { seed: number }): Promise<boolean> {
  const random = createRandom(seed);
  const { cluster, stop } = await startDrillCluster({ nodes: 2 });
  const readers: LogReader[] = [];
  const load = startLogins(cluster.rest, await createLoadWallets(64), random);
  let venue: ReturnType<typeof startVenue> | null = null;
  try {
    const door = createHttpClient(cluster.rest, LANES);
    const users = await Promise.all((await createLoadWallets(USERS)).map((wallet) => logIn(door, wallet)));
    door.close();
    const comeBack = () => random() * RETURN;
    const url = cluster.websocket.replace('/ws', '');
    const common = { url, marketType: MARKET, comeBack };
    const token = (n: number) => users[n % USERS]!.accessToken;
    const begun = performance.now();
    readers.push(
      ...(await openLogReaders([
        ...Array.from({ length: SOCKETS.public }, () => ({
          ...common,
          protocol: 'websocket' as const,
          channel: 'recentTradeUpdate',
        })),
        ...Array.from({ length: SOCKETS.private }, (_, n) => ({
          ...common,
          protocol: 'websocket' as const,
          token: token(n),
          channel: 'accountOrderUpdate',
        })),
        ...Array.from({ length: SOCKETS.socketio }, (_, n) => ({
          ...common,
          protocol: 'socketio' as const,
          token: token(n),
          channel: 'recentTradeUpdate',
        })),
      ])),
    );
    report(`${readers.length} sockets in ${Math.round((performance.now() - begun) / 1000)} s`);
    const accounts = readers.flatMap(({ account }) => account ?? []);
    venue = startVenue(cluster, [...new Set(accounts)]);
    await pause(1000);
    const waves = [];
    for (const node of cluster.nodes) {
      waves.push(await replace(node, readers));
      report(JSON.stringify(waves.at(-1)));
    }
    await pause(500);
    await venue.end();
    const { published } = venue;
    const late = await stragglers(readers, (n) => {
      const own = n - SOCKETS.public;
      return own >= 0 && own < SOCKETS.private ? published.private : published.public;
    });
    const logins = await load.end(cluster.nodes.map(({ process }) => process.ready.rest));
    const tally = tallyOf(readers);
    const heldEach = waves.every(
      (wave) =>
        wave.exit === 0 &&
        wave.exitSeconds <= EXIT_SECONDS &&
        wave.wrongCode === 0 &&
        wave.acceptedWhileDraining === 0 &&
        wave.notBack === 0 &&
        wave.closed > readers.length / 4 &&
        wave.closedOverMs > WINDOW / 2,
    );
    return summary(
      'D13',
      { seed, sockets: readers.length, first: waves[0], second: waves[1], published, ...tally, late, logins },
      heldEach &&
        tally.gaps + tally.doubled + tally.lost + late === 0 &&
        tally.received > 0 &&
        logins.cutOff + logins.unclean + logins.unusable === 0 &&
        logins.acknowledged > 0,
    );
  } finally {
    await venue?.end();
    await load.end([]);
    for (const reader of readers) reader.close();
    await stop();
  }
}

/** Ends a node, starts another in its place, and waits for its readers. */
async function replace(node: ClusterNode, readers: readonly LogReader[]) {
  const { websocket } = node.process.ready;
  const before = readers.map(({ closes }) => closes.length);
  const began = performance.now();
  const ending = node.stop('SIGTERM').then((exit) => ({ exit, seconds: (performance.now() - began) / 1000 }));
  // Well within its window: it still answers, and says no.
  await pause(400);
  const accepted = await openRawWebSocket(websocket).then(
    (socket) => {
      socket.close();
      return 1;
    },
    () => 0,
  );
  const { exit, seconds } = await ending;
  await node.start();
  const until = performance.now() + BACK_SECONDS * 1000;
  while (readers.some(({ open }) => !open) && performance.now() < until) await pause(20);
  const gone = readers.filter(({ closes }, n) => closes.length > before[n]!);
  const closedAt = gone.map(({ closes }) => closes.at(-1)!.at - began);
  const back = gone.map(({ returns }) => returns.at(-1)! - began);
  const at = (share: number) => Math.round(percentile(back, share));
  return {
    exit,
    exitSeconds: Math.round(seconds * 10) / 10,
    closed: gone.length,
    wrongCode: gone.filter((reader) => !toldToComeBack(reader)).length,
    closedOverMs: Math.round(percentile(closedAt, 0.95) - percentile(closedAt, 0.05)),
    acceptedWhileDraining: accepted,
    backMs: { p50: at(0.5), p95: at(0.95), all: at(1) },
    notBack: readers.filter(({ open }) => !open).length,
  };
}

const toldToComeBack = ({ closes, notices }: LogReader): boolean =>
  closes.at(-1)?.code === 1012 || (notices.at(-1)?.name === 'closing' && closes.at(-1)?.code === 1005);

/** Readers that have not read as many as were taken from the venue: a try that was not answered may have counted too. */
async function stragglers(
  readers: readonly LogReader[],
  published: (reader: number) => number,
): Promise<number> {
  const behind = () => readers.filter(({ position }, n) => position.sequence < published(n)).length;
  const until = performance.now() + 5000;
  while (behind() > 0 && performance.now() < until) await pause(50);
  return behind();
}

/** Publishes through the balancer of the internal side, and again what was not taken. */
function startVenue(cluster: { internal: string; dataDir: string }, accounts: readonly string[]) {
  const operator = operatorOf(cluster.internal, cluster.dataDir);
  const counts = { public: 0, private: 0 };
  let going = true;
  let n = 0;
  const one = async (kind: keyof typeof counts, publications: object[]): Promise<void> => {
    for (let tries = 0; ; tries += 1) {
      try {
        await operator.publish(publications);
        counts[kind] += 1;
        return;
      } catch (error) {
        if (tries === 50) throw error;
        await pause(100);
      }
    }
  };
  const running = (async () => {
    while (going) {
      await one('public', [{ channel: 'recentTradeUpdate', key: MARKET, item: 'ETH-PC-1', data: { n } }]);
      if (n % RATE === 0)
        await one(
          'private',
          accounts.map((account) => ({
            channel: 'accountOrderUpdate',
            key: `${MARKET}/${account}`,
            data: { n },
          })),
        );
      n += 1;
      await pause(1000 / RATE);
    }
  })();
  let ending: Promise<void> | null = null;
  return {
    published: counts,
    end() {
      going = false;
      ending ??= running.then(() => operator.close());
      return ending;
    },
  };
}

/** Wallets log in through the balancer all the while. */
function startLogins(url: string, wallets: readonly LoadWallet[], random: () => number) {
  const tally = { acknowledged: 0, refused: 0, cutOff: 0, unclean: 0, unusable: 0 };
  const tokens: string[] = [];
  let going = true;
  const lane = async (client: HttpClient) => {
    while (going) {
      const wallet = wallets[Math.floor(random() * wallets.length)]!;
      try {
        const { status, refreshToken } = await logIn(client, wallet);
        if (status === 200) {
          tally.acknowledged += 1;
          tokens.push(refreshToken);
        } else if (status === 503) tally.refused += 1;
        else tally.unclean += 1;
      } catch (error) {
        if (/answered 503/.test(String(error))) tally.refused += 1;
        else if (/closed/.test(String(error))) return;
        else tally.cutOff += 1;
      }
      await pause(LOGIN_GAP);
    }
  };
  const client = createHttpClient(url, LANES);
  const lanes = Promise.all(Array.from({ length: LANES }, () => lane(client)));
  return {
    /** @param rest where what was acknowledged is to work, on each in turn */
    async end(rest: readonly string[]): Promise<typeof tally> {
      going = false;
      await lanes;
      client.close();
      const doors = rest.map((each) => createHttpClient(each, LANES));
      for (const [n, refreshToken] of doors.length === 0 ? [] : tokens.entries()) {
        const answer = await postForm(doors[n % doors.length]!, '/v1/user/login/refresh', { refreshToken });
        if (answer.status !== 200) tally.unusable += 1;
      }
      for (const door of doors) door.close();
      return tally;
    },
  };
}
