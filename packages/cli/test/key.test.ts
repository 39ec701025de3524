import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildApiKeyJwt, importPrivateKey } from '@countersign/tokens/node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestGateway, type TestGateway } from '../../testkit/src/in-process-gateway.ts';
import { EXIT } from '../src/exit-codes.ts';
import { run } from '../src/run.ts';
import { demoKey } from '../src/serve/demo-key.ts';
import { testIo } from './test-io.ts';

let folder: string;
let open: TestGateway;
let userId: number;
const path = (name: string) => join(folder, name);

async function countersign(argv: string[], options: Parameters<typeof testIo>[0] = {}) {
  const io = testIo({ ...options, env: { COUNTERSIGN_HOME: path('home'), ...options.env } });
  const code = await run(argv, io);
  const [first = ''] = io.outLines;
  return { code, out: io.outLines, err: io.errLines, json: first.startsWith('{') ? JSON.parse(first) : null };
}
const admin = () => ['--data-dir', open.dataDir, '--internal-url', open.urls.internal];

/** What the gateway answers to a REST call signed with the key of a file. */
async function signIn(file: string): Promise<number> {
  const key = importPrivateKey(readFileSync(file, 'utf8'));
  const { host } = new URL(open.urls.rest);
  const uri = `GET ${host}/api/v3/brokerage/key_permissions`;
  const jwt = buildApiKeyJwt({ keyName: key.keyName ?? '', key, uri });
  const answer = await fetch(`${open.urls.rest}/api/v3/brokerage/key_permissions`, {
    headers: { authorization: `Bearer ${jwt}` },
  });
  return answer.status;
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-key-'));
  open = await startTestGateway();
  writeFileSync(path('wallet.key'), `0x${'17'.repeat(32)}`, { mode: 0o600 });
  const login = ['login', '--url', open.urls.rest, '--key-file', path('wallet.key'), '--save', '--json'];
  ({ userId } = (await countersign(login)).json);
});
afterAll(async () => {
  await open.close();
  rmSync(folder, { recursive: true, force: true });
});

