import { createPrivateKey, generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestGateway } from '@countersign/testkit';
import { checkApiKeyClaims, importPublicKey, verifyJws } from '@countersign/tokens';
import { afterAll, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { type ApiKey, createApiKey } from '../src/index.ts';
import { apiKeyFromEnv, apiKeyFromFile } from '../src/node.ts';
import { clockOff, countingFetch, gatewayWith, sessionAt } from './support.ts';

const NAME =
  'organizations/11111111-2222-4333-8444-555555555555/apiKeys/66666666-7777-4888-9999-000000000000';
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const ed = generateKeyPairSync('ed25519');
const sec1 = ec.privateKey.export({ type: 'sec1', format: 'pem' }) as string;
const pkcs8 = ec.privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;
const edJwk = ed.privateKey.export({ format: 'jwk' }) as { d: string; x: string };
const strangerJwk = generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' }) as { x: string };
const seed = Buffer.from(edJwk.d, 'base64url');

const forms: [string, string | object, 'ES256' | 'EdDSA'][] = [
  ['SEC1 PEM', sec1, 'ES256'],
  ['PKCS#8 PEM', pkcs8, 'ES256'],
  ['PEM with escaped line ends', sec1.replaceAll('\n', '\\n'), 'ES256'],
  ['PEM in quotes', `"${sec1.replaceAll('\n', '\\n')}"`, 'ES256'],
  ['PEM with CRLF and a BOM', `\ufeff${sec1.replaceAll('\n', '\r\n')}`, 'ES256'],
  ['PEM with blanks for line ends', sec1.trim().replaceAll('\n', ' '), 'ES256'],
  ['a JWK', ec.privateKey.export({ format: 'jwk' }), 'ES256'],
  ['PKCS#8 PEM of Ed25519', ed.privateKey.export({ type: 'pkcs8', format: 'pem' }) as string, 'EdDSA'],
  ['a base64 seed', seed.toString('base64'), 'EdDSA'],
  [
    'base64 of seed and public key',
    Buffer.concat([seed, Buffer.from(edJwk.x, 'base64url')]).toString('base64'),
    'EdDSA',
  ],
  ['a key file', JSON.stringify({ name: NAME, privateKey: sec1 }), 'ES256'],
  ['a parsed key file with id', { id: NAME, privateKey: seed.toString('base64') }, 'EdDSA'],
];

async function verify(
  key: ApiKey,
  token: string,
  rules: Parameters<typeof checkApiKeyClaims>[1],
): Promise<void> {
  const pair = key.algorithm === 'ES256' ? ec : ed;
  const { jwk } = await importPublicKey(pair.publicKey.export({ format: 'jwk' }));
  checkApiKeyClaims(await verifyJws(token, { alg: key.algorithm, key: jwk }), rules);
}

describe('an API key', () => {
  test.each(forms)('signs from %s', async (_name, form, algorithm) => {
    const key = await createApiKey({ key: form, name: NAME });
    expect(key).toMatchObject({ algorithm, name: NAME, label: NAME, kind: 'api-key' });
    const now = Math.floor(Date.now() / 1000);
    const rest = await key.restToken('get', 'https://api.coinbase.com/api/v3/brokerage/accounts?limit=1');
    await verify(key, rest, {
      kind: 'rest',
      now,
      method: 'GET',
      hosts: ['api.coinbase.com'],
      path: '/api/v3/brokerage/accounts',
    });
    await verify(key, await key.webSocketToken(), { kind: 'websocket', now });
  });

  test('signs each message anew', async () => {
    const key = await createApiKey({ key: sec1, name: NAME });
    const logins = await Promise.all(Array.from({ length: 20 }, () => key.webSocketLogin()));
    expect(new Set(logins.map(({ token }) => token)).size).toBe(20);
    expect(logins[0]).toMatchObject({ scheme: 'message-jwt', perMessage: true });
  });

  const encrypted = ec.privateKey.export({
    type: 'pkcs8',
    format: 'pem',
    cipher: 'aes-256-cbc',
    passphrase: 'x',
  });
  const wrong: [string, string | object, string | undefined, RegExp][] = [
    ['an empty text', ' ', NAME, /empty/],
    ['no name', sec1, undefined, /name is missing/],
    ['a name with blanks', sec1, 'my key', /printable ASCII/],
    ['name and key swapped', NAME, sec1.replaceAll('\n', ''), /this is the key's name/],
    [
      'a public key',
      ec.publicKey.export({ type: 'spki', format: 'pem' }) as string,
      NAME,
      /public key; the private/,
    ],
    ['an encrypted key', encrypted as string, NAME, /not encrypted/],
    ['an RSA key', rsa(), NAME, /RSA/],
    ['a key of another curve', p384(), NAME, /expected/],
    ['a cut text', sec1.slice(0, 80), NAME, /end of the PEM text is missing/],
    ['noise', 'not a key at all!', NAME, /expected/],
    [
      'halves that do not belong together',
      Buffer.concat([seed, Buffer.from(strangerJwk.x, 'base64url')]).toString('base64'),
      NAME,
      /public part/,
    ],
    ['a key file without key', { name: NAME, privateKey: 5 }, undefined, /privateKey/],
  ];
  test.each(wrong)('is refused at once for %s, without a word of it', async (_name, form, name, says) => {
    const error = await createApiKey({ key: form, ...(name === undefined ? {} : { name }) }).catch(
      (e: Error) => e,
    );
    expect(error).toMatchObject({ code: 'invalid_key', remedy: 'user' });
    expect(String(error)).toMatch(says);
    const shown = `${error}${JSON.stringify(error)}${(error as Error).stack}${String((error as Error).cause)}`;
    const secrets = typeof form === 'string' ? form.match(/[A-Za-z0-9+/]{20,}/g) : null;
    for (const secret of secrets ?? []) expect(shown).not.toContain(secret);
  });
});

describe('against a gateway', () => {
  let gateway: TestGateway;
  let made: { name: string; privateKey: string };
  const folder = mkdtempSync(join(tmpdir(), 'countersign-key-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  async function makeKey(): Promise<{ name: string; privateKey: string }> {
    const session = sessionAt(gateway.urls.rest);
    const answer = await session.fetch('/v1/user/keys', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ nickname: 'bot', scopes: ['view'] }),
    });
    return ((await answer.json()) as { data: { name: string; privateKey: string } }).data;
  }

  const open = async () => {
    gateway = await gatewayWith();
    made = await makeKey();
  };

  test('calls over REST are taken', async () => {
    await open();
    const key = await createApiKey({ key: JSON.stringify(made) });
    const answer = await key.fetch(`${gateway.urls.rest}/api/v3/brokerage/key_permissions?x=1`);
    expect(answer.status).toBe(200);
  });

  test.each([10, -10])(
    'calls are taken with a clock that is %d minutes off, after one refusal',
    async (minutes) => {
      await open();
      const fetch = countingFetch();
      const key = await createApiKey({ key: JSON.stringify(made), clock: clockOff(minutes * 60_000), fetch });
      const url = `${gateway.urls.rest}/api/v3/brokerage/key_permissions`;
      expect((await key.fetch(url)).status).toBe(200);
      expect((await key.fetch(url)).status).toBe(200);
      expect(fetch.calls).toHaveLength(3);
    },
  );

  test('socket messages are taken, with a wrong clock after the time was asked for', async () => {
    await open();
    const key = await createApiKey({
      key: JSON.stringify(made),
      clock: clockOff(600_000),
      timeUrl: `${gateway.urls.rest}/api/v3/brokerage/time`,
    });
    const subscribe = async () => {
      const { token } = await key.webSocketLogin();
      return { token, answer: await ask(gateway.urls.websocket, token) };
    };
    const first = await subscribe();
    expect(first.answer).toMatchObject({ type: 'error' });
    key.invalidate(first.token, 'refused');
    expect((await subscribe()).answer).toMatchObject({ channel: 'subscriptions' });
  });

  test('a call with another key is refused once and not repeated', async () => {
    await open();
    const fetch = countingFetch();
    const key = await createApiKey({ key: sec1, name: made.name, fetch });
    expect((await key.fetch(`${gateway.urls.rest}/api/v3/brokerage/key_permissions`)).status).toBe(401);
    expect(fetch.calls).toHaveLength(1);
  });

  test('a key that was replaced in its file is picked up', async () => {
    await open();
    const file = join(folder, 'cdp_api_key.json');
    writeFileSync(file, JSON.stringify({ ...made, privateKey: sec1 }));
    const key = await apiKeyFromFile(file);
    const url = `${gateway.urls.rest}/api/v3/brokerage/key_permissions`;
    expect((await key.fetch(url)).status).toBe(401);
    writeFileSync(file, JSON.stringify(made));
    expect((await key.fetch(url)).status).toBe(200);
  });

  test('a token is not sent over plain http to another machine', async () => {
    const key = await createApiKey({ key: sec1, name: NAME });
    await expect(key.fetch('http://api.example/x')).rejects.toMatchObject({ code: 'invalid_option' });
    await expect(key.restToken('GET', 'http://api.example/x')).rejects.toMatchObject({
      code: 'invalid_option',
    });
  });
});

