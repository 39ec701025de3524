import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { EXIT } from '../src/exit-codes.ts';
import { run } from '../src/run.ts';
import type { Ready } from '../src/serve/ready.ts';
import { type TestIo, testIo } from './test-io.ts';

const quiet = { COUNTERSIGN_LOG_LEVEL: 'silent', COUNTERSIGN_DRAIN_WINDOW: '0' };

/** Runs `serve` until it has said that it is ready. `ended` gives the exit code after `io.abort()`. */
async function serve(argv: string[], env: Record<string, string> = {}) {
  let tell: (line: string) => void = () => undefined;
  const firstLine = new Promise<string>((resolve) => {
    tell = resolve;
  });
  const io = testIo({ env: { ...quiet, ...env }, onOut: (line) => tell(line) });
  const ended = run(['serve', '--port', '0', '--internal-port', '0', ...argv], io);
  const early = await Promise.race([firstLine.then(() => null), ended]);
  if (early !== null) throw new Error(`ended with ${early}: ${io.errLines.join('\n')}`);
  return { io, ended, firstLine: await firstLine };
}

let folder: string;
const makeFolder = () => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-serve-'));
};

describe('a gateway with a sandbox', () => {
  let started: Awaited<ReturnType<typeof serve>>;
  let ready: Ready;
  const env = () => ({ COUNTERSIGN_HOME: join(folder, 'home') });
  const countersign = async (argv: string[], more: Parameters<typeof testIo>[0] = {}) => {
    const io: TestIo = testIo({ ...more, env: { ...env(), ...more.env } });
    const code = await run(argv, io);
    return { code, out: io.outLines, err: io.errLines };
  };
  beforeAll(async () => {
    makeFolder();
    started = await serve(['--sandbox', '--json', '--data-dir', join(folder, 'data')]);
    ready = JSON.parse(started.firstLine) as Ready;
  });
  afterAll(async () => {
    started.io.abort();
    expect(await started.ended).toBe(EXIT.ok.code);
    expect(started.io.outLines).toHaveLength(1);
    rmSync(folder, { recursive: true, force: true });
  });

  test('says in one line where everything is, and names files instead of secrets', () => {
    expect(Object.keys(ready)).toEqual(['event', 'rest', 'websocket', 'socketio', 'internal', 'credentials']);
    expect(ready.rest).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    const { wallet, apiKey, admin, backend } = ready.credentials;
    expect(apiKey?.keyFile).toBe(join(folder, 'data', 'cdp_api_key.json'));
    expect(readFileSync(apiKey?.keyFile ?? '', 'utf8')).toContain(`"name": "${apiKey?.name}"`);
    for (const file of [wallet?.keyFile ?? '', apiKey?.keyFile ?? '', admin.tokenFile, backend.tokenFile]) {
      expect(statSync(file).mode & 0o777).toBe(0o600);
      expect(started.firstLine).not.toContain(readFileSync(file, 'utf8').trim());
    }
  });

  test('lets the demo wallet log in, look, listen and log out', async () => {
    const keyFile = ready.credentials.wallet?.keyFile ?? '';
    const login = await countersign([
      'login',
      '--url',
      ready.rest,
      '--key-file',
      keyFile,
      '--save',
      '--json',
    ]);
    expect(login).toMatchObject({ code: EXIT.ok.code, err: [] });
    const said = JSON.parse(login.out[0] ?? '') as Record<string, unknown>;
    expect(said).toMatchObject({ address: ready.credentials.wallet?.address, chainId: 1 });
    expect(login.out.join()).not.toContain('eyJ');

    const whoami = await countersign(['whoami', '--json']);
    expect(JSON.parse(whoami.out[0] ?? '')).toMatchObject({ user: { userId: said.userId }, url: ready.rest });

    const ticker = await countersign([
      'listen',
      '--channel',
      'tickerUpdate',
      '--market',
      'inclusionPreconf',
      '--count',
      '2',
    ]);
    expect(ticker.code).toBe(EXIT.ok.code);
    expect(ticker.out.map((line) => (JSON.parse(line) as { channel: string }).channel)).toEqual([
      'tickerUpdate',
      'tickerUpdate',
    ]);

    expect((await countersign(['logout'])).out[0]).toContain('logged out');
    expect((await countersign(['whoami'])).code).toBe(EXIT.config.code);
  });

  test('shows its tokens only to who asks for them', async () => {
    const keyFile = ready.credentials.wallet?.keyFile ?? '';
    const shown = await countersign([
      'login',
      '--url',
      `${ready.rest}/api`,
      '--key-file',
      keyFile,
      '--show-tokens',
    ]);
    expect(shown.out.join('\n')).toMatch(/accessToken eyJ.*\nrefreshToken eyJ/);
  });

  test('is not signed for when it names another site than was expected', async () => {
    const keyFile = ready.credentials.wallet?.keyFile ?? '';
    const { code, err } = await countersign([
      'login',
      '--url',
      ready.rest,
      '--key-file',
      keyFile,
      '--domain',
      'example.com',
    ]);
    expect(code).toBe(EXIT.untrusted.code);
    expect(err[0]).toContain('it names "ethgas.com", not "example.com"');
  });

  test('says no to a chain that it does not serve', async () => {
    const keyFile = ready.credentials.wallet?.keyFile ?? '';
    const { code, err } = await countersign([
      'login',
      '--url',
      ready.rest,
      '--key-file',
      keyFile,
      '--chain-id',
      '5',
    ]);
    expect(code).toBe(EXIT.refused.code);
    expect(err[0]).toMatch(/refused \(400\)/);
  });

  test('makes faults for who asks for them, the same ones for the same seed', async () => {
    const listen = ['listen', '--url', ready.rest, '--channel', 'heartbeats', '--count', '1'];
    const wrong = await countersign([...listen, '--faults', 'drop:2']);
    expect(wrong.code).toBe(EXIT.refused.code);
    expect(wrong.err[0]).toContain('drop: "2" must be a probability');
    const follow = [
      ...['listen', '--url', ready.rest, '--channel', 'market_trades', '--product', 'BTC-USD'],
      ...['--faults', 'duplicate:1', '--fault-seed', '7', '--count', '8', '--raw'],
    ];
    const { code, out } = await countersign(follow);
    expect(code).toBe(EXIT.ok.code);
    const sequences = out.map((line) => (JSON.parse(line) as { sequence_num: number }).sequence_num);
    expect(sequences.filter((each, i) => i % 2 === 1 && each === sequences[i - 1])).toHaveLength(4);
    expect((await countersign([...listen, '--fault-seed', '7'])).code).toBe(EXIT.usage.code);
  });

  test('changes its signing key for the operator, and not for who has no token', async () => {
    const dataDir = join(folder, 'data');
    const rotate = ['signing-keys', 'rotate', '--internal-url', ready.internal, '--json'];
    const rotated = await countersign([...rotate, '--data-dir', dataDir]);
    expect(rotated).toMatchObject({ code: EXIT.ok.code });
    expect(JSON.parse(rotated.out[0] ?? '')).toMatchObject({ rotation: { kid: expect.any(String) } });

    writeFileSync(join(folder, 'wrong.token'), 'csa_wrong');
    expect((await countersign([...rotate, '--token-file', join(folder, 'wrong.token')])).code).toBe(
      EXIT.refused.code,
    );
    expect((await countersign([...rotate, '--data-dir', folder])).code).toBe(EXIT.config.code);
  });

  test('ends everything in an emergency only after a yes', async () => {
    const rotate = [
      'signing-keys',
      'revoke',
      '--internal-url',
      ready.internal,
      '--data-dir',
      join(folder, 'data'),
    ];
    expect((await countersign(rotate)).code).toBe(EXIT.usage.code);
    expect((await countersign(rotate, { terminal: true, answers: ['no'] })).code).toBe(EXIT.interrupted.code);
    const keyFile = ready.credentials.wallet?.keyFile ?? '';
    await countersign(['login', '--url', ready.rest, '--key-file', keyFile, '--save']);
    expect((await countersign(['whoami'])).code).toBe(EXIT.ok.code);
    expect((await countersign(rotate, { terminal: true, answers: ['yes'] })).code).toBe(EXIT.ok.code);
    expect((await countersign(['whoami'])).code).toBe(EXIT.refused.code);
  });
});

