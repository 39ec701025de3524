/**
 * A soak: clients of every door against a gateway that makes every fault there is and is restarted now and then. The
 * faults are on until the end: what counts is that nothing is missing without a word, that nothing comes twice, that
 * every book is the one that was published, and that nobody asks for more than the faults explain.
 */
import { createWalletSession, type WalletSession } from '@countersign/client';
import {
  type Allowance,
  allowanceOf,
  ENDINGS,
  type Ending,
  FAULTS,
  type Lives,
  sumOf,
} from './soak-allowance.ts';
import { type SoakClient, socketIoClient, webSocketClient } from './soak-clients.ts';
import { SoakPublisher } from './soak-publisher.ts';
import { BookTruth, createDraw, createTally } from './soak-truth.ts';

export interface SoakUrls {
  rest: string;
  websocket: string;
  socketio: string;
  internal: string;
}

export interface SoakOptions {
  urls: SoakUrls;
  backendToken: string;
  seed: string;
  /** Clients of each of: WebSocket in the ETHGas dialect, in Coinbase's, and Socket.IO. */
  perDoor: number;
  /** Publications to every stream, each second. */
  rate: number;
  lives: Lives;
  /** What every connection has, and by turns one of the others. Default: those of `soak-allowance.ts`. */
  faults?: string;
  endings?: readonly Ending[];
  /** Sequences from one to the next at which whole books are compared, and not their best levels alone. Default 32. */
  wholeEvery?: number;
  /** Kills the gateway and starts it again at the same place. */
  restart(): Promise<void>;
}

export interface SoakStage {
  seconds: number;
  /** Seconds between restarts; Infinity for none. */
  restartEvery: number;
  /**
   * Entries that every log gets as fast as the rate allows, however long it takes: as many as a gateway remembers of each
   * fill its memory. Until then its heap grows, and that is no leak.
   */
  fill?: number;
  /** Every so many seconds. */
  sample?: { every: number; take(at: number): Promise<void> };
}

export type SoakReport = ReturnType<typeof reportOf>;

/** Seconds at the end in which every client has to be up to date at some time. */
const CALM = 60;
/** Turns of the publisher between entries in private logs. */
const PRIVATE_EVERY = 40;

