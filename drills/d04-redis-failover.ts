/**
 * D04: a replica takes over from the master of Redis, by Sentinel: once because the master is killed, and starts again
 * later; once because it stands still for so long, goes on while another one is the master, and carries out what
 * gateways had sent to it. Strict API-key tokens are spent, raced and replayed on two gateways and trades are published
 * and read all the while.
 *
 * Must hold: no strict token is accepted twice; no reader sees two publications at one `(epoch, sequence)`, nor
 * one of the old master's once the new one's have begun; publications and strict tokens are taken again in time.
 *
 * Run: npm run drills -- d04 [--nodes 2]
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { coinbaseDialect, createFeed, type Feed } from '@countersign/client';
import { NodeWebSocket } from '@countersign/client/node';
import { type Cluster, createHttpClient, createLoadWallets } from '@countersign/testkit';
import { pause, startDrillCluster } from './lib/gateway.ts';
import { report, summary } from './lib/report.ts';
import { createStrictKey, STRICT_HOST } from './lib/strict-keys.ts';

const READERS = 8;
/** Seconds until publications and strict tokens have to be taken again. */
const PATIENCE = 15;
/** Milliseconds of load before the fault, and after the old master is back. */
const BEFORE = 2000;
const AFTER = 4000;

type Fault = 'killed' | 'paused';

export async function d04({ nodes }: { nodes: number }): Promise<boolean> {
  const killed = await failover('killed', nodes);
  const paused = await failover('paused', nodes);
  const held = [killed, paused].every(
    ({ doubles, replays, conflicts, stale, seen, publishSeconds, strictSeconds }) =>
      doubles + replays + conflicts + stale === 0 &&
      seen > 0 &&
      Math.max(publishSeconds, strictSeconds) <= PATIENCE,
  );
  return summary('D04', { nodes, killed, paused }, held);
}

async function failover(fault: Fault, nodes: number) {
  const { cluster, stop } = await startDrillCluster({
    nodes,
    sentinel: true,
    env: { COUNTERSIGN_KEYS_HOSTS: JSON.stringify([STRICT_HOST]) },
  });
  const { redis } = cluster;
  const rest = cluster.nodes.map(({ process }) => process.ready.rest);
  const places = createPlaces();
  const venue = createVenue(cluster, places.note);
  const feeds: Feed[] = [];
  try {
    const [wallet] = await createLoadWallets(1);
    const key = await createStrictKey(rest, wallet!);
    await key.accepted(PATIENCE);
    await venue.publish();
    for (let n = 0; n < READERS; n += 1) {
      const url = cluster.nodes[n % nodes]!.process.ready.websocket;
      const feed = createFeed({ url, dialect: coinbaseDialect(), WebSocket: NodeWebSocket });
      feeds.push(feed);
      const subscription = feed.subscribe({ channel: 'market_trades', product: 'ETH-USD' }, (update) => {
        if (update.type !== 'update' || update.sequence === null || update.epoch === null) return;
        const { trades } = update.data as { trades: { trade_id: string }[] };
        places.see(n, update.epoch, update.sequence, Number(trades[0]!.trade_id));
      });
      await subscription.ready;
    }

    let doubles = 0;
    let replays = 0;
    let going = true;
    const loop = async (work: () => Promise<unknown>) => {
      while (going) {
        await work();
        await pause(10);
      }
    };
    const load = Promise.all([
      loop(() => key.spend(8)),
      loop(venue.publish),
      loop(async () => {
        doubles += Math.max(0, (await key.race()) - 1);
      }),
      loop(async () => {
        replays += await key.replay(key.spent.slice(-64));
      }),
    ]);
    load.catch(() => {});
    await pause(BEFORE);

    const spentBefore = key.spent.length;
    const publishedBefore = venue.taken;
    const answered = () => Object.values(key.answers).reduce((sum, count) => sum + count, 0);
    const asked = answered();
    const accepted = key.answers[200] ?? 0;
    const begun = performance.now();
    if (fault === 'killed') await redis.stop('SIGKILL');
    else redis.pause();
    const master = cluster.standby!.sentinel.master();
    while (cluster.standby!.sentinel.master() === master && performance.now() - begun < PATIENCE * 1000)
      await pause(50);
    const promoted = (performance.now() - begun) / 1000;
    const since = venue.taken;
    while (venue.taken === since && performance.now() - begun < 2 * PATIENCE * 1000) await pause(20);
    const publishSeconds = (performance.now() - begun) / 1000;
    await key.accepted(2 * PATIENCE);
    const strictSeconds = (performance.now() - begun) / 1000;
    const refusedShare = 1 - ((key.answers[200] ?? 0) - accepted) / (answered() - asked);

    if (fault === 'killed') await redis.restart();
    else redis.resume();
    await pause(AFTER);
    going = false;
    await load;
    replays += await key.replay();
    await pause(500);
    const figures = {
      spentBefore,
      spent: key.spent.length,
      doubles,
      replays,
      publishedBefore,
      published: venue.taken,
      publishedMaybe: venue.unsure,
      seen: places.seen(),
      epochs: places.epochs(),
      conflicts: places.conflicts(),
      stale: places.stale(),
      promotedSeconds: round(promoted),
      publishSeconds: round(publishSeconds),
      strictSeconds: round(strictSeconds),
      strictRefusedPercent: Math.round(refusedShare * 100),
    };
    report(`master ${fault}: ${JSON.stringify(figures)}`);
    key.close();
    return figures;
  } finally {
    venue.close();
    await Promise.all(feeds.map((feed) => feed.close()));
    // A server that stands still does not end in good order.
    redis.resume();
    await stop();
  }
}

