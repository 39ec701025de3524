/**
 * A reconnect storm on paper: a part of all connections is lost in one moment, or spread over a drain, and comes
 * back. What a node can do is measured; what the clients do is assumed, and both are printed. A simulation with one
 * event for each attempt, the same in every run.
 *
 * Run: npm run bench -- storm-sim
 */
interface Assumptions {
  /** Connections before, and the nodes that are left to take them. */
  connections: number;
  nodes: number;
  /** The share that is lost, and the milliseconds over which that happens. */
  lost: number;
  overMs: number;
  /** Milliseconds of one core for an upgrade, a login by token with one subscription, and an attempt that is refused. */
  upgradeMs: number;
  loginMs: number;
  shedMs: number;
  /** The share of a core that is left beside what the node does anyway. */
  spare: number;
  /** Milliseconds of waiting work beyond which a node answers 503. */
  queueMs: number;
  /** New connections that the balancer lets through to a node in a second; others it refuses itself. */
  mostPerSecond: number;
  /** The share of clients whose access token has expired, and the refreshes per second of the database. */
  expired: number;
  refreshesPerSecond: number;
  /** Milliseconds after which nobody looks any more. */
  withinMs: number;
  /** Milliseconds after which a client gives an attempt up. */
  patienceMs: number;
  /** Milliseconds until the n-th further attempt; `random` from 0 to 1. */
  pause(attempt: number, random: number): number;
}

export interface Outcome {
  /** Seconds until so many are back. */
  half: number;
  most: number;
  all: number;
  /** Attempts in the busiest second, and over all. */
  peak: number;
  attempts: number;
  refused: number;
  /** Attempts that were carried out for a client that had given up. */
  wasted: number;
  refreshes: number;
}

const TICK_MS = 5;
const STORE_PATIENCE_MS = 1800;

