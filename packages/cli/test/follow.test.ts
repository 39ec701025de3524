/** `listen` at all three doors of a real gateway with a sandbox, and what it says when something is lost. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestGateway, type TestGateway } from '../../testkit/src/in-process-gateway.ts';
import { EXIT } from '../src/exit-codes.ts';
import { run } from '../src/run.ts';
import type { Ready } from '../src/serve/ready.ts';
import { testIo } from './test-io.ts';

let folder: string;
let ready: Ready;
let stop: () => Promise<void>;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-follow-'));
  let tell: (line: string) => void = () => undefined;
  const line = new Promise<string>((resolve) => {
    tell = resolve;
  });
  const io = testIo({
    env: { COUNTERSIGN_LOG_LEVEL: 'silent', COUNTERSIGN_DRAIN_WINDOW: '0' },
    onOut: (text) => tell(text),
  });
  const ended = run(
    [
      'serve',
      '--sandbox',
      '--json',
      '--rate',
      '1500',
      '--port',
      '0',
      '--internal-port',
      '0',
      '--data-dir',
      join(folder, 'data'),
    ],
    io,
  );
  ready = JSON.parse(await line) as Ready;
  stop = async () => {
    io.abort();
    await ended;
  };
  expect(
    (await countersign(['login', '--key-file', ready.credentials.wallet?.keyFile ?? '', '--save'])).code,
  ).toBe(0);
});
afterAll(async () => {
  await stop();
  rmSync(folder, { recursive: true, force: true });
});

async function countersign(argv: string[], more: Parameters<typeof testIo>[0] = {}) {
  const io = testIo({
    ...more,
    env: { COUNTERSIGN_HOME: join(folder, 'home'), COUNTERSIGN_URL: ready.rest, ...more.env },
  });
  const code = await run(argv, io);
  return { code, out: io.outLines, err: io.errLines.join('\n'), drawn: io.drawn.join('') };
}
// biome-ignore lint/suspicious/noExplicitAny: lines are looked into freely
const parsed = (out: string[]): any[] => out.map((line) => JSON.parse(line));

/** Numbers of one stream, without a hole from one snapshot or resync to the next. */
function expectWhole(updates: { type: string; key: string; sequence: number | null }[]): void {
  const at = new Map<string, number>();
  for (const { type, key, sequence } of updates) {
    if (type === 'resync') at.delete(key);
    if (sequence === null || sequence === undefined) continue;
    const before = at.get(key);
    if (type === 'update' && before !== undefined) expect(sequence).toBe(before + 1);
    at.set(key, sequence);
  }
}

describe('every door', () => {
  test('a Coinbase channel: JSON lines of one shape when piped', async () => {
    const { code, out } = await countersign([
      'listen',
      '--channel',
      'level2',
      '--product',
      'ETH-USD',
      '--count',
      '5',
    ]);
    expect(code).toBe(EXIT.ok.code);
    const updates = parsed(out);
    expect(updates[0]).toMatchObject({ type: 'snapshot', channel: 'level2', key: 'ETH-USD' });
    expect(updates).toHaveLength(5);
    expectWhole(updates);
  });

  test('a private ETHGas channel, with the saved session', async () => {
    const argv = [
      'listen',
      '--channel',
      'accountOrderUpdate',
      '--market',
      'inclusionPreconf',
      '--count',
      '1',
    ];
    const { code, out } = await countersign(argv);
    expect(code).toBe(EXIT.ok.code);
    expect(parsed(out)[0]).toMatchObject({ channel: 'accountOrderUpdate' });
  });

  test('a private Coinbase channel, with the API key', async () => {
    const keyFile = ready.credentials.apiKey?.keyFile ?? '';
    const argv = ['listen', '--channel', 'user', '--product', 'ETH-USD', '--count', '1'];
    expect((await countersign(argv)).code).toBe(EXIT.config.code);
    const { code, out } = await countersign([...argv, '--key-file', keyFile]);
    expect(code).toBe(EXIT.ok.code);
    expect(parsed(out)[0]).toMatchObject({ channel: 'user' });
  });

  test('Socket.IO, with a handshake token or the saved session, channels of both kinds together', async () => {
    const argv = [
      'listen',
      '--door',
      'socketio',
      '--channel',
      'ticker',
      '--product',
      'ETH-USD',
      '--count',
      '3',
    ];
    const tokenFile = ready.credentials.handshakeToken?.tokenFile ?? '';
    const withToken = await countersign([...argv, '--token-file', tokenFile]);
    expect(withToken.code).toBe(EXIT.ok.code);
    expect(parsed(withToken.out)[0]).toMatchObject({ channel: 'ticker', key: 'ETH-USD' });
    const withSession = await countersign([
      ...['listen', '--door', 'socketio', '--channel', 'accountOrderUpdate', '--market', 'inclusionPreconf'],
      ...['--count', '1'],
    ]);
    expect(parsed(withSession.out)[0]).toMatchObject({ channel: 'accountOrderUpdate' });
  });
});