describe('the environment', () => {
  test.each([
    [{ COINBASE_API_KEY: NAME, COINBASE_API_SECRET: sec1.replaceAll('\n', '\\n') }],
    [{ CDP_API_KEY_ID: NAME, CDP_API_KEY_SECRET: seed.toString('base64') }],
    [{ NAME, PRIVATE_KEY: `"${sec1}"` }],
  ])('%# gives a key', async (env) => {
    expect((await apiKeyFromEnv({ env })).name).toBe(NAME);
  });

  test.each([
    [{}, /Set COINBASE_API_KEY and COINBASE_API_SECRET, or/],
    [{ COINBASE_API_KEY: NAME }, /COINBASE_API_SECRET is missing/],
    [{ NAME: 'my-laptop' }, /Set COINBASE_API_KEY/],
    [
      { CDP_API_KEY_ID: NAME, CDP_API_KEY_SECRET: 'nonsense!' },
      /CDP_API_KEY_ID and CDP_API_KEY_SECRET: .*expected/,
    ],
  ])('%# says what is missing', async (env, says) => {
    await expect(apiKeyFromEnv({ env })).rejects.toThrow(says);
  });

  test('a file that is not there is named', async () => {
    await expect(apiKeyFromFile('/nowhere/key.json')).rejects.toThrow(
      /\/nowhere\/key\.json cannot be read \(ENOENT\)/,
    );
  });
});

function rsa(): string {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 1024 });
  return privateKey.export({ type: 'pkcs1', format: 'pem' }) as string;
}

function p384(): string {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-384' });
  return createPrivateKey(privateKey.export({ type: 'pkcs8', format: 'pem' })).export({
    type: 'sec1',
    format: 'pem',
  }) as string;
}

function ask(url: string, jwt: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url);
    socket.on('error', reject);
    socket.on('open', () =>
      socket.send(JSON.stringify({ type: 'subscribe', channel: 'user', product_ids: ['ETH-USD'], jwt })),
    );
    socket.on('message', (data) => {
      const frame = JSON.parse(String(data));
      if (frame.channel !== 'subscriptions' && frame.type !== 'error') return;
      socket.close();
      resolve(frame);
    });
  });
}
