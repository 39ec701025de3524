/** A private Redis server from the binary of the system, in a folder of its own on a free port of loopback. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { freePort } from './free-port.ts';

const FOLDERS = ['/usr/bin', '/usr/local/bin', '/opt/homebrew/bin'];
const PATIENCE = 20_000;

/** Settings of `redis.conf` by name; a name may come several times (`user`, `save`). */
export type RedisSettings = Readonly<Record<string, string | readonly string[]>>;

export interface RedisServer {
  readonly port: number;
  /** Folder of its data. */
  readonly folder: string;
  readonly pid: number;
  /** @param user `name:password`, or nothing for the default user, who needs no password */
  url(db?: number, user?: string): string;
  /**
   * Runs one command with the system's client and returns what it printed, without the line's end.
   *
   * @throws Error when Redis answers with an error, or not at all within five seconds
   */
  cli(...args: string[]): string;
  /** Holds the process where it stands (SIGSTOP): its sockets stay open and nobody answers. */
  pause(): void;
  resume(): void;
  /** Ends the process. SIGTERM ends it in good order, SIGKILL (the default) as a crash would. */
  stop(signal?: NodeJS.Signals): Promise<void>;
  /** Starts it again on the same port. @param data `keep` (default) what is on its disk, or begin `empty` */
  restart(data?: 'keep' | 'empty'): Promise<void>;
  /** Another server that follows this one. Resolves when it has caught up. */
  replica(settings?: RedisSettings): Promise<RedisServer>;
  /** Stops it and removes everything. Idempotent. */
  close(): Promise<void>;
}

/** A Sentinel that watches one master. */
export interface RedisSentinel {
  readonly port: number;
  /** Address of the master that it names now, as `host:port`. */
  master(): string;
  /** Idempotent. */
  close(): Promise<void>;
}

/** Path of the server's program, Redis or Valkey; null if neither is installed. */
export function findRedis(): string | null {
  const names = ['redis-server', 'valkey-server'];
  for (const folder of FOLDERS) {
    for (const name of names) if (existsSync(join(folder, name))) return join(folder, name);
  }
  return null;
}

/**
 * Starts a server that keeps everything in memory and nothing on disk, as a broker needs.
 *
 * @param bin what {@link findRedis} returned
 * @param settings more settings of `redis.conf`; `appendonly: 'yes'` makes it durable
 * @throws Error with the server's last words if it does not start
 */
export async function startRedis(bin: string, settings: RedisSettings = {}): Promise<RedisServer> {
  const { port, folder, ...running } = await start(bin, [], {
    save: '',
    appendonly: 'no',
    'maxmemory-policy': 'noeviction',
    'repl-diskless-sync-delay': '0',
    ...settings,
  });
  const replicas: RedisServer[] = [];
  const cli = (...args: string[]) => command(bin, port, args);
  let closing: Promise<void> | null = null;
  return {
    port,
    folder,
    cli,
    get pid() {
      return running.pid();
    },
    url: (db = 0, user) => `redis://${user === undefined ? '' : `${user}@`}127.0.0.1:${port}/${db}`,
    pause: () => running.send('SIGSTOP'),
    resume: () => running.send('SIGCONT'),
    stop: (signal = 'SIGKILL') => running.stop(signal),
    async restart(data = 'keep') {
      await running.stop('SIGKILL');
      if (data === 'empty') running.wipe();
      await running.start();
    },
    async replica(more = {}) {
      const follower = await startRedis(bin, {
        ...settings,
        ...more,
        replicaof: `127.0.0.1 ${port}`,
      });
      replicas.push(follower);
      await until(() => follower.cli('info', 'replication').includes('master_link_status:up'));
      return follower;
    },
    close() {
      closing ??= Promise.all([running.close(), ...replicas.map((replica) => replica.close())]).then(
        () => undefined,
      );
      return closing;
    },
  };
}

/**
 * Starts a Sentinel. It alone decides: quorum 1.
 *
 * @param name of the master, as clients ask for it
 * @param downAfterMs silence of the master after which it counts as gone. Default 500
 */