/** @returns what came of it; whether that is good is in `failures` */
export async function soak(options: SoakOptions, stages: readonly SoakStage[]): Promise<SoakReport> {
  const { urls, seed, perDoor, rate, lives, faults = FAULTS, endings = ENDINGS } = options;
  const tally = createTally();
  const truth = new BookTruth(tally, options.wholeEvery ?? 32);
  const draw = createDraw(seed);
  const publisher = new SoakPublisher({ url: urls.internal, token: options.backendToken, draw, truth });
  const sessions: WalletSession[] = [];
  const clients = new Map<number, SoakClient>();
  const totals = { connects: 0, logins: 0, gaps: 0, recovered: 0, lost: 0, replaced: 0 };
  const away: number[] = [];
  let ending = false;
  let rejections = 0;
  const onRejection = (error: unknown) => {
    rejections += 1;
    if (rejections <= 5) console.error('unhandled rejection', error);
  };
  process.on('unhandledRejection', onRejection);

  function keep(client: SoakClient): void {
    const { connects, logins, gaps, recovered, lost } = client.stats();
    totals.connects += connects;
    totals.logins += logins;
    totals.gaps += gaps;
    totals.recovered += recovered;
    totals.lost += lost;
  }

  const endingOf = (index: number) => endings[index % endings.length]!;

  function open(index: number): void {
    const session = sessions[index]!;
    const surroundings = {
      tally,
      truth,
      onOver(error: Error | null) {
        const client = clients.get(index);
        if (client !== undefined) keep(client);
        clients.delete(index);
        if (ending || error === null) return;
        // Revoked on purpose: whoever was connects anew.
        totals.replaced += 1;
        setTimeout(() => !ending && open(index), 1000);
      },
    };
    const door = Math.floor(index / perDoor);
    const query = `?faults=${faults},${endingOf(index).spec}&seed=${seed}.${index}`;
    const client =
      door === 2
        ? socketIoClient(`socketio ${index}`, `${urls.socketio}${query}`, session, surroundings)
        : webSocketClient(
            `${door === 0 ? 'ethgas' : 'coinbase'} ${index}`,
            door === 0 ? 'ethgas' : 'coinbase',
            `${urls.websocket}${query}`,
            session,
            surroundings,
          );
    clients.set(index, client);
  }

  const begun = performance.now();
  const now = () => (performance.now() - begun) / 1000;
  for (let index = 0; index < perDoor * 3; index += 1) {
    const signer = (index + 1).toString(16).padStart(64, '0');
    sessions.push(createWalletSession({ baseUrl: urls.rest, signer, chainId: 1 }));
  }
  await Promise.all(sessions.map((session) => session.webSocketLogin()));
  for (const [index, { userId }] of sessions.entries()) {
    const channel = Math.floor(index / perDoor) === 1 ? 'user' : 'accountTransactionUpdate';
    await publisher.addReader(userId!, channel);
  }
  await publisher.publish();
  for (let index = 0; index < perDoor * 3; index += 1) open(index);

  let turns = 0;
  for (const { seconds, restartEvery, fill = 0, sample } of stages) {
    const until = now() + seconds;
    let nextRestart = now() + restartEvery;
    let nextSample = sample === undefined ? Number.POSITIVE_INFINITY : now();
    let toFill = fill;
    while (now() < until || toFill > 0) {
      const turn = performance.now();
      turns += 1;
      await publisher.publish();
      if (toFill > 0 || turns % PRIVATE_EVERY === 0) await publisher.publishPrivate();
      toFill -= 1;
      if (turns % rate === 0) await publisher.beat();
      truth.judge();
      if (now() > nextRestart) {
        const left = performance.now();
        await options.restart();
        publisher.restarted();
        away.push((performance.now() - left) / 1000);
        nextRestart = now() + restartEvery;
      }
      if (now() > nextSample) {
        nextSample = now() + sample!.every;
        await sample!.take(now());
      }
      const rest = 1000 / rate - (performance.now() - turn);
      if (rest > 0) await new Promise((resolve) => setTimeout(resolve, rest));
    }
  }

  // Publishing goes on, slowly, so that whatever was lost last is noticed. The faults go on as well, so never are all
  // clients up to date at once: each has to be at some time.
  const calm = now() + CALM;
  const waiting = new Set(clients.keys());
  while (now() < calm && waiting.size > 0) {
    await publisher.publish();
    if (now() > calm - CALM / 2) await publisher.publishPrivate();
    await new Promise((resolve) => setTimeout(resolve, 200));
    for (const index of waiting) {
      // One that was revoked meanwhile has a successor.
      const client = clients.get(index);
      if (client === undefined || client.books.some((book) => book.stale)) continue;
      const newest = Math.max(0, ...PUBLIC.map((name) => client.newest.get(name) ?? 0));
      if (newest >= publisher.newest) waiting.delete(index);
    }
  }
  truth.judge(true);
  ending = true;
  const seconds = now();
  await Promise.all([...clients.values()].map((client) => client.close()));
  const stats = sessions.map((session) => session.stats());
  await Promise.all(sessions.map((session) => session.close()));
  process.off('unhandledRejection', onRejection);

  const used: Allowance = {
    connects: totals.connects,
    socketLogins: totals.logins,
    logins: stats.reduce((sum, { logins }) => sum + logins, 0),
    refreshes: stats.reduce((sum, { refreshes }) => sum + refreshes, 0),
  };
  const allowed = sumOf(sessions.map((_, index) => allowanceOf(endingOf(index), seconds, away, lives)));
  const late = [...waiting].map((index) => clients.get(index)?.name ?? `client ${index}`);
  return reportOf({ seed, seconds, tally, totals, publisher, away, used, allowed, late, rejections });
}

const PUBLIC = ['market_trades/ETH-USD', 'recentTradeUpdate/wholeBlock'];

interface Outcome {
  seed: string;
  seconds: number;
  tally: ReturnType<typeof createTally>;
  totals: { gaps: number; recovered: number; lost: number; replaced: number };
  publisher: SoakPublisher;
  away: readonly number[];
  used: Allowance;
  allowed: Allowance;
  late: string[];
  rejections: number;
}

function reportOf(outcome: Outcome) {
  const { tally, totals, publisher, away, used, allowed, late, rejections } = outcome;
  const failures = [
    ...(tally.undetected > 0 ? [`${tally.undetected} undetected gaps`] : []),
    ...(tally.duplicates > 0 ? [`${tally.duplicates} duplicate deliveries`] : []),
    ...(tally.mismatches > 0 ? [`${tally.mismatches} books that differ`] : []),
    ...(tally.comparedWhole === 0 ? ['no whole book was compared'] : []),
    ...(rejections > 0 ? [`${rejections} unhandled rejections`] : []),
    ...(late.length > 0 ? [`never up to date at the end: ${late.join(', ')}`] : []),
    ...(Object.keys(used) as (keyof Allowance)[])
      .filter((name) => used[name] > allowed[name])
      .map((name) => `${used[name]} ${name} where ${allowed[name]} are allowed`),
  ];
  return {
    seed: outcome.seed,
    seconds: Math.round(outcome.seconds),
    published: publisher.published,
    'batches of unknown fate': publisher.unsure,
    restarts: away.length,
    updates: tally.updates,
    'undetected gaps': tally.undetected,
    'duplicate deliveries': tally.duplicates,
    'books compared': tally.compared,
    'whole books compared': tally.comparedWhole,
    'books that differ': tally.mismatches,
    'gaps noticed': totals.gaps,
    'resyncs without loss': totals.recovered,
    'resyncs with loss, told': totals.lost,
    'ended by revocation or refusal': tally.ended,
    used,
    allowed,
    'unhandled rejections': rejections,
    errors: Object.fromEntries(tally.errors),
    failures,
  };
}
