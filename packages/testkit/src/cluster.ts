/** Several gateways, each a process, on one PostgreSQL and one Redis, behind TCP balancers: beyond one machine, on one. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type CuttingProxy, startCuttingProxy } from './cutting-proxy.ts';
import { type GatewayProcess, startGatewayProcess } from './gateway-process.ts';
import { findPostgres, type PostgresServer, startPostgres } from './postgres.ts';
import { findRedis, type RedisSentinel, type RedisServer, startRedis, startRedisSentinel } from './redis.ts';
import { startTcpBalancer, type TcpBalancer } from './tcp-balancer.ts';

export interface ClusterNode {
  /** The present process of this node. */
  readonly process: GatewayProcess;
  /** What stands between this node and the others' common parts, if `proxies` was asked for. */
  readonly towards: { readonly postgres: CuttingProxy; readonly redis: CuttingProxy } | null;
  /** Ends the process; balancers notice by themselves. @returns as `GatewayProcess.stop` */
  stop(signal?: NodeJS.Signals): Promise<number | null>;
  /** Starts a new process in its place and puts it behind the balancers. */
  start(): Promise<void>;
}

export interface Cluster {
  readonly nodes: readonly ClusterNode[];
  /** Holds the key-encryption key and the credentials of operators and backends, which all nodes share. */
  readonly dataDir: string;
  /** Of the balancer, as `Ready` has them of one node. */
  readonly rest: string;
  readonly websocket: string;
  readonly socketio: string;
  /** Internal listeners behind a balancer of their own: for publishing and for operators. */
  readonly internal: string;
  readonly balancer: TcpBalancer;
  readonly postgres: PostgresServer;
  readonly redis: RedisServer;
  /** What follows `redis`, and what watches both, if `sentinel` was asked for. */
  readonly standby: { readonly replica: RedisServer; readonly sentinel: RedisSentinel } | null;
  /** Ends all processes and removes all data. Idempotent. */
  close(): Promise<void>;
}

export interface ClusterOptions {
  /** Default 2. */
  nodes?: number;
  /** Ports of the balancers; default any free ones. */
  port?: number;
  internalPort?: number;
  /** Where the shared keys are; default a temporary folder, which `close` removes. */
  dataDir?: string;
  /** More flags and variables of `countersign serve`, for every node. */
  flags?: readonly string[];
  env?: Record<string, string>;
  /** Variables of one node, by its place from 0. */
  envOf?: (node: number) => Record<string, string>;
  /** Processors that the gateways are pinned to, as `taskset -c` takes them. Linux only. */
  cpus?: string;
  /** Puts a proxy between each node and PostgreSQL, and between each node and Redis. */
  proxies?: boolean;
  /** Gives Redis a replica, and has the gateways ask a Sentinel for the master. Not together with `proxies`. */
  sentinel?: boolean;
  /** More settings of the two servers. */
  postgres?: Readonly<Record<string, string>>;
  redis?: Readonly<Record<string, string>>;
  /** Told of each step. */
  progress?: (line: string) => void;
}

const DATABASE = 'countersign';
/** As the Sentinel knows the master. */
const MASTER = 'main';

/** What a cluster needs that this machine has not; empty if it can be started. */
export function missingForCluster(): string[] {
  return [
    ...(findPostgres() === null ? ['postgresql'] : []),
    ...(findRedis() === null ? ['redis-server'] : []),
  ];
}

