/**
 * Makes a fresh clone runnable: `npm start` and `npm test` do this first. Not as `prestart` and `pretest`:
 * with `ignore-scripts`, which this repository sets, npm leaves those out.
 *
 * Installs when `node_modules` is missing or does not match the lockfile, then compiles when a source has
 * changed. When there is nothing to do it says nothing and costs a few file stats. Everything is written to
 * standard error: `npm start -- --json` owns standard output. Plain Node without dependencies, because it
 * runs before there are any.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const modules = join(root, 'node_modules');
const installStamp = join(modules, '.countersign-install');
const buildStamp = join(modules, '.countersign-build');

const say = (line) => process.stderr.write(`setup: ${line}\n`);

/** One line and out: whoever ran `npm start` should not have to read a stack to learn what to do. */
function fail(line) {
  say(line);
  process.exit(1);
}

const readJson = (path) => JSON.parse(readFileSync(path, 'utf8'));

function readText(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function checkNode() {
  const range = readJson(join(root, 'package.json')).engines.node;
  const wanted = /^>=(\d+)\.(\d+)/.exec(range);
  const [major, minor] = process.versions.node.split('.').map(Number);
  const [needMajor, needMinor] = wanted.slice(1).map(Number);
  if (major < needMajor || (major === needMajor && minor < needMinor)) {
    fail(`Node ${process.versions.node} is too old: this needs Node ${needMajor}.${needMinor} or newer.`);
  }
}

const packageFolders = () =>
  readdirSync(join(root, 'packages'), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => join('packages', entry.name));

/** What an install depends on: the lockfile, every manifest, and the Node that native parts were chosen for. */
function installKey() {
  const hash = createHash('sha256');
  const manifests = packageFolders().map((folder) => join(folder, 'package.json'));
  for (const file of ['package-lock.json', 'package.json', ...manifests]) {
    hash.update(`${file}\0${readText(join(root, file))}\0`);
  }
  hash.update(`${process.version} ${process.platform} ${process.arch}`);
  return hash.digest('hex');
}

/**
 * Whether what npm says it installed (its own record in `node_modules`) is what the lockfile asks for, so
 * that an install made by hand is not thrown away. Optional parts for other systems are rightly absent.
 */
function installMatchesLock() {
  const record = join(modules, '.package-lock.json');
  if (!existsSync(record)) return false;
  const installed = readJson(record).packages;
  for (const [path, entry] of Object.entries(readJson(join(root, 'package-lock.json')).packages)) {
    if (path === '' || entry.optional || entry.devOptional) continue;
    const there = installed[path];
    if (!there || there.version !== entry.version || there.integrity !== entry.integrity) return false;
  }
  return true;
}

/** Runs a command, keeps the end of its output, and shows how long it has been running where there is a terminal. */
function run(label, command, args) {
  const started = Date.now();
  const elapsed = () => `${((Date.now() - started) / 1000).toFixed(1)} s`;
  say(`${label} ...`);
  const child = spawn(command, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  const keep = (chunk) => {
    output = (output + chunk).slice(-16_384);
  };
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  const ticker = process.stderr.isTTY
    ? setInterval(() => process.stderr.write(`\rsetup: ${label} ... ${elapsed()} `), 500)
    : undefined;
  return new Promise((resolve) => {
    const end = (code) => {
      clearInterval(ticker);
      if (ticker) process.stderr.write('\r\x1b[K');
      resolve({ code, output: output.trim(), elapsed: elapsed() });
    };
    child.on('error', (error) => {
      output += error.message;
      end(127);
    });
    child.on('close', (code) => end(code ?? 1));
  });
}

const offline = /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|network/i;

async function install() {
  // npm tells its children where it is, which also works where `npm` itself is a shell function or a .cmd file.
  const npm = process.env.npm_execpath;
  const [command, before] = npm && /\.c?js$/.test(npm) ? [process.execPath, [npm]] : ['npm', []];
  const result = await run('installing dependencies (npm ci)', command, [
    ...before,
    'ci',
    '--ignore-scripts',
    '--loglevel=error',
    '--no-audit',
    '--no-fund',
  ]);
  if (result.code !== 0) {
    if (result.output) process.stderr.write(`${result.output}\n`);
    if (offline.test(result.output)) {
      fail(
        'npm ci could not reach the package registry. Check the network or the proxy, then run this again.',
      );
    }
    fail(`npm ci failed with exit code ${result.code}; its output is above.`);
  }
  writeFileSync(installStamp, installKey());
  say(`installed dependencies in ${result.elapsed}`);
}

/** Path, size and modification time of everything that the compiler reads. */
function buildKey() {
  const hash = createHash('sha256');
  const add = (path) => {
    const { size, mtimeMs } = statSync(join(root, path));
    hash.update(`${path} ${size} ${mtimeMs}\n`);
  };
  const walk = (folder) => {
    for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) walk(path);
      else add(path);
    }
  };
  for (const file of ['tsconfig.base.json', 'tsconfig.json', 'package-lock.json']) add(file);
  for (const folder of packageFolders()) {
    add(join(folder, 'package.json'));
    add(join(folder, 'tsconfig.json'));
    walk(join(folder, 'src'));
  }
  hash.update(readText(installStamp));
  return hash.digest('hex');
}

const isBuilt = () => packageFolders().every((folder) => existsSync(join(root, folder, 'dist', 'index.js')));

/** npm links the commands of workspaces at install, before they are built; tsc makes plain files. */
function makeCommandsExecutable() {
  for (const folder of packageFolders()) {
    for (const file of Object.values(readJson(join(root, folder, 'package.json')).bin ?? {})) {
      if (existsSync(join(root, folder, file))) chmodSync(join(root, folder, file), 0o755);
    }
  }
}

async function build() {
  // Taken before compiling: a file saved meanwhile makes the next start compile again.
  const key = buildKey();
  const tsc = join(modules, 'typescript', 'bin', 'tsc');
  // A deleted `dist` beside a surviving .tsbuildinfo would look up to date to tsc.
  const args = [tsc, '-b', ...(isBuilt() ? [] : ['--force'])];
  const result = await run('compiling', process.execPath, args);
  if (result.code !== 0) {
    if (result.output) process.stderr.write(`${result.output}\n`);
    fail('the sources do not compile; the messages are above.');
  }
  makeCommandsExecutable();
  mkdirSync(modules, { recursive: true });
  writeFileSync(buildStamp, key);
  say(`compiled in ${result.elapsed}`);
}

/** @param {{ build: boolean }} options whether `dist` has to be up to date as well */
export async function setUp({ build: wantsBuild }) {
  checkNode();
  if (!existsSync(join(root, 'package-lock.json')))
    fail('package-lock.json is missing: the clone is not whole.');
  if (readText(installStamp) !== installKey()) {
    if (installMatchesLock()) writeFileSync(installStamp, installKey());
    else await install();
  }
  if (!wantsBuild) return;
  if (readText(buildStamp) !== buildKey() || !isBuilt()) await build();
  linkProgram();
}

/**
 * npm links the `bin` of a workspace at install, when there is nothing built to link: without this,
 * `npx countersign` would ask the registry for a stranger's package of that name.
 */
function linkProgram() {
  const link = join(root, 'node_modules', '.bin', 'countersign');
  const program = join(root, 'packages', 'cli', 'dist', 'main.js');
  if (process.platform === 'win32' || !existsSync(program)) return;
  chmodSync(program, 0o755);
  if (!existsSync(link)) symlinkSync(relative(dirname(link), program), link);
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  await setUp({ build: process.argv.includes('--build') });
