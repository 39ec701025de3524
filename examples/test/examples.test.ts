/** Every example is type-checked, and run against a gateway with a sandbox, as its own first lines say. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { run } from '../../packages/cli/src/run.ts';
import type { Ready } from '../../packages/cli/src/serve/ready.ts';
import { testIo } from '../../packages/cli/test/test-io.ts';
import { startChromium, withoutChromium } from '../../packages/client/test/browser/chromium.ts';
import { installWallet } from '../../packages/client/test/browser/wallet.ts';

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

/** Starts the server of a page. @returns its address */
async function serve(folder: string): Promise<string> {
  const { child, said } = start(`${folder}/serve.ts`, { PORT: '0' });
  return new Promise((resolve, reject) => {
    child.stdout?.on('data', () => {
      const address = /http:\S+\//.exec(said())?.[0];
      if (address !== undefined) resolve(address);
    });
    child.once('close', () => reject(new Error(said())));
  });
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
    const page = await serve('browser');
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

describe.skipIf(withoutChromium)('in a browser [needs chromium]', () => {
  let browser: Browser;
  let context: BrowserContext;
  beforeAll(async () => {
    browser = await startChromium();
    context = await browser.newContext();
  });
  afterAll(() => browser?.close());

  const says = (page: Page, id: string, words: RegExp) =>
    page.locator(`[id="${id}"]`).filter({ hasText: words }).waitFor({ timeout: 10_000 });

  test('a wallet signs in by a click, tabs and reloads stay signed in, and sign out together', async () => {
    const wallet = await installWallet(context, 0);
    const url = await serve('browser');
    const [page, other] = [await context.newPage(), await context.newPage()];
    await page.goto(url);
    await says(page, 'price', /^ETH-USD [\d.]+ \/ [\d.]+$/);
    await says(page, 'who', /^Not signed in\.$/);
    expect(wallet.asked).toEqual([]);
    await page.locator('#sign-in').click();
    await says(page, 'who', new RegExp(`^Signed in as ${wallet.address}`));
    const asked = wallet.asked.length;
    await page.reload();
    await other.goto(url);
    for (const one of [page, other]) await says(one, 'who', /^Signed in as/);
    expect(wallet.asked).toHaveLength(asked);
    await page.locator('#sign-out').click();
    for (const one of [page, other]) await says(one, 'who', /^Not signed in\.$/);
  });

  test('the hook shows live books, and its feed has one connection', async () => {
    const page = await context.newPage();
    const sockets: string[] = [];
    const problems: string[] = [];
    page.on('websocket', (socket) => void sockets.push(socket.url()));
    page.on('pageerror', (error) => void problems.push(error.message));
    page.on('console', (message) => void (message.type() === 'error' && problems.push(message.text())));
    await page.goto(await serve('react'));
    for (const product of ['ETH-USD', 'BTC-USD']) {
      await says(page, product, /^\S+ [\d.]+ \/ [\d.]+$/);
      // Prices may be there a moment before the book vouches for them.
      await page.locator(`.live[id="${product}"]`).waitFor({ timeout: 10_000 });
    }
    expect(sockets).toHaveLength(1);
    // The page has no icon.
    expect(problems.filter((text) => !text.includes('404'))).toEqual([]);
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
