/** What drills need of running gateways besides their sockets. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type Cluster,
  type ClusterOptions,
  createHttpClient,
  type GatewayProcess,
  startCluster,
  startGatewayProcess,
} from '@countersign/testkit';

/** The internal side of a node, or of the balancer before several. */
export interface Operator {
  publish(publications: readonly object[]): Promise<void>;
  /** @returns the answer, parsed */
  admin(method: string, path: string, body?: object): Promise<unknown>;
  /** The sum of a metric over its labels, as far as they contain all of `labels` (`code="4101"`). */
  metric(name: string, ...labels: string[]): Promise<number>;
  close(): void;
}

export interface DrillGateway extends Operator {
  readonly process: GatewayProcess;
  /** Resident set in MiB. Linux only. */
  resident(): number;
  stop(): Promise<void>;
}

/** @param dataDir where the tokens of operators and backends are */
export function operatorOf(internal: string, dataDir: string): Operator {
  // Publications and metrics must not wait for each other.
  const feed = createHttpClient(internal, 1);
  const other = createHttpClient(internal, 8);
  const token = (name: string) =>
    `Authorization: Bearer ${readFileSync(join(dataDir, `${name}.token`), 'utf8').trim()}\r\nContent-Type: application/json\r\n`;
  const backend = token('backend');
  const operator = token('admin');
  return {
    async publish(publications) {
      const answer = await feed.request(
        'POST',
        '/backend/v1/publish',
        backend,
        JSON.stringify({ publications }),
      );
      if (answer.status !== 200) throw new Error(`publish answered ${answer.status}: ${answer.body}`);
    },
    async admin(method, path, body = {}) {
      const answer = await other.request(method, `/admin/v1${path}`, operator, JSON.stringify(body));
      if (answer.status !== 200) throw new Error(`${path} answered ${answer.status}: ${answer.body}`);
      return JSON.parse(answer.body) as unknown;
    },
    async metric(name, ...labels) {
      const { body } = await other.request('GET', '/metrics');
      return body
        .split('\n')
        .filter((line) => line.startsWith(name) && labels.every((label) => line.includes(label)))
        .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
    },
    close() {
      feed.close();
      other.close();
    },
  };
}

export async function startDrillGateway(env: Record<string, string> = {}): Promise<DrillGateway> {
  const dataDir = mkdtempSync(join(tmpdir(), 'countersign-drill-'));
  const process = await startGatewayProcess({
    dataDir,
    cpus: '0',
    flags: ['--no-sandbox', '--log-level', 'error'],
    env,
  });
  const operator = operatorOf(process.ready.internal, dataDir);
  return {
    ...operator,
    process,
    resident: () =>
      Number(/VmRSS:\s*(\d+)/.exec(readFileSync(`/proc/${process.pid}/status`, 'utf8'))?.[1]) / 1024,
    async stop() {
      operator.close();
      await process.stop('SIGKILL');
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}

/** Several gateways on one PostgreSQL and one Redis; `operators` are those of the nodes, in order. */
export interface DrillCluster {
  readonly cluster: Cluster;
  readonly operators: readonly Operator[];
  stop(): Promise<void>;
}

export async function startDrillCluster(options: ClusterOptions = {}): Promise<DrillCluster> {
  const cluster = await startCluster({ flags: ['--log-level', 'error'], ...options });
  const operators = cluster.nodes.map(({ process }) => operatorOf(process.ready.internal, cluster.dataDir));
  return {
    cluster,
    operators,
    async stop() {
      for (const operator of operators) operator.close();
      await cluster.close();
    },
  };
}

export const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** @param share 0 to 1. NaN of nothing */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}