describe('an owner', () => {
  test('makes a key whose file signs in, and whose private half is shown nowhere', async () => {
    const file = path('first.json');
    const made = await countersign([
      'key',
      'create',
      '--nickname',
      'bot',
      '--scopes',
      'view,trade',
      '--out',
      file,
    ]);
    expect(made.code).toBe(EXIT.ok.code);
    expect(made.out).toEqual([
      expect.stringMatching(/^organizations\/[0-9a-f-]{36}\/apiKeys\/[0-9a-f-]{36}$/),
    ]);
    expect(made.err).toEqual([`its private key is in ${file} and cannot be shown again`]);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const held = JSON.parse(readFileSync(file, 'utf8'));
    expect(held).toMatchObject({
      name: made.out[0],
      nickname: 'bot',
      scopes: ['view', 'trade'],
      allowedIps: [],
    });
    expect(held.privateKey).toMatch(/^-----BEGIN EC PRIVATE KEY-----\n/);
    expect(await signIn(file)).toBe(200);
  });

  test('overwrites no file, and makes no key that could not be written', async () => {
    writeFileSync(path('taken.json'), 'mine');
    const count = async () => (await countersign(['key', 'list', '--json'])).out.length;
    const before = await count();
    const refused = await countersign(['key', 'create', '--out', path('taken.json')]);
    expect([refused.code, refused.out]).toEqual([EXIT.config.code, []]);
    expect(refused.err[0]).toContain('exists and is not overwritten');
    expect(readFileSync(path('taken.json'), 'utf8')).toBe('mine');
    expect((await countersign(['key', 'create', '--out', path('none/x.json')])).code).toBe(EXIT.config.code);
    expect(await count()).toBe(before);
  });

  test('leaves no empty file behind when the gateway says no', async () => {
    const refused = await countersign(['key', 'create', '--scopes', 'admin', '--out', path('no.json')]);
    expect(refused.code).toBe(EXIT.refused.code);
    expect(() => statSync(path('no.json'))).toThrow('ENOENT');
  });

  test('chooses everything that can be chosen', async () => {
    const flags = [
      '--alg',
      'EdDSA',
      '--allowed-ips',
      '127.0.0.1, ::1/128',
      '--expires',
      '2099-01-01T00:00:00Z',
      '--strict',
    ];
    const { json } = await countersign(['key', 'create', ...flags, '--out', path('all.json'), '--json']);
    expect(json.keyFile).toBe(path('all.json'));
    expect(json.key).toMatchObject({
      alg: 'EdDSA',
      allowedIps: ['127.0.0.1', '::1/128'],
      expiresAt: Date.UTC(2099, 0, 1),
      replay: 'strict',
      scopes: ['view'],
      nickname: 'API key',
    });
    expect(importPrivateKey(readFileSync(path('all.json'), 'utf8')).alg).toBe('EdDSA');
  });

  test('lists, shows, renames, disables, enables and deletes', async () => {
    const file = path('life.json');
    const { json } = await countersign(['key', 'create', '--out', file, '--json']);
    const key = ['--key', json.name];
    expect((await countersign(['key', 'list'])).out[0]).toBe(`${json.name}  API key  view  enabled`);
    const shown = (await countersign(['key', 'show', ...key])).out.join('\n');
    expect(shown).toContain('tokens       count until they expire');
    expect(
      (await countersign(['key', 'rename', ...key, '--nickname', 'other', '--json'])).json.nickname,
    ).toBe('other');
    expect((await countersign(['key', 'disable', ...key])).out[0]).toContain('disabled');
    expect(await signIn(file)).toBe(401);
    expect((await countersign(['key', 'enable', '--key', json.key.keyId])).code).toBe(EXIT.ok.code);
    expect(await signIn(file)).toBe(200);
    expect((await countersign(['key', 'delete', ...key])).code).toBe(EXIT.usage.code);
    expect((await countersign(['key', 'delete', ...key], { terminal: true, answers: ['no'] })).code).toBe(
      EXIT.interrupted.code,
    );
    expect(await signIn(file)).toBe(200);
    expect((await countersign(['key', 'delete', ...key], { terminal: true, answers: ['yes'] })).code).toBe(
      EXIT.ok.code,
    );
    expect(await signIn(file)).toBe(401);
    expect((await countersign(['key', 'show', ...key])).code).toBe(EXIT.refused.code);
  });

  test('rotates: both keys work for the overlap, and the file is replaced only where that was asked for', async () => {
    const file = path('bot.json');
    const { json: old } = await countersign(['key', 'create', '--out', file, '--json']);
    const before = readFileSync(file);
    const rotate = ['key', 'rotate', '--key', old.name, '--out', file];
    expect((await countersign(rotate)).code).toBe(EXIT.config.code);
    expect(readFileSync(file)).toEqual(before);
    const rotated = await countersign([...rotate, '--replace', '--overlap', '60', '--json']);
    expect([rotated.code, rotated.json.name === old.name]).toEqual([EXIT.ok.code, false]);
    expect(JSON.parse(readFileSync(file, 'utf8')).name).toBe(rotated.json.name);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(await signIn(file)).toBe(200);
    writeFileSync(path('old.json'), before);
    expect(await signIn(path('old.json'))).toBe(200);
    expect((await countersign(['key', 'list'])).out.join('\n')).toContain('(replaced)');
    expect(
      (
        await countersign([
          'key',
          'rotate',
          '--key',
          rotated.json.name,
          '--out',
          path('x.json'),
          '--overlap',
          'x',
        ])
      ).code,
    ).toBe(EXIT.usage.code);
  });

  test('registers a pair of their own, and sends only its public half', async () => {
    const pair = generateKeyPairSync('ed25519');
    const pem = String(pair.privateKey.export({ format: 'pem', type: 'pkcs8' }));
    writeFileSync(path('own.pem'), pem, { mode: 0o600 });
    const made = await countersign(['key', 'import', '--key-file', path('own.pem')]);
    expect(made.code).toBe(EXIT.ok.code);
    writeFileSync(path('own.json'), JSON.stringify({ name: made.out[0], privateKey: pem }));
    expect(await signIn(path('own.json'))).toBe(200);
    expect((await countersign(['key', 'import', '--key-file', path('own.pem')])).err[0]).toContain('409');
    writeFileSync(path('bad.pem'), 'x');
    expect((await countersign(['key', 'import', '--key-file', path('bad.pem')])).code).toBe(EXIT.config.code);
    expect((await countersign(['key', 'import'])).code).toBe(EXIT.usage.code);
  });

  test('needs a session, and a key that is one', async () => {
    const nobody = { env: { COUNTERSIGN_HOME: path('nobody') } };
    expect((await countersign(['key', 'create', '--out', path('n.json')], nobody)).code).toBe(
      EXIT.config.code,
    );
    expect((await countersign(['key', 'show', '--key', '../admin'])).code).toBe(EXIT.usage.code);
    expect((await countersign(['key', 'create', '--expires', 'soon'])).code).toBe(EXIT.usage.code);
  });
});

