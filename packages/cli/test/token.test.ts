import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestGateway, type TestGateway } from '../../testkit/src/in-process-gateway.ts';
import { EXIT } from '../src/exit-codes.ts';
import { run } from '../src/run.ts';
import { demoToken } from '../src/serve/demo-token.ts';
import { testIo } from './test-io.ts';

let folder: string;
let open: TestGateway;
const path = (name: string) => join(folder, name);

async function token(...argv: string[]) {
  const io = testIo();
  const place = ['--data-dir', open.dataDir, '--internal-url', open.urls.internal];
  const code = await run(['token', ...argv, ...place], io);
  const [first = ''] = io.outLines;
  return { code, out: io.outLines, err: io.errLines, json: first.startsWith('{') ? JSON.parse(first) : null };
}

/** What the gateway answers to a REST call with a token. */
async function use(secret: string): Promise<number> {
  const headers = { authorization: `Bearer ${secret}` };
  return (await fetch(`${open.urls.rest}/v1/user/info`, { headers })).status;
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-token-'));
  open = await startTestGateway();
});
afterAll(async () => {
  await open.close();
  rmSync(folder, { recursive: true, force: true });
});

describe('an operator', () => {
  test('makes a token that works, and is shown it once, alone on standard output', async () => {
    const made = await token('create', '--name', 'desk 4', '--permissions', 'market_data');
    expect(made.code).toBe(EXIT.ok.code);
    expect(made.out).toEqual([expect.stringMatching(/^cst_[0-9A-Za-z]{36}$/)]);
    expect(await use(made.out[0] ?? '')).toBe(200);
    const list = await token('list');
    expect(list.out[0]).toContain('desk 4  market_data  good  used');
    expect(list.out.join()).not.toContain(made.out[0]);
  });

  test('can have it written to a file that nobody else may read, and never over another', async () => {
    const file = path('desk.token');
    const made = await token('create', '--name', 'desk', '--out', file, '--days', '30', '--json');
    expect(made.json).toEqual({ handshakeToken: expect.objectContaining({ name: 'desk' }), tokenFile: file });
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(await use(readFileSync(file, 'utf8').trim())).toBe(200);
    const before = (await token('list')).out.length;
    expect((await token('create', '--name', 'desk', '--out', file)).code).toBe(EXIT.config.code);
    expect((await token('list')).out).toHaveLength(before);
  });

  test('rotates and revokes by id, which is not the token', async () => {
    const made = await token('create', '--name', 'desk', '--json');
    const id = made.json.handshakeToken.tokenId as string;
    const next = await token('rotate', '--id', id, '--overlap', '60', '--json');
    expect([await use(made.json.secret), await use(next.json.secret)]).toEqual([200, 200]);
    expect((await token('rotate', '--id', id)).code).toBe(EXIT.refused.code);
    const last = await token('rotate', '--id', next.json.handshakeToken.tokenId, '--overlap', '0', '--json');
    expect(await use(next.json.secret)).toBe(401);
    const end = await token('revoke', '--id', last.json.handshakeToken.tokenId);
    expect(end.code).toBe(EXIT.ok.code);
    expect(await use(last.json.secret)).toBe(401);
    const wrong = await token('revoke', '--id', last.json.secret);
    expect(wrong.code).toBe(EXIT.usage.code);
    expect(wrong.err.join()).not.toContain(last.json.secret);
  });

  test('limits it to a user, a tier and addresses, and is told what cannot be', async () => {
    const { userId } = await open.logIn(0);
    const user = ['--name', 'x', '--user', String(userId)];
    const made = await token('create', ...user, '--tier', 'pro', '--allowed-ips', '192.0.2.0/24', '--json');
    expect(made.json.handshakeToken).toMatchObject({ userId, tier: 'pro', allowedIps: ['192.0.2.0/24'] });
    expect(await use(made.json.secret)).toBe(401);
    expect((await token('list', '--user', String(userId))).out).toHaveLength(1);
    for (const wrong of [
      ['--user', '999999'],
      ['--permissions', 'everything'],
      ['--allowed-ips', '300.1.1.1'],
      ['--tier', 'no such tier'],
    ]) {
      expect((await token('create', '--name', 'x', ...wrong)).code).toBe(EXIT.refused.code);
    }
    expect((await token('create', '--name', 'x', '--days', 'soon')).code).toBe(EXIT.usage.code);
  });
});

describe('the demo token', () => {
  test('is made once, with every right of the sandbox, and anew where it is not accepted any more', async () => {
    const data = mkdtempSync(join(tmpdir(), 'countersign-demo-'));
    const bearer = readFileSync(join(open.dataDir, 'admin.token'), 'utf8').trim();
    const operator = { origin: open.urls.internal, bearer };
    const make = () => demoToken(data, open.urls.rest, operator, `0x${'ab'.repeat(20)}`);
    const { tokenFile } = await make();
    expect(statSync(tokenFile).mode & 0o777).toBe(0o600);
    const first = readFileSync(tokenFile, 'utf8').trim();
    await make();
    expect(readFileSync(tokenFile, 'utf8').trim()).toBe(first);
    const { handshakeTokens } = (await open.adminFetch('/handshake-tokens')).body.data;
    expect(handshakeTokens[0]).toMatchObject({
      name: 'demo',
      permissions: expect.arrayContaining(['transfer']),
    });
    await open.adminFetch(`/handshake-tokens/${handshakeTokens[0].tokenId}`, undefined, 'DELETE');
    await make();
    expect(await use(readFileSync(tokenFile, 'utf8').trim())).toBe(200);
    writeFileSync(tokenFile, 'mine');
    await expect(make()).rejects.toThrow('is no handshake token');
    rmSync(data, { recursive: true });
  });
});
