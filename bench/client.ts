/**
 * What one client costs: messages of a level2 stream that are parsed and booked per second on one core, beside what
 * other libraries make of the very same frames. `coinbase-api` keeps no book: it parses and emits. `JSON.parse` alone
 * is the floor.
 *
 * Run: npm run bench -- client --install [--rounds 5] [--seconds 4]
 * `--install` fetches ccxt and coinbase-api from the registry into a folder for temporary files. They are far too large to be
 * dependencies, so without it they are left out.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Figures, measure, ratio } from './lib/rounds.ts';

const PEERS = ['ccxt@4.5.84', 'coinbase-api@1.2.6'];
const OURS = '@countersign/client';

export async function client(given: { rounds: number; seconds: number; install?: boolean }): Promise<void> {
  const { rounds, seconds, install = false } = given;
  const folder = install ? installPeers() : null;
  if (folder === null) {
    process.stderr.write('client: without ccxt and coinbase-api; add --install to fetch them\n');
  }
  const names = [OURS, 'JSON.parse', ...(folder === null ? [] : ['ccxt', 'coinbase-api'])];
  const variants = names.map((name) => ({ name, run: async () => once(name, seconds, folder ?? '') }));
  const raw = await measure('client', variants, rounds);
  for (const name of names.slice(1)) {
    const times = ratio(raw, OURS, name, 'perCpuSecond');
    process.stdout.write(`${JSON.stringify({ bench: 'client', ratio: `${OURS} / ${name}`, times })}\n`);
  }
}

/** Kept between runs: the versions are part of its name. */
function installPeers(): string {
  const folder = join(tmpdir(), `countersign-bench-${PEERS.join('-').replaceAll('@', '-')}`);
  if (existsSync(join(folder, 'node_modules', 'ccxt', 'package.json'))) return folder;
  mkdirSync(folder, { recursive: true });
  const flags = ['--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  execFileSync('npm', ['install', '--prefix', folder, ...flags, ...PEERS], { stdio: 'inherit' });
  return folder;
}

function once(name: string, seconds: number, folder: string): Figures {
  const program = fileURLToPath(new URL('lib/book-readers.ts', import.meta.url));
  const args = ['-c', '1', process.execPath, '--import', 'tsx', program, name, String(seconds), folder];
  // Nothing connects anywhere: settings of a proxy would only get in the way.
  const env = { PATH: process.env.PATH ?? '' };
  return JSON.parse(execFileSync('taskset', args, { encoding: 'utf8', env })) as Figures;
}