const round = (seconds: number): number => Math.round(seconds * 10) / 10;

/** Numbered trades. */
function createVenue(
  { internal, dataDir }: Pick<Cluster, 'internal' | 'dataDir'>,
  note: (epoch: string, sequence: number, n: number) => void,
) {
  const http = createHttpClient(internal, 1);
  const token = readFileSync(join(dataDir, 'backend.token'), 'utf8').trim();
  const headers = `Authorization: Bearer ${token}\r\nContent-Type: application/json\r\n`;
  let number = 0;
  const venue = {
    taken: 0,
    /** Refused or unanswered: nobody knows whether they were published. */
    unsure: 0,
    async publish(): Promise<void> {
      const n = ++number;
      const data = { trades: [{ trade_id: String(n), product_id: 'ETH-USD' }] };
      const body = JSON.stringify({ publications: [{ channel: 'market_trades', key: 'ETH-USD', data }] });
      const answer = await http.request('POST', '/backend/v1/publish', headers, body).catch(() => null);
      if (answer?.status !== 200) {
        venue.unsure += 1;
        return;
      }
      const { results } = (
        JSON.parse(answer.body) as { data: { results: { epoch: string; sequence: number }[] } }
      ).data;
      venue.taken += 1;
      for (const { epoch, sequence } of results) note(epoch, sequence, n);
    },
    close: () => http.close(),
  };
  return venue;
}

/** What stands where, as receipts and readers say. */
function createPlaces() {
  const at = new Map<string, number>();
  const order: { reader: number; epoch: string }[] = [];
  let conflicts = 0;
  const note = (epoch: string, sequence: number, n: number): void => {
    const place = `${epoch} ${sequence}`;
    const known = at.get(place);
    if (known !== undefined && known !== n) conflicts += 1;
    at.set(place, n);
  };
  return {
    note,
    see(reader: number, epoch: string, sequence: number, n: number): void {
      note(epoch, sequence, n);
      order.push({ reader, epoch });
    },
    seen: () => order.length,
    epochs: () => new Set(order.map(({ epoch }) => epoch)).size,
    conflicts: () => conflicts,
    /** Publications of an epoch that a reader had left already. */
    stale(): number {
      const now = new Map<number, string>();
      const left = new Map<number, Set<string>>();
      let stale = 0;
      for (const { reader, epoch } of order) {
        const before = now.get(reader);
        const over = left.get(reader) ?? new Set<string>();
        if (before !== undefined && before !== epoch) over.add(before);
        if (over.has(epoch)) stale += 1;
        left.set(reader, over);
        now.set(reader, epoch);
      }
      return stale;
    },
  };
}
