/**
 * Clients of the SDK behind the balancer of a cluster, each with a wallet session, two feeds of logs (a public and a
 * private one) and a book, and a venue that publishes all the while: what each is given is held against what was
 * published, as in the soak.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createWalletSession, type WalletSession } from '@countersign/client';
import type { Cluster } from '@countersign/testkit';
import { type SoakClient, webSocketClient } from '../../bench/lib/soak-clients.ts';
import { SoakPublisher } from '../../bench/lib/soak-publisher.ts';
import { BookTruth, createDraw, createTally } from '../../bench/lib/soak-truth.ts';
import { pause } from './gateway.ts';

/** Publications to each stream, a second. */
const RATE = 20;
/** Turns from one entry of the private logs to the next. */
const PRIVATE_EVERY = 5;
/** Sequences from one to the next at which whole books are compared. */
const WHOLE_EVERY = 8;

export interface Readers {
  readonly publisher: SoakPublisher;
  /** Those that have everything now, of all. */
  current(): number;
  readonly count: number;
  /** Reads, whole books compared after the faults, and what is wrong; ends them all. */
  finish(patienceSeconds: number): Promise<{ figures: Record<string, unknown>; failures: string[] }>;
  close(): Promise<void>;
}

/** @param seed of what is published */
export async function startReaders(
  cluster: Pick<Cluster, 'rest' | 'websocket' | 'internal' | 'dataDir'>,
  { seed, count }: { seed: number; count: number },
): Promise<Readers> {
  const tally = createTally();
  const truth = new BookTruth(tally, WHOLE_EVERY);
  const draw = createDraw(String(seed));
  const token = readFileSync(join(cluster.dataDir, 'backend.token'), 'utf8').trim();
  const publisher = new SoakPublisher({ url: cluster.internal, token, draw, truth, insists: true });
  const over: string[] = [];
  const sessions: WalletSession[] = Array.from({ length: count }, (_, n) =>
    createWalletSession({
      baseUrl: cluster.rest,
      signer: (n + 1).toString(16).padStart(64, '0'),
      chainId: 1,
    }),
  );
  await Promise.all(sessions.map((session) => session.webSocketLogin()));
  const dialectOf = (n: number) => (n % 2 === 0 ? 'ethgas' : 'coinbase');
  for (const [n, { userId }] of sessions.entries())
    await publisher.addReader(userId!, dialectOf(n) === 'ethgas' ? 'accountTransactionUpdate' : 'user');
  await publisher.publish();
  const clients: SoakClient[] = sessions.map((session, n) => {
    const name = `${dialectOf(n)} ${n}`;
    const onOver = (error: Error | null) => error !== null && over.push(`${name}: ${error.message}`);
    return webSocketClient(name, dialectOf(n), cluster.websocket, session, { tally, truth, onOver });
  });

  let going = true;
  const publishing = (async () => {
    for (let turn = 0; going; turn += 1) {
      const begun = performance.now();
      await publisher.publish();
      if (turn % PRIVATE_EVERY === 0) await publisher.publishPrivate();
      if (turn % RATE === 0) await publisher.beat();
      truth.judge();
      await pause(Math.max(1, 1000 / RATE - (performance.now() - begun)));
    }
  })();
  // What goes wrong in it is thrown by whoever ends it.
  publishing.catch(() => {});

  const stale = (client: SoakClient, newest: number) =>
    client.books.some((book) => book.stale) || Math.max(0, ...client.newest.values()) < newest;
  const waitingFor = (newest: number) => clients.filter((client) => stale(client, newest));
  let closing: Promise<void> | null = null;
  const close = () => {
    closing ??= (async () => {
      going = false;
      publisher.close();
      await publishing.catch(() => {});
      await Promise.all(clients.map((client) => client.close()));
      await Promise.all(sessions.map((session) => session.close()));
    })();
    return closing;
  };

  return {
    publisher,
    count,
    // What was published in the last tenth of a second may be on its way.
    current: () => count - waitingFor(publisher.newest - Math.ceil(RATE / 10)).length,
    async finish(patienceSeconds) {
      const until = performance.now() + patienceSeconds * 1000;
      const newest = publisher.newest + 1;
      while (waitingFor(newest).length > 0 && performance.now() < until) await pause(50);
      const late = waitingFor(newest).map(({ name }) => name);
      const whole = tally.comparedWhole;
      await pause((2000 * WHOLE_EVERY) / RATE);
      going = false;
      await publishing;
      await pause(500);
      truth.judge(true);
      const comparedAtEnd = tally.comparedWhole - whole;
      const stats = clients.map((client) => client.stats());
      const sum = (name: 'connects' | 'gaps' | 'recovered') =>
        stats.reduce((total, each) => total + each[name], 0);
      await close();
      const { undetected, duplicates, mismatches } = tally;
      const failures = [
        ...(undetected > 0 ? [`${undetected} gaps without a word`] : []),
        ...(duplicates > 0 ? [`${duplicates} came twice`] : []),
        ...(mismatches > 0 ? [`${mismatches} books that differ`] : []),
        ...(comparedAtEnd < count ? [`only ${comparedAtEnd} whole books compared at the end`] : []),
        ...(late.length > 0 ? [`never up to date again: ${late.join(', ')}`] : []),
        ...over.map((what) => `ended: ${what}`),
      ];
      const figures = {
        readers: count,
        published: publisher.published,
        publishedAgain: publisher.unsure,
        updates: tally.updates,
        undetectedGaps: undetected,
        duplicates,
        booksCompared: tally.compared,
        booksThatDiffer: mismatches,
        connects: sum('connects'),
        gapsNoticed: sum('gaps'),
        resyncsWithoutLoss: sum('recovered'),
        logsToldOfLoss: tally.told,
      };
      return { figures, failures };
    },
    close,
  };
}
