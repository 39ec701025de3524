/**
 * D28: one of two nodes is cut off from Redis and from PostgreSQL for 35 seconds, but not from its clients. A venue goes on
 * publishing through the other, and one of the users whose sockets the node holds is signed out there.
 *
 * Must hold: its sockets stay, and a new reader of a public log is still shown what the node remembers; private work is
 * refused and private readers are told 30 +- 2 s after the cut, and nothing private is sent from then on; it heals by
 * itself, and then every reader has everything that it missed, once; who was signed out is closed and was sent nothing more.
 *
 * Run: npm run drills -- d28
 */
import { createHttpClient, createLoadWallets, logIn } from '@countersign/testkit';
import { type Operator, pause, startDrillCluster } from './lib/gateway.ts';
import { type LogReader, openLogReader, openLogReaders, tallyOf } from './lib/log-readers.ts';
import { report, summary } from './lib/report.ts';

const MARKET = 'inclusionPreconf';
const USERS = 10;
const PUBLIC = 40;
/** Publications a second. */
const RATE = 4;
/** Seconds. */
const CUT = 35;
const BOUND = 30;
const TOLERANCE = 2;
const HEALED_WITHIN = 10;

export async function d28(): Promise<boolean> {
  const { cluster, operators, stop } = await startDrillCluster({ nodes: 2, proxies: true });
  const [near, far] = cluster.nodes.map(({ process }) => process.ready);
  const towards = cluster.nodes[1]!.towards!;
  const doors = [near!, far!].map(({ rest }) => createHttpClient(rest, 4));
  const readers: LogReader[] = [];
  let venue: ReturnType<typeof startVenue> | null = null;
  try {
    const wallets = await createLoadWallets(USERS);
    const users = await Promise.all(wallets.map((wallet) => logIn(doors[0]!, wallet)));
    const common = {
      url: far!.websocket.replace('/ws', ''),
      protocol: 'websocket' as const,
      marketType: MARKET,
      comeBack: null,
    };
    const shared = { ...common, channel: 'recentTradeUpdate' };
    const owned = { ...common, channel: 'accountOrderUpdate' };
    readers.push(...(await openLogReaders(Array.from({ length: PUBLIC }, () => shared))));
    readers.push(...(await openLogReaders(users.map(({ accessToken: token }) => ({ ...owned, token })))));
    const own = readers.slice(PUBLIC);
    const [signedOut, ...others] = own as [LogReader, ...LogReader[]];
    venue = startVenue(
      operators[0]!,
      own.map(({ account }) => account!),
    );
    await pause(2000);

    const cutAt = performance.now();
    for (const proxy of Object.values(towards)) {
      proxy.down = true;
      proxy.cut();
    }
    const since = (at: number) => Math.round((at - cutAt) / 100) / 10;
    /** A new private reader: the node has in memory all that this takes. */
    const admits = (user: number) =>
      openLogReader({ ...owned, token: users[user]!.accessToken }).then(
        (reader) => {
          reader.close();
          return true;
        },
        () => false,
      );
    await operators[0]!.admin('POST', `/users/${userOf(users[0]!.accessToken)}/logout`);
    let refusedAt = Number.NaN;
    let publicRequests = 0;
    let publicFailed = 0;
    while (since(performance.now()) < CUT - 2) {
      if (Number.isNaN(refusedAt) && !(await admits(1))) {
        refusedAt = performance.now();
        report(`private requests are refused after ${since(refusedAt)} s`);
      }
      publicRequests += 1;
      const late = await openLogReader(shared).catch(() => null);
      if (late === null) publicFailed += 1;
      late?.close();
      await pause(200);
    }
    const refusedNow = !(await admits(2));
    await pause(Math.max(0, CUT * 1000 - (performance.now() - cutAt)));
    const told = others.map(
      ({ notices }) => notices.find(({ name }) => name === 'access_unconfirmed')?.at ?? Number.NaN,
    );
    const privateAfterBound = own.filter(
      ({ lastPushAt }) => lastPushAt > cutAt + (BOUND + TOLERANCE) * 1000,
    ).length;
    const lostSockets = readers.filter(({ open }) => !open).length;

    const healAt = performance.now();
    towards.postgres.down = false;
    towards.redis.down = false;
    const msUntil = async (so: () => boolean | Promise<boolean>): Promise<number> => {
      while (!(await so()) && performance.now() - healAt < 3000 * HEALED_WITHIN) await pause(50);
      return Math.round(performance.now() - healAt);
    };
    const admitsMs = await msUntil(() => admits(1));
    const readyMs = await msUntil(async () => (await fetch(`${far!.internal}/readyz`)).status === 200);
    await pause(1000);
    await venue.end();
    const { published } = venue;
    const still = readers.filter((reader) => reader !== signedOut);
    const whole = () =>
      still.every(
        (one) =>
          one.open && one.position.sequence >= (one.account === null ? published.public : published.private),
      );
    const streamsMs = await msUntil(whole);
    const tally = tallyOf(still);
    const figures = {
      readers: readers.length,
      published: published.public,
      privateRefusedAfter: since(refusedAt),
      toldAfter: { first: since(Math.min(...told)), last: since(Math.max(...told)) },
      privateSubscriptionRefused: refusedNow,
      privateAfterBound,
      lostSockets,
      publicReadersDuringCut: publicRequests,
      publicReadersRefused: publicFailed,
      ...tally,
      closedInTheEnd: [...new Set(still.flatMap(({ closes }) => closes.map(({ code }) => code)))].join(' '),
      healedMs: { privateReaders: admitsMs, ready: readyMs, streams: streamsMs },
      signedOut: signedOut.closes[0]?.code ?? null,
      signedOutSentAfterCut: signedOut.lastPushAt > cutAt + 1000,
    };
    const within = (seconds: number) => Math.abs(seconds - BOUND) <= TOLERANCE;
    return summary(
      'D28',
      figures,
      within(figures.privateRefusedAfter) &&
        told.every((at) => within(since(at))) &&
        refusedNow &&
        privateAfterBound + lostSockets + publicFailed === 0 &&
        whole() &&
        tally.gaps + tally.doubled + tally.lost === 0 &&
        Math.max(admitsMs, readyMs, streamsMs) <= HEALED_WITHIN * 1000 &&
        figures.signedOut === 4000 &&
        !figures.signedOutSentAfterCut,
    );
  } finally {
    await venue?.end();
    for (const reader of readers) reader.close();
    for (const door of doors) door.close();
    await stop();
  }
}

const userOf = (token: string): string =>
  (JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString()) as { sub: string }).sub;

/** Publishes by one node. */
function startVenue(operator: Operator, accounts: readonly string[]) {
  const published = { public: 0, private: 0 };
  let going = true;
  const running = (async () => {
    while (going) {
      await operator.publish([
        { channel: 'recentTradeUpdate', key: MARKET, item: 'ETH-PC-1', data: { n: published.public } },
        ...accounts.map((account) => ({
          channel: 'accountOrderUpdate',
          key: `${MARKET}/${account}`,
          data: { n: published.private },
        })),
      ]);
      published.public += 1;
      published.private += 1;
      await pause(1000 / RATE);
    }
  })();
  return {
    published,
    end() {
      going = false;
      return running;
    },
  };
}
