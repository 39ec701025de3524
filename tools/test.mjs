/**
 * `npm test`: the static checks (types, format and lint, the repository's own rules), then every Vitest
 * suite. Lists what was skipped and how to get what it needs, and closes with one line that a script can
 * read: `N passed, N failed, N skipped`.
 *
 * Arguments go to Vitest (`npm test -- packages/tokens`); the static checks are then left out.
 *
 * A test that needs a service carries `[needs <service>]` in its title and skips itself when the service is
 * not installed. REQUIRE_SERVICES=1 counts such a skip as a failure.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setUp } from './setup.mjs';
import { summarize } from './summary.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const bin = (...path) => join(root, 'node_modules', ...path);
const forwarded = process.argv.slice(2);

const staticChecks = [
  { name: 'types', args: [bin('typescript', 'bin', 'tsc'), '-p', 'tsconfig.test.json'] },
  { name: 'format and lint', args: [bin('@biomejs', 'biome', 'bin', 'biome'), 'ci', '--colors=off', '.'] },
  { name: 'repository rules', args: [join(root, 'tools', 'check.mjs')] },
];

/** @param {string[]} args @param {'inherit' | 'pipe'} output */
function node(args, output) {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, args, { cwd: root, stdio: ['ignore', output, output] });
    let text = '';
    child.stdout?.on('data', (chunk) => {
      text += chunk;
    });
    child.stderr?.on('data', (chunk) => {
      text += chunk;
    });
    child.on('close', (code) => resolve({ code: code ?? 1, text: text.trim() }));
  });
}

async function runStaticChecks() {
  const results = await Promise.all(
    staticChecks.map(async ({ name, args }) => ({ name, ...(await node(args, 'pipe')) })),
  );
  for (const { name, code, text } of results) {
    console.log(`${code === 0 ? 'ok  ' : 'FAIL'} ${name}`);
    if (code !== 0 || name === 'repository rules') console.log(text.replace(/^/gm, '     '));
  }
  return results;
}

async function runVitest() {
  const folder = mkdtempSync(join(tmpdir(), 'countersign-test-'));
  const file = join(folder, 'report.json');
  const args = [
    bin('vitest', 'vitest.mjs'),
    'run',
    '--reporter=dot',
    '--reporter=json',
    `--outputFile.json=${file}`,
  ];
  try {
    const { code } = await node([...args, ...forwarded], 'inherit');
    try {
      return { code, report: JSON.parse(readFileSync(file, 'utf8')) };
    } catch {
      return { code, report: null };
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

// Built as well: some suites start the program as a user would.
await setUp({ build: true });
const checks = forwarded.length === 0 ? await runStaticChecks() : [];
if (forwarded.length > 0) console.log('static checks left out: arguments were given');
const vitest = await runVitest();
const summary = summarize({
  checks,
  vitest,
  requireServices: process.env.REQUIRE_SERVICES === '1',
  shorten: (path) => relative(root, path),
});
for (const line of summary.lines) console.log(line);
console.log(summary.closing);
process.exitCode = summary.failed > 0 ? 1 : 0;