describe('an operator', () => {
  test('makes and manages the keys of any user, without a session', async () => {
    const nobody = { env: { COUNTERSIGN_HOME: path('nobody') } };
    const file = path('operator.json');
    const flags = ['--user', String(userId), '--tier', 'pro', '--out', file, '--json', ...admin()];
    const made = await countersign(['key', 'create', ...flags], nobody);
    expect(made.json.key).toMatchObject({ userId, tier: 'pro' });
    expect(await signIn(file)).toBe(200);
    const key = ['--key', made.json.name, ...admin()];
    expect((await countersign(['key', 'disable', ...key], nobody)).code).toBe(EXIT.ok.code);
    expect(await signIn(file)).toBe(401);
    expect((await countersign(['key', 'delete', ...key, '--yes'], nobody)).code).toBe(EXIT.ok.code);
    const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    writeFileSync(path('public.pem'), pair.publicKey.export({ format: 'pem', type: 'spki' }));
    const own = ['key', 'import', '--user', String(userId), '--public-key', path('public.pem'), ...admin()];
    expect((await countersign(own, nobody)).code).toBe(EXIT.ok.code);
    expect(
      (await countersign(['key', 'list', '--user', String(userId), ...admin()], nobody)).out.length,
    ).toBeGreaterThan(0);
  });

  test('has to say whose keys are meant, and to show the token', async () => {
    expect((await countersign(['key', 'list', ...admin()])).code).toBe(EXIT.usage.code);
    expect((await countersign(['key', 'list', '--user', 'ada', ...admin()])).code).toBe(EXIT.usage.code);
    expect((await countersign(['key', 'list', '--user', '1', '--data-dir', folder])).code).toBe(
      EXIT.config.code,
    );
    expect((await countersign(['key', 'list', '--user', '999999', ...admin()])).code).toBe(EXIT.refused.code);
  });
});

describe('the demo key', () => {
  test('is made once for the demo wallet, and anew where the gateway does not accept it any more', async () => {
    const data = mkdtempSync(join(tmpdir(), 'countersign-demo-'));
    const bearer = readFileSync(join(open.dataDir, 'admin.token'), 'utf8').trim();
    const make = () => demoKey(data, { origin: open.urls.internal, bearer }, `0x${'ab'.repeat(20)}`);
    const first = await make();
    expect(statSync(first.keyFile).mode & 0o777).toBe(0o600);
    expect(await signIn(first.keyFile)).toBe(200);
    expect(await make()).toEqual(first);
    await open.adminFetch(`/keys/${first.name.split('/').at(-1)}`, undefined, 'DELETE');
    const second = await make();
    expect(second.name).not.toBe(first.name);
    expect(await signIn(second.keyFile)).toBe(200);
    writeFileSync(second.keyFile, 'mine');
    await expect(make()).rejects.toThrow('is no API key file');
    rmSync(data, { recursive: true });
  });
});