describe('after a loss', () => {
  let open: TestGateway;
  let publishing: NodeJS.Timeout;
  let n = 0;
  beforeAll(async () => {
    open = await startTestGateway({ sandbox: { faults: true } });
    const publish = () => {
      n += 1;
      const trade = { trade_id: String(n), product_id: 'AAA-BBB', price: '1', size: '1', side: 'BUY' };
      return open.publish({ channel: 'market_trades', key: 'AAA-BBB', data: { trades: [trade] } });
    };
    await publish();
    publishing = setInterval(() => void publish(), 10);
  });
  afterAll(async () => {
    clearInterval(publishing);
    await open.close();
  });
  const listen = (...argv: string[]) =>
    countersign([
      ...['listen', '--url', open.urls.rest, '--channel', 'market_trades', '--product', 'AAA-BBB'],
      ...['--fault-seed', '5', ...argv],
    ]);

  test('the WebSocket door recovers, and a resync line stands where it happened', async () => {
    const { code, out, err } = await listen('--faults', 'drop:0.05', '--count', '150');
    expect({ code, err }).toEqual({ code: EXIT.ok.code, err: '' });
    const updates = parsed(out);
    expect(updates.some(({ type, reason }) => type === 'resync' && reason === 'gap')).toBe(true);
    expectWhole(updates);
  });

  test('the Socket.IO door recovers as well', async () => {
    const { body } = await open.adminFetch('/handshake-tokens', {
      user: { displayName: 'desk' },
      name: 'desk',
      permissions: ['market_data'],
    });
    const tokenFile = join(folder, 'faults.token');
    writeFileSync(tokenFile, body.data.secret, { mode: 0o600 });
    const argv = ['--door', 'socketio', '--token-file', tokenFile];
    const { code, out, err } = await listen(...argv, '--faults', 'drop:0.05', '--count', '150');
    expect({ code, err }).toEqual({ code: EXIT.ok.code, err: '' });
    const updates = parsed(out);
    expect(updates.some(({ type, reason }) => type === 'resync' && reason === 'gap')).toBe(true);
    expectWhole(updates);
  });

  test('a cut connection is said on standard error, and what was missed follows', async () => {
    const { code, out, err } = await listen('--faults', 'close:1012@0.3', '--count', '80');
    expect(code).toBe(EXIT.ok.code);
    expect(err).toContain('connecting again');
    const updates = parsed(out);
    expect(updates.find(({ type }) => type === 'resync')).toMatchObject({
      reason: 'reconnect',
      recovered: true,
    });
    // Recovered: not even a resync interrupts the count.
    const numbers = updates.flatMap(({ type, sequence }) => (type === 'update' ? sequence : []));
    expect(numbers).toEqual(numbers.map((_, i) => numbers[0] + i));
  });
});

describe('on a terminal', () => {
  test('a book is drawn in its place, in colours', async () => {
    const argv = ['listen', '--channel', 'level2', '--product', 'ETH-USD', '--count', '20'];
    const { code, out, drawn } = await countersign(argv, { terminal: true });
    expect({ code, out }).toEqual({ code: EXIT.ok.code, out: [] });
    expect(drawn).toContain('ETH-USD');
    expect(drawn).toContain('live');
    expect(drawn).toContain('\u001b[32m');
    // Back to the first line of the last drawing, and clear from there.
    expect(drawn).toContain('F\u001b[0J');
    const plain = await countersign(argv, { terminal: true, env: { NO_COLOR: '1' } });
    expect(plain.drawn).not.toContain('\u001b[32m');
  });

  test('other channels are lines', async () => {
    const { out } = await countersign(
      ['listen', '--channel', 'tickerUpdate', '--market', 'inclusionPreconf', '--count', '2'],
      { terminal: true, env: { NO_COLOR: '1' } },
    );
    expect(out).toHaveLength(2);
    expect(out[0]).toMatch(/tickerUpdate/);
    expect(out.join()).not.toContain('\u001b');
  });
});

describe('what cannot be', () => {
  test.each([
    ['two dialects on one WebSocket', ['--channel', 'level2,tickerUpdate', '--product', 'ETH-USD']],
    ['a door that does not exist', ['--channel', 'heartbeats', '--door', 'window']],
    ['raw frames of Socket.IO', ['--channel', 'heartbeats', '--door', 'socketio', '--raw']],
    ['API-key channels on Socket.IO', ['--channel', 'user', '--product', 'X-Y', '--door', 'socketio']],
  ])('%s is refused', async (_, argv) => {
    expect((await countersign(['listen', ...argv])).code).toBe(EXIT.usage.code);
  });

  test('a token that is refused ends it, and so does nobody at the address', async () => {
    const tokenFile = join(folder, 'bad.token');
    writeFileSync(tokenFile, `cst_${'a'.repeat(36)}`, { mode: 0o600 });
    const argv = ['listen', '--door', 'socketio', '--channel', 'heartbeats', '--token-file', tokenFile];
    const { code, err } = await countersign(argv);
    expect(code).toBe(EXIT.refused.code);
    expect(err).toContain('unauthorized');
    expect(err).not.toContain(readFileSync(tokenFile, 'utf8'));
    expect((await countersign([...argv, '--url', 'http://127.0.0.1:1'])).code).toBe(EXIT.unreachable.code);
    const web = ['listen', '--channel', 'heartbeats', '--url', 'http://127.0.0.1:1'];
    expect(await countersign(web)).toMatchObject({
      code: EXIT.unreachable.code,
      err: expect.stringContaining('connection refused'),
    });
  });

  test('a product that does not exist is refused', async () => {
    const { code, err } = await countersign(['listen', '--channel', 'ticker', '--product', 'NO-SUCH']);
    expect(code).toBe(EXIT.refused.code);
    expect(err).not.toBe('');
  });
});
