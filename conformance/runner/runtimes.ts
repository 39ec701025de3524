/** What the clients run in. What is missing is made in a cache folder where that can be done, else explained. */
import { type ExecFileException, execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Runtime } from './cases.ts';

/** How to start a program, or why that cannot be done. */
export type Ready = { command: readonly [string, ...string[]] } | { missing: string };
export type Runtimes = Readonly<Record<Runtime, Ready>>;

const CACHE = fileURLToPath(new URL('../../node_modules/.cache/countersign-conformance/', import.meta.url));
const REQUIREMENTS = fileURLToPath(new URL('../clients/python/requirements.txt', import.meta.url));
const GO = fileURLToPath(new URL('../clients/go', import.meta.url));
/** Milliseconds. The packages are some 60 MB. */
const INSTALL_PATIENCE = 240_000;

/** @param say told before anything that takes long */
export async function prepareRuntimes(
  needed: ReadonlySet<Runtime>,
  say: (text: string) => void,
): Promise<Runtimes> {
  const unused: Ready = { missing: 'not asked for' };
  return {
    node: { command: [process.execPath] },
    python: needed.has('python') ? await preparePython(say) : unused,
    go: needed.has('go') ? await prepareGo() : unused,
  };
}

async function preparePython(say: (text: string) => void): Promise<Ready> {
  const version = await run('python3', ['--version'], 10_000);
  if (version === null)
    return { missing: 'there is no python3 (Debian: apt-get install python3 python3-venv)' };
  const folder = join(CACHE, 'python');
  const python = join(folder, 'bin', 'python');
  const stamp = join(folder, 'stamp');
  const wanted = createHash('sha256')
    .update(version)
    .update(await readFile(REQUIREMENTS))
    .digest('hex');
  const have = await readFile(stamp, 'utf8').catch(() => '');
  if (have === wanted) return { command: [python] };
  say('installing Python packages for the clients (once)');
  await rm(folder, { recursive: true, force: true });
  await mkdir(CACHE, { recursive: true });
  if ((await run('python3', ['-m', 'venv', folder], 60_000)) === null) {
    return { missing: 'python3 cannot make a virtual environment (Debian: apt-get install python3-venv)' };
  }
  const install = [
    '-m',
    'pip',
    'install',
    '--quiet',
    '--disable-pip-version-check',
    '--requirement',
    REQUIREMENTS,
  ];
  if ((await run(python, install, INSTALL_PATIENCE)) === null) {
    return {
      missing: `pip cannot install ${REQUIREMENTS}: needs the Python package index, or a mirror in PIP_INDEX_URL`,
    };
  }
  await writeFile(stamp, wanted);
  return { command: [python] };
}

async function prepareGo(): Promise<Ready> {
  if ((await run('go', ['version'], 10_000)) === null)
    return { missing: 'there is no go: see https://go.dev/doc/install' };
  const binary = join(CACHE, 'go-client');
  // `go run` would leave its child behind when it is ended.
  if ((await run('go', ['build', '-C', GO, '-o', binary, '.'], INSTALL_PATIENCE)) === null) {
    return {
      missing: `go cannot build ${GO}: needs Go 1.23 or newer, and a module proxy (GOPROXY) the first time`,
    };
  }
  return { command: [binary] };
}

/** @returns standard output, or null if it failed */
function run(command: string, args: readonly string[], timeout: number): Promise<string | null> {
  return new Promise((resolve) => {
    execFile(command, args, { timeout }, (error: ExecFileException | null, stdout) =>
      resolve(error === null ? stdout : null),
    );
  });
}