/** @throws Error if a program is missing, or with the last words of whatever does not start */
export async function startCluster(options: ClusterOptions = {}): Promise<Cluster> {
  const { nodes: count = 2, flags = [], env = {}, proxies = false, progress = () => {} } = options;
  const opened: (() => Promise<unknown>)[] = [];
  const close = closeOnce(opened);
  try {
    const dataDir = options.dataDir ?? temporary(opened);
    const missing = missingForCluster();
    if (missing.length > 0) throw new Error(`a cluster needs ${missing.join(' and ')}`);
    progress('starting PostgreSQL');
    const postgres = await startPostgres(findPostgres() as string, options.postgres);
    opened.push(() => postgres.close());
    postgres.psql('postgres', `create database ${DATABASE}`);
    progress('starting Redis');
    const redis = await startRedis(findRedis() as string, options.redis);
    opened.push(() => redis.close());
    const standby = options.sentinel === true ? await watched(redis) : null;
    if (standby !== null) opened.push(() => standby.sentinel.close());
    const whereRedis: Record<string, string> =
      standby === null
        ? {}
        : {
            COUNTERSIGN_BROKER_SENTINEL_NAME: MASTER,
            COUNTERSIGN_BROKER_SENTINEL_NODES: JSON.stringify([`127.0.0.1:${standby.sentinel.port}`]),
          };

    const nodes: ClusterNode[] = [];
    let outer: TcpBalancer | null = null;
    let inner: TcpBalancer | null = null;
    const rebalance = async () => {
      const up = nodes.map(({ process: { ready } }) => ready);
      const behind = (url: 'rest' | 'internal') =>
        up.map((ready) => ({ port: Number(new URL(ready[url]).port), ready: `${ready.internal}/readyz` }));
      await Promise.all([outer?.replace(behind('rest')), inner?.replace(behind('internal'))]);
    };

    for (let index = 0; index < count; index++) {
      const towards = proxies
        ? {
            postgres: await startCuttingProxy(`http://127.0.0.1:${postgres.port}`),
            redis: await startCuttingProxy(`http://127.0.0.1:${redis.port}`),
          }
        : null;
      if (towards !== null)
        opened.push(
          () => towards.postgres.close(),
          () => towards.redis.close(),
        );
      const through = (url: string, proxy: CuttingProxy | undefined) => {
        if (proxy === undefined) return url;
        const changed = new URL(url);
        changed.port = String(proxy.port);
        return changed.href;
      };
      const run = () =>
        startGatewayProcess({
          dataDir,
          flags: [
            '--store',
            through(postgres.url(DATABASE), towards?.postgres),
            '--broker',
            through(redis.url(), towards?.redis),
            '--no-sandbox',
            ...flags,
          ],
          env: { ...whereRedis, ...env, ...options.envOf?.(index) },
          ...(options.cpus === undefined ? {} : { cpus: options.cpus }),
        });
      progress(`starting node ${index + 1}`);
      let gateway = await run();
      opened.push(() => gateway.stop('SIGKILL'));
      nodes.push({
        get process() {
          return gateway;
        },
        towards,
        stop: (signal) => gateway.stop(signal),
        async start() {
          gateway = await run();
          await rebalance();
        },
      });
    }
    outer = await startTcpBalancer([], { port: options.port ?? 0 });
    opened.push(() => outer?.close() ?? Promise.resolve());
    inner = await startTcpBalancer([], { port: options.internalPort ?? 0 });
    opened.push(() => inner?.close() ?? Promise.resolve());
    await rebalance();
    const host = `127.0.0.1:${outer.port}`;
    return {
      nodes,
      dataDir,
      rest: `http://${host}`,
      websocket: `ws://${host}/ws`,
      socketio: `http://${host}`,
      internal: `http://127.0.0.1:${inner.port}`,
      balancer: outer,
      postgres,
      redis,
      standby,
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

async function watched(redis: RedisServer) {
  const replica = await redis.replica();
  return { replica, sentinel: await startRedisSentinel(findRedis() as string, MASTER, redis) };
}

function temporary(opened: (() => Promise<unknown>)[]): string {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-cluster-'));
  opened.push(async () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Last opened, first closed; what cannot be closed does not keep the rest open. */
function closeOnce(opened: (() => Promise<unknown>)[]): () => Promise<void> {
  let closing: Promise<void> | null = null;
  return () => {
    closing ??= (async () => {
      for (const close of opened.reverse()) await close().catch(() => {});
    })();
    return closing;
  };
}
