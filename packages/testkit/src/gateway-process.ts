/** A real gateway in a process of its own, started from the built CLI as a user would start it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

/** What `countersign serve --json` prints when it is ready. */
export interface Ready {
  event: 'ready';
  rest: string;
  websocket: string;
  socketio: string;
  internal: string;
  credentials: Record<string, unknown>;
}

export interface GatewayProcess {
  readonly ready: Ready;
  readonly pid: number;
  /** Milliseconds from spawn to the ready line. */
  readonly startedIn: number;
  /** The last lines that the gateway logged. */
  readonly log: readonly string[];
  /** The exit code, once the process has ended by itself or by a signal that it heeded; null after one that killed. */
  readonly ended: Promise<number | null>;
  /** Sends a signal and waits for the end. @returns the exit code, null after a signal that killed */
  stop(signal?: NodeJS.Signals): Promise<number | null>;
}

export interface GatewayProcessOptions {
  dataDir: string;
  /** Extra `countersign serve` flags. */
  flags?: readonly string[];
  env?: Record<string, string>;
  /** Flags of Node itself, such as `--cpu-prof`. */
  node?: readonly string[];
  /** Pins the process to processors, as `taskset -c` takes them. Linux only. */
  cpus?: string;
  /** Milliseconds to wait for the ready line. Default 15,000. */
  patience?: number;
}

const LOG_LINES = 200;

/**
 * Starts a gateway on free ports of the loopback interface and waits until it is ready.
 *
 * @throws Error with the last log lines if it ends or stays silent
 */
export async function startGatewayProcess(options: GatewayProcessOptions): Promise<GatewayProcess> {
  const { dataDir, flags = [], env = {}, node = [], cpus, patience = 15_000 } = options;
  const main = createRequire(import.meta.url)
    .resolve('@countersign/cli/package.json')
    .replace('package.json', 'dist/main.js');
  const serve = [
    process.execPath,
    ...node,
    main,
    'serve',
    '--json',
    '--port',
    '0',
    '--internal-port',
    '0',
    '--data-dir',
    dataDir,
    ...flags,
  ];
  const [command = process.execPath, ...args] =
    cpus === undefined ? serve : ['taskset', '-c', cpus, ...serve];
  const begun = performance.now();
  const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  const log: string[] = [];
  createInterface({ input: child.stderr }).on('line', (line) => {
    log.push(line);
    if (log.length > LOG_LINES) log.shift();
  });
  const ended = once(child, 'exit').then(() => child.exitCode);
  const ready = await firstLine(child, patience, log);
  return {
    ready,
    pid: child.pid ?? 0,
    startedIn: performance.now() - begun,
    log,
    ended,
    async stop(signal = 'SIGTERM') {
      if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
      child.kill(signal);
      return ended;
    },
  };
}

function firstLine(child: ChildProcess, patience: number, log: readonly string[]): Promise<Ready> {
  return new Promise((resolve, reject) => {
    const fail = (why: string) => {
      child.kill('SIGKILL');
      reject(new Error(`the gateway ${why}\n${log.slice(-10).join('\n')}`));
    };
    const timer = setTimeout(() => fail(`was not ready after ${patience} ms`), patience);
    const early = (code: number | null, signal: string | null) =>
      fail(`ended before it was ready (${code ?? signal})`);
    child.once('exit', early);
    if (child.stdout === null) return fail('has no standard output');
    createInterface({ input: child.stdout }).once('line', (line) => {
      clearTimeout(timer);
      child.off('exit', early);
      resolve(JSON.parse(line) as Ready);
    });
  });
}
