/** Every example is type-checked, and run against a gateway with a sandbox, as its own first lines say. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { run } from '../../packages/cli/src/run.ts';
import type { Ready } from '../../packages/cli/src/serve/ready.ts';
import { testIo } from '../../packages/cli/test/test-io.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
let folder: string;
let ready: Ready;
let stop: () => Promise<unknown>;
const children = new Set<ChildProcess>();

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-examples-'));
  ready = await new Promise<Ready>((resolve) => {
    const io = testIo({
      env: { COUNTERSIGN_LOG_LEVEL: 'silent', COUNTERSIGN_DRAIN_WINDOW: '0' },
      onOut: (line) => resolve(JSON.parse(line) as Ready),
    });
    const serve = [
      'serve',
      '--sandbox',
      '--json',
      '--port',
      '0',
      '--internal-port',
      '0',
      '--data-dir',
      folder,
    ];
    const ended = run(serve, io);
    stop = () => {
      io.abort();
      return ended;
    };
  });
});
afterAll(async () => {
  await stop();
  rmSync(folder, { recursive: true, force: true });
});
afterEach(() => {
  for (const child of children) child.kill('SIGKILL');
});

/** The workspace's sources stand in for the built packages. */
function start(name: string, env: Record<string, string>): { child: ChildProcess; said: () => string } {
  const child = spawn(process.execPath, ['--conditions=source', '--import', 'tsx', `examples/${name}`], {
    cwd: root,
    env: { PATH: process.env.PATH, COUNTERSIGN_URL: ready.rest, COUNTERSIGN_DATA_DIR: folder, ...env },
  });
  children.add(child);
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (data) => (text += String(data)));
  return { child, said: () => text };
}

async function runs(name: string, count: number): Promise<string> {
  const { child, said } = start(name, { COUNT: String(count) });
  const code = await new Promise((resolve) => child.once('close', resolve));
  expect({ code, said: said() }).toMatchObject({ code: 0 });
  return said();
}

describe('against npm start', () => {
  test('the wallet session logs in once, and not again in the next run', async () => {
    expect(await runs('wallet-session.ts', 1)).toContain('login...');
    expect(await runs('wallet-session.ts', 1)).not.toContain('login...');
  });

  test('the API key asks, and shows a live book', async () => {
    const said = await runs('api-key.ts', 3);
    expect(said).toContain('"can_view":true');
    expect(said).toMatch(/^\d+\.\d+ \/ \d+\.\d+$/m);
  });

  test('Socket.IO shows prices', async () => {
    expect(await runs('socketio.ts', 3)).toContain('price');
  });

  test('the market maker quotes both sides, and leaves nothing in the market when it ends', async () => {
    const said = await runs('market-maker.ts', 2);
    expect(said).toMatch(/^BUY 0\.05 at/m);
    expect(said).toMatch(/^SELL 0\.05 at/m);
    expect(said).toMatch(/^cancelled 2$/m);
  });

  test('a market maker that was killed takes its old quotes back at the next start', async () => {
    const { child, said } = start('market-maker.ts', {});
    await new Promise<void>((resolve) => child.stdout?.on('data', () => /SELL/.test(said()) && resolve()));
    child.kill('SIGKILL');
    expect((await runs('market-maker.ts', 1)).split('\n')[0]).toMatch(/^cancelled [12]$/);
  });

  test('the sign-in page is served with its script, REST and the WebSocket behind it', async () => {
    const { child, said } = start('browser/serve.ts', { PORT: '0' });
    const page = await new Promise<string>((resolve) => {
      child.stdout?.on(
        'data',
        () => /http:\S+\//.test(said()) && resolve(/http:\S+\//.exec(said())?.[0] ?? ''),
      );
    });
    expect(await (await fetch(page)).text()).toContain('/main.js');
    const script = await (await fetch(`${page}main.js`)).text();
    expect(script).toContain('ETH-USD');
    expect(script).not.toContain('node:');
    expect((await fetch(`${page}v1/user/info`)).status).toBe(401);
    const socket = new WebSocket(`${page.replace(/^http/, 'ws')}ws`, { origin: page.slice(0, -1) });
    await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
    socket.terminate();
  });
});

describe('the compiler', () => {
  test.each(['tsconfig.json', 'tsconfig.browser.json'])(
    'accepts %s',
    async (config) => {
      const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
      const done = promisify(execFile)(process.execPath, [tsc, '-p', join(root, 'examples', config)], {
        cwd: root,
      });
      // It looks into the workspace's sources too; what it says of those is for their own checks.
      const { stdout } = await done.catch((failure: { stdout: string }) => failure);
      expect(stdout.split('\n').filter((line) => line.startsWith('examples/'))).toEqual([]);
    },
    120_000,
  );
});
