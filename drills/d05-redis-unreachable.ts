/**
 * D05: Redis is out of reach or slow. Two gateways on one PostgreSQL and, each through a proxy, on one Redis; one user
 * asks on both as fast as answers come, while Redis is cut off, then answers half a second late, then not at all.
 *
 * Must hold: never more than one and a half times the limit in any window (docs/guides/limits.md), no more than the
 * limit in windows without a change, never nothing at all; a node alone is given more than its own half again when
 * Redis is back; no stall of the event loop.
 *
 * Run: npm run drills -- d05 [--long]
 */
import {
  type CuttingProxy,
  createHttpClient,
  createLoadWallets,
  type HttpClient,
  logIn,
} from '@countersign/testkit';
import { pause, startDrillCluster } from './lib/gateway.ts';
import { report, summary } from './lib/report.ts';

const LIMIT = 400;
/** Seconds. */
const WINDOW = 2;
const LANES = 4;
/** Milliseconds: the 99th part in a hundred of the event loop's lag, on a machine that is busy with the drill itself. */
const LAG = 100;
const FOREVER = 600_000;

/** When a request that was admitted was sent and answered: somewhere between it was counted. */
interface Admitted {
  sent: number;
  answered: number;
}

const FAULTS: readonly { name: string; begin(proxy: CuttingProxy): void }[] = [
  {
    name: 'cut',
    begin(proxy) {
      proxy.down = true;
      proxy.cut();
    },
  },
  {
    name: 'late',
    begin(proxy) {
      proxy.delay = 500;
    },
  },
  {
    name: 'silent',
    begin(proxy) {
      proxy.delay = FOREVER;
    },
  },
];

export async function d05({ long = false }: { long?: boolean } = {}): Promise<boolean> {
  const seconds = long ? 60 : 2 * WINDOW;
  const tiers = {
    free: { requests: { limit: LIMIT, window: WINDOW }, connections: 100, subscriptions: 100 },
  };
  const { cluster, operators, stop } = await startDrillCluster({
    proxies: true,
    env: { COUNTERSIGN_TIERS: JSON.stringify(tiers) },
  });
  const doors = cluster.nodes.map(({ process }) => createHttpClient(process.ready.rest, LANES));
  try {
    const [wallet] = await createLoadWallets(1);
    const { accessToken } = await logIn(doors[0]!, wallet!);
    const all: Admitted[] = [];
    const ask = async (on: readonly HttpClient[], forSeconds: number): Promise<Admitted[]> => {
      const admitted = await load(on, accessToken, forSeconds);
      all.push(...admitted);
      return admitted;
    };
    const alone = async () => mostIn(await ask(doors.slice(0, 1), 2 * WINDOW));
    // Until Redis has remembered a whole window, each node holds to its half.
    await pause(WINDOW * 1100);
    const before = await alone();
    const both = mostIn(await ask(doors, seconds));
    const figures: Record<string, object> = {};
    let held = before > LIMIT * 0.6 && both <= LIMIT && both >= LIMIT * 0.9;
    for (const { name, begin } of FAULTS) {
      for (const operator of operators) await lag(operator);
      for (const { towards } of cluster.nodes) begin(towards!.redis);
      // The window in which the fault began is over; from here on nothing changes.
      const changing = await ask(doors, WINDOW);
      const steady = await ask(doors, seconds);
      const lags = await Promise.all(operators.map(lag));
      for (const { towards } of cluster.nodes) {
        Object.assign(towards!.redis, { down: false, delay: 0 });
        towards!.redis.cut();
      }
      const returning = await ask(doors, WINDOW);
      await pause(WINDOW * 1000);
      const after = await alone();
      figures[name] = {
        steady: mostIn(steady),
        around: mostIn([...changing, ...steady, ...returning]),
        aloneAfter: after,
        loopP99: Math.round(Math.max(...lags)),
      };
      report(`${name}: ${JSON.stringify(figures[name])}`);
      held =
        held &&
        mostIn(steady) <= LIMIT &&
        mostIn(steady) >= LIMIT / 2 &&
        after > LIMIT * 0.6 &&
        Math.max(...lags) <= LAG;
    }
    const most = mostIn(all);
    return summary(
      'D05',
      {
        limit: LIMIT,
        window: WINDOW,
        aloneBefore: before,
        bothBefore: both,
        ...figures,
        mostInAnyWindow: most,
      },
      held && most <= LIMIT * 1.5 + 1,
    );
  } finally {
    for (const door of doors) door.close();
    await stop();
  }
}

async function load(doors: readonly HttpClient[], token: string, seconds: number): Promise<Admitted[]> {
  const until = performance.now() + seconds * 1000;
  const admitted: Admitted[] = [];
  const lane = async (door: HttpClient) => {
    while (performance.now() < until) {
      const sent = performance.now();
      const { status } = await door.request('GET', '/v1/user/info', `Authorization: Bearer ${token}\r\n`);
      if (status === 200) admitted.push({ sent, answered: performance.now() });
      else if (status === 429) await pause(20);
      else throw new Error(`a request was answered ${status}`);
    }
  };
  await Promise.all(doors.flatMap((door) => Array.from({ length: LANES }, () => lane(door))));
  return admitted;
}

/** Most that were surely admitted within one window: sent and answered in it. */
function mostIn(admitted: readonly Admitted[]): number {
  const byAnswer = [...admitted].sort((a, b) => a.answered - b.answered);
  let most = 0;
  for (const { sent: begin } of admitted) {
    let count = 0;
    for (const { sent, answered } of byAnswer) {
      if (answered > begin + WINDOW * 1000) break;
      if (sent >= begin) count += 1;
    }
    most = Math.max(most, count);
  }
  return most;
}

/** Milliseconds since it was last asked. */
const lag = async (operator: { metric(name: string): Promise<number> }): Promise<number> =>
  1000 * (await operator.metric('countersign_nodejs_eventloop_lag_p99_seconds '));
