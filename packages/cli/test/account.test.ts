/** What a signed-in user, an operator and a backend do over REST, against a real gateway. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestGateway, type TestGateway } from '../../testkit/src/in-process-gateway.ts';
import { EXIT } from '../src/exit-codes.ts';
import { run } from '../src/run.ts';
import { testIo } from './test-io.ts';

let folder: string;
let open: TestGateway;
const walletKey = '11'.repeat(32);

async function countersign(argv: string[], more: Parameters<typeof testIo>[0] = {}) {
  const io = testIo({
    ...more,
    env: {
      COUNTERSIGN_HOME: join(folder, 'home'),
      COUNTERSIGN_WALLET_KEY: walletKey,
      COUNTERSIGN_URL: open.urls.rest,
      COUNTERSIGN_INTERNAL_URL: open.urls.internal,
      COUNTERSIGN_DATA_DIR: open.dataDir,
      ...more.env,
    },
  });
  const code = await run(argv, io);
  return { code, out: io.outLines, err: io.errLines.join('\n') };
}
const logIn = async (home = 'home') => {
  const { code } = await countersign(['login', '--save'], { env: { COUNTERSIGN_HOME: join(folder, home) } });
  expect(code).toBe(EXIT.ok.code);
};

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-account-'));
  open = await startTestGateway();
});
afterAll(async () => {
  await open.close();
  rmSync(folder, { recursive: true, force: true });
});

describe('sessions', () => {
  test('are listed, and one can be ended without touching the others', async () => {
    await logIn();
    await logIn('other');
    const { out } = await countersign(['sessions', 'list', '--json']);
    const sessions = out.map((line) => JSON.parse(line) as { sid: string; current: boolean });
    expect(sessions.map(({ current }) => current).sort()).toEqual([false, true]);
    const other = sessions.find(({ current }) => !current)?.sid ?? '';
    expect((await countersign(['sessions', 'list'])).out.join()).toContain('(this one)');
    expect((await countersign(['sessions', 'revoke', other])).code).toBe(EXIT.ok.code);
    expect((await countersign(['sessions', 'list'])).out).toHaveLength(1);
    expect((await countersign(['sessions', 'revoke', other])).code).toBe(EXIT.refused.code);
    expect((await countersign(['sessions', 'revoke', '../x'])).code).toBe(EXIT.usage.code);
  });

  test('are all ended at once, with or without this one', async () => {
    await logIn();
    await logIn('other');
    expect((await countersign(['sessions', 'logout-all', '--keep-current'])).code).toBe(EXIT.ok.code);
    expect((await countersign(['whoami'])).code).toBe(EXIT.ok.code);
    const elsewhere = { env: { COUNTERSIGN_HOME: join(folder, 'other') } };
    expect((await countersign(['whoami'], elsewhere)).code).toBe(EXIT.refused.code);
    expect((await countersign(['sessions', 'logout-all'])).out).toEqual([expect.stringContaining('forgot')]);
    expect((await countersign(['whoami'])).code).toBe(EXIT.config.code);
  });
});

describe('call', () => {
  test('uses the saved session, prints the answer, and says who it was when refused', async () => {
    await logIn();
    const { code, out } = await countersign(['call', 'GET', '/v1/user/info']);
    expect(code).toBe(EXIT.ok.code);
    expect(JSON.parse(out[0] ?? '')).toMatchObject({ success: true, data: { user: {} } });
    const gone = await countersign(['call', 'GET', '/v1/user/account/999999', '--session']);
    expect(gone.code).toBe(EXIT.refused.code);
    expect(gone.err).toMatch(/^404 as session/);
  });

  test('uses an API key, whose token is bound to the request', async () => {
    const keyFile = join(folder, 'key.json');
    await logIn();
    await countersign(['key', 'create', '--nickname', 'x', '--scopes', 'view', '--out', keyFile]);
    const path = '/api/v3/brokerage/key_permissions';
    const asked = await countersign(['call', 'GET', path, '--key-file', keyFile, '--json']);
    expect(JSON.parse(asked.out[0] ?? '')).toMatchObject({
      status: 200,
      as: 'api-key',
      body: { can_view: true, can_trade: false },
    });
    // `export JWT=...` works where the shell's user goes on with another tool.
    const url = `${open.urls.rest}${path}`;
    const { out } = await countersign(['token', 'rest', 'GET', url, '--key-file', keyFile, '--raw']);
    expect((await fetch(url, { headers: { authorization: `Bearer ${out[0]}` } })).status).toBe(200);
  });

  test('uses a handshake token', async () => {
    const tokenFile = join(folder, 'desk.token');
    await countersign(['token', 'create', '--name', 'desk', '--out', tokenFile]);
    const asked = await countersign(['call', 'GET', '/v1/user/info', '--token-file', tokenFile, '--json']);
    expect(JSON.parse(asked.out[0] ?? '')).toMatchObject({ status: 200, as: 'handshake-token' });
  });

  test('sends a body from the command line, a file or a pipe', async () => {
    await logIn();
    const file = join(folder, 'body.json');
    writeFileSync(file, '{"displayName":"from a file"}');
    const change = (data: string, input: string[] = []) =>
      countersign(['call', 'POST', '/v1/user/update', '--data', data, '--json'], { input });
    const nameIn = ({ out }: { out: string[] }) => JSON.stringify(JSON.parse(out[0] ?? ''));
    expect(nameIn(await change('{"displayName":"typed"}'))).toContain('typed');
    expect(nameIn(await change(`@${file}`))).toContain('from a file');
    expect(nameIn(await change('-', ['{"displayName":', '"piped"}']))).toContain('piped');
    expect((await change('{')).code).toBe(EXIT.usage.code);
    expect((await change('@/nowhere')).code).toBe(EXIT.config.code);
  });

  test('sends nothing that identifies anybody when told so, and no session to another service', async () => {
    await logIn();
    const info = ['call', 'GET', '/v1/user/info'];
    expect((await countersign([...info, '--anonymous'])).err).toMatch(/^401 as anonymous/);
    const elsewhere = ['--url', 'http://127.0.0.1:1'];
    expect((await countersign([...info, '--session', ...elsewhere])).code).toBe(EXIT.config.code);
    expect((await countersign([...info, ...elsewhere])).code).toBe(EXIT.unreachable.code);
    expect((await countersign([...info, '--session', '--anonymous'])).code).toBe(EXIT.usage.code);
    for (const path of ['//evil.test/x', 'http://evil.test/', 'v1/user/info'])
      expect((await countersign(['call', 'GET', path])).code).toBe(EXIT.usage.code);
  });
});

describe('publish', () => {
  const ticker = '{"bid":"1","ask":"2"}';
  const one = ['publish', '--channel', 'ticker', '--key', 'ETH-USD', '--data', ticker];
  const line = `{"channel":"ticker","key":"ETH-USD","data":${ticker}}`;

  test('publishes one thing, once for each idempotency key', async () => {
    expect((await countersign(one)).out).toEqual(['published 1']);
    const keyed = [...one, '--idempotency-key', 'a1', '--json'];
    const [first, second] = [await countersign(keyed), await countersign(keyed)].map(({ out }) =>
      JSON.parse(out[0] ?? ''),
    );
    expect(first).toMatchObject({ duplicate: false });
    expect(second).toEqual({ ...first, duplicate: true });
  });

  test('publishes lines as they come, in order, and names the lines that were not taken', async () => {
    const input = [`${line}\n${line.slice(0, 10)}`, `${line.slice(10)}\n\n{"channel":"nope"}\n`, line];
    const { code, out, err } = await countersign(['publish', '--json'], { input });
    expect(code).toBe(EXIT.refused.code);
    expect(err).toContain('line 4: not published');
    const taken = out.map((text) => JSON.parse(text) as { line: number; sequence?: number });
    expect(taken.map((row) => row.line)).toEqual([1, 2, 4, 5]);
    const sequences = taken.flatMap(({ sequence }) => sequence ?? []);
    expect(sequences).toEqual([0, 1, 2].map((n) => (sequences[0] ?? 0) + n));
  });

  test('a whole file with an idempotency key can be sent again', async () => {
    const input = [`${line}\n`.repeat(250)];
    const argv = ['publish', '--idempotency-key', 'file-1'];
    expect((await countersign(argv, { input })).out).toEqual(['published 250']);
    expect((await countersign(argv, { input: input.map(String) })).out).toEqual([
      'published 0, published before 250',
    ]);
  });

  test('is refused without the backend token, and with lines that are no JSON', async () => {
    expect((await countersign([...one, '--token-file', '/nowhere'])).code).toBe(EXIT.config.code);
    expect((await countersign([...one, '--token-file', join(open.dataDir, 'admin.token')])).code).toBe(
      EXIT.refused.code,
    );
    const { code, err } = await countersign(['publish'], { input: ['{}\nwhat\n'] });
    expect(code).toBe(EXIT.usage.code);
    expect(err).toContain('line 2 is no JSON');
    expect((await countersign(['publish', '--channel', 'ticker'])).code).toBe(EXIT.usage.code);
    expect((await countersign(['publish', '--data', '{}'])).code).toBe(EXIT.usage.code);
  });
});
