import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { importPrivateKey, verifyJws } from '@countersign/tokens/node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { EXIT } from '../src/exit-codes.ts';
import { run } from '../src/run.ts';
import { testIo } from './test-io.ts';

const name =
  'organizations/0d5c9a52-0000-4000-8000-000000000001/apiKeys/9e54f0a3-0000-4000-8000-000000000002';
const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const pem = String(privateKey.export({ type: 'sec1', format: 'pem' }));
const { publicJwk } = importPrivateKey(pem);

let folder: string;
const file = () => join(folder, 'cdp_api_key.json');
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-jwt-'));
  writeFileSync(file(), JSON.stringify({ name, privateKey: pem }), { mode: 0o600 });
  writeFileSync(join(folder, 'key.pem'), pem, { mode: 0o644 });
});
afterAll(() => rmSync(folder, { recursive: true }));

async function token(argv: string[], env: Record<string, string> = {}) {
  const io = testIo({ env });
  const code = await run(['token', ...argv], io);
  return { code, out: io.outLines, err: io.errLines.join('\n') };
}
const claimsOf = (jwt: string) => verifyJws(jwt, { alg: 'ES256', key: publicJwk }).claims;

test('token ws prints a line for a shell, as the samples do, and the token verifies', async () => {
  const { code, out, err } = await token(['ws', '--key-file', file()]);
  expect({ code, err }).toEqual({ code: EXIT.ok.code, err: '' });
  expect(out).toHaveLength(1);
  const [, jwt = ''] = /^export JWT=(\S+)$/.exec(out[0] ?? '') ?? [];
  const claims = claimsOf(jwt);
  expect(claims).toMatchObject({ iss: 'cdp', sub: name });
  expect(Number(claims.exp) - Number(claims.nbf)).toBe(120);
  expect(claims.uri).toBeUndefined();
});

test('token rest binds method, host and path, and leaves the query out', async () => {
  const url = 'https://api.coinbase.com/api/v3/brokerage/accounts?limit=5';
  const { out } = await token(['rest', 'get', url, '--key-file', file(), '--raw']);
  expect(claimsOf(out[0] ?? '').uri).toBe('GET api.coinbase.com/api/v3/brokerage/accounts');
});

test('token rest takes a path at the service of a profile', async () => {
  const path = '/api/v3/brokerage/accounts';
  const { out } = await token(['rest', 'GET', path, '--key-file', file(), '--json', '--profile', 'coinbase']);
  const said = JSON.parse(out[0] ?? '') as { jwt: string; expiresAt: number };
  expect(said).toMatchObject({ keyName: name, uri: `GET api.coinbase.com${path}` });
  expect(said.expiresAt).toBe(claimsOf(said.jwt).exp);
});

test.each([
  ['COINBASE_API_KEY', 'COINBASE_API_SECRET'],
  ['CDP_API_KEY_ID', 'CDP_API_KEY_SECRET'],
  ['NAME', 'PRIVATE_KEY'],
])('the key may stand in %s and %s, with escaped line breaks', async (nameVariable, keyVariable) => {
  const env = { [nameVariable]: name, [keyVariable]: pem.replaceAll('\n', '\\n') };
  const { out } = await token(['ws', '--raw'], env);
  expect(claimsOf(out[0] ?? '').sub).toBe(name);
});

test('a bare PEM file needs the name beside it, and readers of the file are pointed out', async () => {
  const pemFile = ['ws', '--key-file', join(folder, 'key.pem')];
  expect(await token(pemFile)).toMatchObject({ code: EXIT.config.code, out: [] });
  const { code, err } = await token([...pemFile, '--key-name', name]);
  expect(code).toBe(EXIT.ok.code);
  expect(err).toContain('chmod 600');
});

test('what cannot sign is refused without showing it', async () => {
  const bad = join(folder, 'bad.json');
  writeFileSync(bad, JSON.stringify({ name, privateKey: 'c2VjcmV0' }), { mode: 0o600 });
  for (const argv of [['ws', '--key-file', bad], ['ws', '--key-file', join(folder, 'none.json')], ['ws']]) {
    const { code, err, out } = await token(argv);
    expect({ code, out }).toEqual({ code: EXIT.config.code, out: [] });
    expect(err).not.toContain('c2VjcmV0');
  }
  expect((await token(['rest', 'FETCH', 'https://x.test/', '--key-file', file()])).code).toBe(
    EXIT.usage.code,
  );
  expect((await token(['rest', 'GET', 'x.test', '--key-file', file()])).code).toBe(EXIT.usage.code);
  expect(readFileSync(file(), 'utf8')).toContain(name);
});