describe('a gateway', () => {
  beforeEach(makeFolder);
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  test('tells a person where everything is and what to try', async () => {
    const { io, ended } = await serve(['--sandbox', '--data-dir', join(folder, 'data')]);
    io.abort();
    expect(await ended).toBe(EXIT.ok.code);
    const page = io.outLines.join('\n');
    for (const part of ['/v1', 'ws://', '/health', 'login --url', '--key-file', 'listen --url', 'curl']) {
      expect(page).toContain(part);
    }
  });

  test('keeps its demo wallet and API key over a restart', async () => {
    const names = [];
    const addresses = [];
    for (let start = 0; start < 2; start++) {
      const { io, ended, firstLine } = await serve(['--sandbox', '--json', '--data-dir', folder]);
      const { credentials } = JSON.parse(firstLine) as Ready;
      addresses.push(credentials.wallet?.address);
      names.push(credentials.apiKey?.name);
      io.abort();
      await ended;
    }
    expect(addresses[0]).toBe(addresses[1]);
    expect(names[0]).toMatch(/^organizations\//);
    expect(names[0]).toBe(names[1]);
  });

  test('gives every connection the faults that it was started with', async () => {
    const argv = ['--sandbox', '--json', '--data-dir', folder, '--faults', 'close:3999@0.2'];
    const { io, ended, firstLine } = await serve([...argv, '--fault-seed', '7']);
    const { websocket } = JSON.parse(firstLine) as Ready;
    const code = await new Promise((resolve, reject) =>
      new WebSocket(websocket).on('close', resolve).on('error', reject),
    );
    expect(code).toBe(3999);
    io.abort();
    expect(await ended).toBe(EXIT.ok.code);
  });

  test('replays a recording instead of a simulation', async () => {
    const recording = join(folder, 'recording.jsonl');
    const trade = {
      ...{ trade_id: '1', product_id: 'AAA-BBB', price: '42.5', size: '1', side: 'BUY' },
      time: '2026-01-01T00:00:00Z',
    };
    const line = { channel: 'market_trades', key: 'AAA-BBB', time: 1000, data: { trades: [trade] } };
    writeFileSync(recording, `${JSON.stringify(line)}\n`);
    const argv = ['--sandbox', '--json', '--data-dir', folder];
    const { io, ended, firstLine } = await serve([...argv, '--replay', recording]);
    const { websocket } = JSON.parse(firstLine) as Ready;
    const socket = new WebSocket(websocket);
    const shown = await new Promise<string>((resolve, reject) => {
      const request = { type: 'subscribe', channel: 'market_trades', product_ids: ['AAA-BBB'] };
      socket.on('open', () => socket.send(JSON.stringify(request)));
      socket.on('error', reject);
      socket.on('message', (data) => {
        const text = String(data);
        if (text.includes('42.5')) resolve(text);
        // The product is known once its first publication has come.
        else if (!text.includes('AAA-BBB')) socket.send(JSON.stringify(request));
      });
    });
    expect(JSON.parse(shown)).toMatchObject({ channel: 'market_trades' });
    socket.terminate();
    io.abort();
    expect(await ended).toBe(EXIT.ok.code);
  });

  test.each(['--faults', '--fault-seed', '--replay'])('takes %s only with a sandbox', async (flag) => {
    const io = testIo({ env: quiet });
    expect(await run(['serve', '--data-dir', folder, flag, 'x'], io)).toBe(EXIT.usage.code);
    expect(io.errLines.join()).toContain(`${flag} needs --sandbox`);
  });

  test('without a sandbox has no demo wallet', async () => {
    const { io, ended, firstLine } = await serve(['--no-sandbox', '--json', '--data-dir', folder]);
    expect((JSON.parse(firstLine) as Ready).credentials.wallet).toBeUndefined();
    io.abort();
    await ended;
  });

  /** One line on standard error, nothing on standard output, and the exit code for settings. */
  async function refuses(argv: string[], env: Record<string, string> = {}) {
    const io = testIo({ env: { ...quiet, ...env } });
    const code = await run(['serve', ...argv], io);
    expect(io.outLines).toEqual([]);
    expect(io.errLines).toHaveLength(1);
    expect(io.errLines[0]).not.toContain('\n');
    expect(code).toBe(EXIT.config.code);
    return io.errLines[0];
  }

  test('names the port that is taken', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => other.once('listening', resolve));
    const { port } = other.address() as { port: number };
    expect(await refuses(['--port', String(port), '--internal-port', '0', '--data-dir', folder])).toContain(
      `port ${port} on 127.0.0.1 is already in use`,
    );
    expect(
      await refuses(['--port', '0', '--internal-port', String(port), '--data-dir', folder, '--sandbox']),
    ).toContain(`port ${port}`);
    await new Promise((resolve) => other.close(resolve));
  });

  test('names the recording that is not there, and the fault that is none', async () => {
    const argv = ['--port', '0', '--internal-port', '0', '--data-dir', folder, '--sandbox'];
    expect(await refuses([...argv, '--replay', join(folder, 'none.jsonl')])).toContain('none.jsonl');
    expect(await refuses([...argv, '--faults', 'lose:0.1'])).toContain('"lose" is no fault');
  });

  test('names the folder that it may not use', async () => {
    writeFileSync(join(folder, 'file'), '');
    expect(
      await refuses(['--port', '0', '--internal-port', '0', '--data-dir', join(folder, 'file')]),
    ).toContain(join(folder, 'file'));
  });

  // Not even root may make a folder there.
  test.runIf(process.platform === 'linux')('names the folder that it has no right to', async () => {
    expect(await refuses(['--data-dir', '/sys/countersign'])).toContain(
      'no right to write to /sys/countersign',
    );
  });

  test.each([
    ['a file that is not there', 'none.yaml', undefined, 'there is no such file'],
    ['a file that is no YAML', 'c.yaml', 'port: [', 'not valid YAML'],
    ['a file that holds a list', 'c.yaml', '- 1', 'must hold settings by name'],
    ['a key that does not exist', 'c.yaml', 'prot: 1', 'prot'],
    ['a value of another kind', 'c.yaml', 'tokens: { accessTtl: soon }', 'tokens.accessTtl'],
  ])('names the mistake in %s', async (_, name, text, line) => {
    const path = join(folder, name);
    if (text !== undefined) writeFileSync(path, text);
    expect(await refuses(['--config', path, '--data-dir', folder])).toContain(line);
  });

  test('names the variable that cannot be read', async () => {
    expect(await refuses(['--data-dir', folder], { COUNTERSIGN_ACCESS_TTL: 'soon' })).toContain(
      'COUNTERSIGN_ACCESS_TTL',
    );
  });
});