/** Mulberry32: small, seeded, and good enough for spreading attempts. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** One server that works through a line: when it is done with work that arrives at `at`. */
class Line {
  #free = 0;
  wait(at: number): number {
    return Math.max(0, this.#free - at);
  }
  take(at: number, ms: number): number {
    this.#free = Math.max(at, this.#free) + ms;
    return this.#free;
  }
}

export function simulate(given: Assumptions, seed = 1): Outcome {
  const random = randomOf(seed);
  const clients = Math.round(given.connections * given.lost);
  const nodes = Array.from({ length: given.nodes }, () => new Line());
  const database = new Line();
  const tried = new Uint8Array(clients);
  /** 1 while a client's token has expired. */
  const expired = new Uint8Array(clients);
  const due: (number[] | undefined)[] = [];
  const perSecond: number[] = [];
  const back: number[] = [];
  /** Attempts of the present second that reached each node. */
  const passed = new Uint32Array(given.nodes);
  let now = 0;
  const total = { attempts: 0, refused: 0, wasted: 0, refreshes: 0 };

  const schedule = (client: number, at: number) => {
    const tick = Math.floor(at / TICK_MS);
    due[tick] ??= [];
    due[tick].push(client);
  };
  const again = (client: number, at: number) => {
    const attempt = Math.min(254, (tried[client] ?? 0) + 1);
    tried[client] = attempt;
    schedule(client, at + given.pause(attempt, random()));
  };
  for (let client = 0; client < clients; client++) {
    if (random() < given.expired) expired[client] = 1;
    schedule(client, random() * given.overMs + given.pause(0, random()));
  }

  for (let tick = 0; tick < due.length && tick * TICK_MS < given.withinMs; tick++) {
    const at = tick * TICK_MS;
    for (const client of due[tick] ?? []) {
      total.attempts += 1;
      const second = Math.floor(at / 1000);
      perSecond[second] = (perSecond[second] ?? 0) + 1;
      const chosen = Math.floor(random() * nodes.length);
      const node = nodes[chosen] as Line;
      if (second !== now) {
        now = second;
        passed.fill(0);
      }
      const before = passed[chosen] ?? 0;
      passed[chosen] = before + 1;
      if (before >= given.mostPerSecond) {
        total.refused += 1;
        again(client, at);
        continue;
      }
      if (node.wait(at) > given.queueMs) {
        total.refused += 1;
        node.take(at, given.shedMs / given.spare);
        again(client, at + node.wait(at));
        continue;
      }
      let done = node.take(at, (given.upgradeMs + given.loginMs) / given.spare);
      if (expired[client] === 1) {
        // The store's own patience: what would wait for longer is answered with 503.
        if (database.wait(done) > STORE_PATIENCE_MS) {
          total.refused += 1;
          again(client, done);
          continue;
        }
        total.refreshes += 1;
        done = database.take(done, 1000 / given.refreshesPerSecond);
        expired[client] = 0;
      }
      if (done - at > given.patienceMs) {
        total.wasted += 1;
        again(client, at + given.patienceMs);
      } else back.push(done);
    }
    due[tick] = undefined;
  }
  back.sort((a, b) => a - b);
  const after = (share: number) => {
    const at = back[Math.ceil(clients * share) - 1];
    return at === undefined ? Number.POSITIVE_INFINITY : at / 1000;
  };
  return {
    half: after(0.5),
    most: after(0.95),
    all: after(1),
    peak: perSecond.reduce((a, b) => Math.max(a, b ?? 0), 0),
    ...total,
  };
}

/** Exponential from a second to half a minute, anywhere below it: what our client does. */
const jittered = (attempt: number, random: number) => Math.min(30_000, 1000 * 2 ** attempt) * random;
/** As clients of the seeds do: a fixed pause, no spread. */
const fixed = (attempt: number) => (attempt === 0 ? 0 : 1000);

/** Measured on one core of a busy machine; docs/scale.md says how. */
const MEASURED = {
  upgradeMs: 0.24,
  loginMs: 0.32,
  shedMs: 0.1,
  spare: 0.5,
  queueMs: 2000,
  mostPerSecond: Number.POSITIVE_INFINITY,
  refreshesPerSecond: 2420,
  patienceMs: 10_000,
  withinMs: 900_000,
} as const;

const MILLION = { connections: 1_000_000, nodes: 25, expired: 0.02 };

export const SCENARIOS: { name: string; given: Assumptions }[] = [
  {
    name: 'one node of 25 dies, clients with jitter',
    given: { ...MEASURED, ...MILLION, nodes: 24, lost: 0.04, overMs: 0, pause: jittered },
  },
  {
    name: 'one node of 25 drains over 30 s',
    given: { ...MEASURED, ...MILLION, nodes: 24, lost: 0.04, overMs: 30_000, pause: jittered },
  },
  {
    name: 'the balancer dies: all at once, with jitter',
    given: { ...MEASURED, ...MILLION, lost: 1, overMs: 0, pause: jittered },
  },
  {
    name: 'the same, clients that pause 1 s without jitter',
    given: { ...MEASURED, ...MILLION, lost: 1, overMs: 0, withinMs: 120_000, pause: fixed },
  },
  {
    name: 'the same, and the balancer lets 800 a second through to a node',
    given: { ...MEASURED, ...MILLION, lost: 1, overMs: 0, mostPerSecond: 800, pause: fixed },
  },
  {
    name: 'the same after an hour: every token expired',
    given: { ...MEASURED, ...MILLION, expired: 1, lost: 1, overMs: 0, pause: jittered },
  },
  {
    name: 'ten million on 250 nodes, all at once, with jitter',
    given: {
      ...MEASURED,
      connections: 10_000_000,
      nodes: 250,
      expired: 0.02,
      lost: 1,
      overMs: 0,
      pause: jittered,
    },
  },
];

const figure = (value: number) => (Number.isFinite(value) ? `${value.toFixed(1)} s` : 'not at all');
const count = (value: number) => value.toLocaleString('en');

export async function stormSim(): Promise<void> {
  const out = (line: string) => process.stdout.write(`${line}\n`);
  out(
    'one core: upgrade 0.24 ms, login and subscription 0.32 ms, refusal 0.1 ms (assumed); half of it spare; refused after 2 s of queue;',
  );
  out(
    'database: 2,420 refreshes a second in all; clients wait 10 s; 2 % of tokens expired unless it says otherwise',
  );
  out('');
  out('| scenario | 50 % | 95 % | 100 % | busiest second | attempts | refused | wasted | refreshes |');
  out('|---|---|---|---|---|---|---|---|---|');
  for (const { name, given } of SCENARIOS) {
    const { half, most, all, peak, attempts, refused, wasted, refreshes } = simulate(given);
    const times = [half, most, all].map(figure);
    out(`| ${[name, ...times, ...[peak, attempts, refused, wasted, refreshes].map(count)].join(' | ')} |`);
  }
}
