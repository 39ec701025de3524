/** A private PostgreSQL server from the binaries of the system, in a folder of its own on a free port of loopback. */
import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { promisify } from 'node:util';
import { freePort } from './free-port.ts';

const execFileAsync = promisify(execFile);

const DEBIAN = '/usr/lib/postgresql';
const SUPERUSER = 'countersign';
const PATIENCE = 20_000;

export interface PostgresServer {
  readonly port: number;
  /** Folder of its unix socket. */
  readonly socketDir: string;
  /** Process id of the postmaster. */
  readonly pid: number;
  /** As the superuser, who needs no password, or as somebody else. */
  url(database: string, user?: string): string;
  /** Runs SQL as the superuser and returns its output, rows by line, columns by `|`. @throws Error with what psql said */
  psql(database: string, statements: string): string;
  /** Process ids of the backends that serve clients of a database. */
  backends(database: string): number[];
  /** Ends the postmaster. SIGINT ends it in good order, SIGKILL as a crash would. */
  stop(signal?: NodeJS.Signals): Promise<void>;
  /** Starts it again on the same data and port. */
  restart(): Promise<void>;
  /** Stops it and removes everything. Idempotent. */
  close(): Promise<void>;
}

/** Folder of PostgreSQL's programs, of the newest version there is; null if it is not installed. */
export function findPostgres(): string | null {
  if (!existsSync(DEBIAN)) return null;
  const versions = readdirSync(DEBIAN).filter((name) => existsSync(join(DEBIAN, name, 'bin', 'postgres')));
  const newest = versions.sort((a, b) => Number(b) - Number(a))[0];
  return newest === undefined ? null : join(DEBIAN, newest, 'bin');
}

/**
 * Starts a server. Durable as a real one: `fsync` and `synchronous_commit` are on.
 *
 * @param bin what `findPostgres` returned
 * @param settings more settings of `postgresql.conf`
 * @throws Error with the server's last words if it does not start
 */
export async function startPostgres(
  bin: string,
  settings: Readonly<Record<string, string>> = {},
): Promise<PostgresServer> {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-pg-'));
  const data = join(folder, 'data');
  const asOwner = owner(folder);
  const run = (program: string, args: string[], input = '') => {
    const [command, ...rest] = [...asOwner, join(bin, program), ...args] as [string, ...string[]];
    return execFileSync(command, rest, {
      input,
      stdio: ['pipe', 'pipe', 'pipe'],
      encoding: 'utf8',
      cwd: folder,
    });
  };
  run('initdb', ['-D', data, '-U', SUPERUSER, '--auth=trust', '-E', 'UTF8', '--locale=C.UTF-8', '--no-sync']);
  const port = await freePort();
  const all = {
    listen_addresses: '127.0.0.1',
    port: String(port),
    unix_socket_directories: folder,
    fsync: 'on',
    synchronous_commit: 'on',
    max_connections: '100',
    shared_buffers: '32MB',
    max_wal_size: '256MB',
    autovacuum: 'off',
    ...settings,
  };
  const args = ['-D', data, ...Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`])];
  let child: ChildProcess;
  let log = '';

  const psql = (database: string, statements: string) =>
    run(
      'psql',
      [
        '-X',
        '-q',
        '-A',
        '-t',
        '-v',
        'ON_ERROR_STOP=1',
        '-h',
        folder,
        '-p',
        String(port),
        '-U',
        SUPERUSER,
        database,
      ],
      statements,
    ).trim();

  async function start(): Promise<void> {
    const until = performance.now() + PATIENCE;
    for (;;) {
      log = '';
      const [command, ...rest] = [...asOwner, join(bin, 'postgres'), ...args] as [string, ...string[]];
      child = spawn(command, rest, { stdio: ['ignore', 'ignore', 'pipe'], cwd: folder });
      child.stderr?.on('data', (text: Buffer) => {
        log = (log + text).slice(-4_000);
      });
      if (await ready(until)) return;
      // After a crash the last backends of the one before may still hold its shared memory.
      if (performance.now() > until) throw new Error(`postgres did not start\n${log}`);
      await setTimeout(50);
    }
  }

  async function ready(until: number): Promise<boolean> {
    while (performance.now() < until && child.exitCode === null && child.signalCode === null) {
      // Not psql: whoever waits may be timing something else meanwhile, and that would block its event loop.
      const up = await execFileAsync(join(bin, 'pg_isready'), ['-q', '-h', folder, '-p', String(port)]).then(
        () => true,
        () => false,
      );
      if (up) return true;
      await setTimeout(20);
    }
    return false;
  }

  async function stop(signal: NodeJS.Signals = 'SIGINT'): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill(signal);
    await ended;
  }

  let closing: Promise<void> | null = null;
  try {
    await start();
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
  return {
    port,
    socketDir: folder,
    get pid() {
      return Number(readFileSync(join(data, 'postmaster.pid'), 'utf8').split('\n')[0]);
    },
    url: (database, user = SUPERUSER) => `postgres://${user}@127.0.0.1:${port}/${database}`,
    psql,
    backends: (database) =>
      psql(
        'postgres',
        `select pid from pg_stat_activity where backend_type = 'client backend' and datname = '${database}'`,
      )
        .split('\n')
        .filter((line) => line !== '')
        .map(Number),
    stop,
    restart: start,
    close() {
      closing ??= stop('SIGQUIT').then(() => rmSync(folder, { recursive: true, force: true }));
      return closing;
    },
  };
}

/**
 * PostgreSQL refuses to run as root: then it gets the system's user for it, who is given the folder. The
 * server ends with the process that started it, however that ends.
 */
function owner(folder: string): string[] {
  if (process.getuid?.() !== 0) return [];
  const id = (flag: string) => Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' }));
  chownSync(folder, id('-u'), id('-g'));
  return ['setpriv', '--reuid=postgres', '--regid=postgres', '--init-groups', '--pdeathsig=QUIT', '--'];
}