export async function startRedisSentinel(
  bin: string,
  name: string,
  master: Pick<RedisServer, 'port'>,
  downAfterMs = 500,
): Promise<RedisSentinel> {
  const { port, ...running } = await start(bin, ['--sentinel'], {
    sentinel: [
      `monitor ${name} 127.0.0.1 ${master.port} 1`,
      `down-after-milliseconds ${name} ${downAfterMs}`,
      `failover-timeout ${name} 5000`,
    ],
  });
  return {
    port,
    master: () => command(bin, port, ['sentinel', 'get-master-addr-by-name', name]).split('\n').join(':'),
    close: running.close,
  };
}

async function start(bin: string, flags: readonly string[], settings: RedisSettings) {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-redis-'));
  const port = await freePort();
  const all: RedisSettings = { port: String(port), bind: '127.0.0.1', dir: folder, ...settings };
  const file = join(folder, 'redis.conf');
  const lines = Object.entries(all).flatMap(([key, value]) =>
    [value].flat().map((one) => `${key} ${one === '' ? '""' : one}`),
  );
  writeFileSync(file, `${lines.join('\n')}\n`);
  let child: ChildProcess;
  let log = '';
  const gone = () => child.exitCode !== null || child.signalCode !== null;

  async function begin(): Promise<void> {
    log = '';
    const [program, ...args] = [...untilWeEnd(), bin, file, ...flags] as [string, ...string[]];
    child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], cwd: folder });
    child.stdout?.on('data', (text: Buffer) => {
      log = (log + text).slice(-4_000);
    });
    const end = performance.now() + PATIENCE;
    while (!(await answers(port))) {
      if (gone() || performance.now() > end) throw new Error(`redis did not start\n${log}`);
      await setTimeout(10);
    }
  }

  async function stop(signal: NodeJS.Signals): Promise<void> {
    if (gone()) return;
    const ended = once(child, 'exit');
    // A process that is held does not hear SIGTERM before it goes on.
    child.kill('SIGCONT');
    child.kill(signal);
    await ended;
  }

  const remove = () => rmSync(folder, { recursive: true, force: true });
  const orphan = () => child.kill('SIGKILL');
  try {
    await begin();
  } catch (error) {
    await stop('SIGKILL');
    remove();
    throw error;
  }
  process.once('exit', orphan);
  return {
    port,
    folder,
    pid: () => child.pid ?? 0,
    send: (signal: NodeJS.Signals) => void child.kill(signal),
    start: begin,
    stop,
    wipe() {
      for (const name of readdirSync(folder)) {
        if (name !== 'redis.conf') rmSync(join(folder, name), { recursive: true, force: true });
      }
    },
    async close(): Promise<void> {
      process.off('exit', orphan);
      await stop('SIGKILL');
      remove();
    },
  };
}

/** The server ends with the process that started it, however that ends. Where Linux's tool for it is missing, only in good order. */
function untilWeEnd(): string[] {
  return existsSync('/usr/bin/setpriv') ? ['/usr/bin/setpriv', '--pdeathsig=KILL', '--'] : [];
}

function command(bin: string, port: number, args: readonly string[]): string {
  const client = join(dirname(bin), bin.endsWith('valkey-server') ? 'valkey-cli' : 'redis-cli');
  // -e: an error of Redis is an error of the program.
  return execFileSync(client, ['-e', '-p', String(port), ...args], {
    encoding: 'utf8',
    timeout: 5_000,
    stdio: ['ignore', 'pipe', 'pipe'],
  }).trimEnd();
}

/** True when whoever listens answers a PING and is not still loading its data. */
function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => socket.write('PING\r\n'));
    socket.setTimeout(1_000, () => socket.destroy());
    socket.on('error', () => {});
    socket.on('data', (text) => {
      // One that asks for a password first is up as well.
      resolve(/^(?:\+PONG|-NOAUTH)/.test(text.toString()));
      socket.destroy();
    });
    socket.on('close', () => resolve(false));
  });
}

async function until(condition: () => boolean): Promise<void> {
  const end = performance.now() + PATIENCE;
  while (!condition()) {
    if (performance.now() > end) throw new Error('the replica did not catch up');
    await setTimeout(20);
  }
}
