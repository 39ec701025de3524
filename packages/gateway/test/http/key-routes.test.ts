/** The routes for API keys of users and operators, and what a key opens on REST: through a whole gateway. */
import { generateKeyPairSync } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { importPrivateKey, signJws } from '@countersign/tokens/node';
import fc from 'fast-check';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestGateway, type TestGateway } from '../../../testkit/src/in-process-gateway.ts';
import { requests } from './key-support.ts';

let open: TestGateway;
let http: ReturnType<typeof requests>;
let session: string;
let userId: number;
let other: { accessToken: string; userId: number };
const logged: string[] = [];
beforeAll(async () => {
  open = await startTestGateway(
    {},
    { log: pino({ level: 'trace' }, { write: (line: string) => void logged.push(line) }) as never },
  );
  http = requests(open);
  ({ accessToken: session, userId } = await open.logIn(0));
  other = await open.logIn(1);
});
afterAll(() => open.close());

const create = async (wish: object = {}) =>
  http.send(session, 'POST', '/v1/user/keys', { scopes: ['view'], ...wish });
const KEYS = '/v1/user/keys';

describe('the owner of keys', () => {
  it('makes one, sees its private half once, and signs in with it', async () => {
    const { status, headers, json } = await create({ nickname: 'my bot', scopes: ['view', 'trade'] });
    expect(status).toBe(200);
    expect(headers['cache-control']).toBe('no-store');
    const { key, name, privateKey } = json.data;
    expect(Object.keys(json.data)).toEqual(['key', 'name', 'privateKey']);
    expect(key).toMatchObject({ name, userId, nickname: 'my bot', scopes: ['view', 'trade'], enabled: true });
    expect(importPrivateKey(JSON.stringify({ name, privateKey })).keyName).toBe(name);

    const made = { keyId: key.keyId, name, privateKey };
    const shown = await http.call(made, 'GET', `/api/v1/user/keys/${key.keyId}`);
    expect(shown.json).toEqual({ success: true, data: { key } });
    const list = await http.send(session, 'GET', KEYS);
    expect(list.json.data.keys[0]).toEqual(key);
    const secret = importPrivateKey(privateKey).jwk.d ?? '';
    for (const text of [shown.text, list.text, ...logged]) {
      expect(text.includes(secret) || text.includes('PRIVATE KEY')).toBe(false);
    }
  });

  it('leaves no private key behind in the store (R53)', async () => {
    const { privateKey } = (await create()).json.data;
    const secret = importPrivateKey(privateKey).jwk.d ?? '';
    const forms = [secret, Buffer.from(secret, 'base64url').toString('hex'), privateKey.split('\n')[1]];
    for (const file of readdirSync(open.dataDir)) {
      const bytes = readFileSync(join(open.dataDir, file));
      for (const form of forms) expect(bytes.includes(form)).toBe(false);
      expect(bytes.includes(Buffer.from(secret, 'base64url'))).toBe(false);
    }
  });

  it('registers a pair of their own with a proof, once', async () => {
    const pair = generateKeyPairSync('ed25519');
    const publicKey = pair.publicKey.export({ format: 'jwk' });
    const signer = importPrivateKey(pair.privateKey.export({ format: 'jwk' }));
    const iat = Math.floor(Date.now() / 1000);
    const proof = signJws({ purpose: 'countersign api key', userId, iat }, {}, signer);
    expect((await create({ publicKey })).status).toBe(400);
    expect((await create({ publicKey: { ...publicKey, d: 'x' }, proof })).status).toBe(400);
    const made = await create({ publicKey, proof });
    expect([made.status, made.json.data.privateKey]).toEqual([200, null]);
    const again = await create({ publicKey, proof });
    expect([again.status, again.json.errorMsgKey]).toEqual([409, 'error.request.conflict']);
  });

  it('changes, rotates and deletes one', async () => {
    const { key } = (await create()).json.data;
    const path = `${KEYS}/${key.keyId}`;
    const changed = await http.send(session, 'PATCH', path, { nickname: 'new', allowedIps: ['127.0.0.0/8'] });
    expect(changed.json.data.key).toEqual({ ...key, nickname: 'new', allowedIps: ['127.0.0.0/8'] });
    const rotated = await http.send(session, 'POST', `${path}/rotate`, { overlapSeconds: 60 });
    expect(rotated.headers['cache-control']).toBe('no-store');
    const { data } = rotated.json;
    expect([data.key.nickname, data.privateKey.slice(0, 10)]).toEqual(['new', '-----BEGIN']);
    const old = (await http.send(session, 'GET', path)).json.data.key;
    expect(old.replacedBy).toBe(data.name);
    expect(old.expiresAt - Date.now()).toBeLessThanOrEqual(60_000);
    expect((await http.send(session, 'POST', `${path}/rotate`, {})).status).toBe(409);
    expect((await http.send(session, 'DELETE', path)).json).toEqual({ success: true, data: {} });
    expect((await http.send(session, 'GET', path)).status).toBe(404);
    const names = (await http.send(session, 'GET', KEYS)).json.data.keys.map(
      ({ name }: { name: string }) => name,
    );
    expect([names.includes(key.name), names.includes(data.name)]).toEqual([false, true]);
  });

  it('is nobody else: the keys of others do not exist for them', async () => {
    const { key } = (await create()).json.data;
    for (const [method, path, body] of [
      ['GET', '', undefined],
      ['PATCH', '', { enabled: false }],
      ['DELETE', '', undefined],
      ['POST', '/rotate', {}],
    ] as const) {
      const answer = await http.send(other.accessToken, method, `${KEYS}/${key.keyId}${path}`, body);
      expect([method, answer.status]).toEqual([method, 404]);
    }
    expect((await http.send(other.accessToken, 'GET', KEYS)).json.data.keys).toEqual([]);
    expect((await http.send(null, 'GET', KEYS)).status).toBe(401);
  });
});

describe('an API key', () => {
  it('makes no keys and changes none, not even itself: whoever steals it gets no further', async () => {
    const key = await http.make(userId, { scopes: ['view', 'trade', 'transfer'] });
    const path = `/api/v1/user/keys/${key.keyId}`;
    for (const [method, to, body] of [
      ['POST', '/api/v1/user/keys', { scopes: ['view'] }],
      ['PATCH', path, { scopes: ['view', 'trade', 'transfer'] }],
      ['DELETE', path, undefined],
      ['POST', `${path}/rotate`, {}],
    ] as const) {
      const { status } = await http.call(key, method, to, body);
      expect([method, to, status]).toEqual([method, to, 403]);
    }
  });

  it('shows keys only with the scope to view', async () => {
    const key = await http.make(userId, { scopes: ['trade'] });
    expect((await http.call(key, 'GET', '/v1/user/keys')).status).toBe(403);
  });

  it('opens the routes of either family like a session does', async () => {
    const key = await http.make(userId);
    const info = await http.call(key, 'GET', '/v1/user/info');
    expect(info.json.data.user.userId).toBe(userId);
    const permissions = { can_view: true, can_trade: true, can_transfer: false };
    for (const path of ['/api/v3/brokerage/key_permissions', '/api/v3/brokerage/key_permissions?x=1']) {
      expect((await http.call(key, 'GET', path)).json).toMatchObject(permissions);
      expect((await http.send(session, 'GET', path)).json).toMatchObject(permissions);
    }
    // A token is bound to its request: one for another route or for a socket opens nothing.
    for (const uri of [
      undefined,
      `GET ${http.host}/v1/user/info`,
      `POST ${http.host}/api/v3/brokerage/key_permissions`,
    ]) {
      const refused = await http.send(http.sign(key, uri), 'GET', '/api/v3/brokerage/key_permissions');
      expect([refused.status, refused.text]).toEqual([401, 'Unauthorized']);
    }
  });
});

describe('an operator', () => {
  const admin = (path: string, body?: object, method?: string) => open.adminFetch(path, body, method);

  it('makes a user for a wallet, once, and keys for the user, with a tier', async () => {
    const address = '0x2c7536e3605d9c16a7a3d7b1898e529396a65c23';
    const first = await admin('/users', { address, displayName: 'desk' });
    expect(first.body.data.user).toMatchObject({ address, displayName: 'desk', status: 1 });
    const again = await admin('/users', { address: address.toUpperCase().replace('X', 'x') });
    expect(again.body.data.user).toEqual(first.body.data.user);
    for (const wrong of [
      {},
      { address: '0x1' },
      { address, more: 1 },
      { address: address.replace('c75', 'C75') },
    ]) {
      expect((await admin('/users', wrong)).status).toBe(400);
    }
    const { userId: desk } = first.body.data.user;
    const made = await admin(`/users/${desk}/keys`, { scopes: ['view'], tier: 'pro', alg: 'EdDSA' });
    expect(made.body.data.key).toMatchObject({ userId: desk, tier: 'pro', alg: 'EdDSA' });
    const { keyId } = made.body.data.key;
    expect((await admin(`/users/${desk}/keys`)).body.data.keys).toEqual([made.body.data.key]);
    expect((await admin(`/keys/${keyId}`)).body.data.key).toEqual(made.body.data.key);
    const changed = await admin(`/keys/${keyId}`, { tier: null, enabled: false }, 'PATCH');
    expect(changed.body.data.key).toMatchObject({ tier: null, enabled: false });
    await admin(`/keys/${keyId}`, { enabled: true }, 'PATCH');
    expect((await admin(`/keys/${keyId}/rotate`, {})).body.data.privateKey).toMatch(/^[A-Za-z0-9+/]{86}==$/);
    expect((await admin(`/keys/${keyId}`, undefined, 'DELETE')).status).toBe(200);
    expect((await admin(`/keys/${keyId}`)).status).toBe(404);
    const actions = (await admin('/audit?limit=10')).body.data.entries.map(
      ({ action }: { action: string }) => action,
    );
    expect(actions).toEqual(
      expect.arrayContaining([
        'user.create',
        'api-key.create',
        'api-key.change',
        'api-key.rotate',
        'api-key.delete',
      ]),
    );
  });

  it('is told of users and keys that there are not', async () => {
    for (const id of ['0', '999999', 'x', '1e3', '9'.repeat(30)]) {
      expect((await admin(`/users/${id}/keys`, { scopes: ['view'] })).status).toBe(404);
      expect((await admin(`/users/${id}/keys`)).status).toBe(404);
      expect((await admin(`/keys/${id}`)).status).toBe(404);
    }
  });
});

describe('a body that does not fit', () => {
  it.each([
    ['no scopes', {}],
    ['scopes as text', { scopes: 'view' }],
    ['an unknown scope', { scopes: ['view', 'admin'] }],
    ['a member that is not known', { scopes: ['view'], admin: true }],
    ['a tier', { scopes: ['view'], tier: 'pro' }],
    ['an owner', { scopes: ['view'], userId: 1 }],
    ['an end in the past', { scopes: ['view'], expiresAt: 5 }],
    ['an end that is no number', { scopes: ['view'], expiresAt: '2030-01-01' }],
    ['a prototype', '{"scopes":["view"],"__proto__":{"tier":"pro"}}'],
    ['a list', []],
    ['a form', 'scopes=view'],
  ])('(%s) is refused in the one shape of errors', async (_what, body) => {
    const { status, json } = await http.send(session, 'POST', KEYS, body);
    expect([status, json.success, json.errorMsgKey]).toEqual([400, false, 'error.request.invalid']);
  });

  it('gets only 4xx or 2xx, whatever it holds (R84)', async () => {
    const { key } = (await create()).json.data;
    const value = fc.oneof(
      fc.jsonValue(),
      fc.constantFrom('view', ['view'], -1, 1e308, '\u0000', 'x'.repeat(5000), {
        kty: 'EC',
        crv: 'P-256',
        x: 'AA',
        y: 'AA',
      }),
    );
    const body = fc.oneof(
      fc.dictionary(
        fc.constantFrom(
          'nickname',
          'scopes',
          'alg',
          'publicKey',
          'proof',
          'allowedIps',
          'expiresAt',
          'replay',
          'enabled',
          'overlapSeconds',
          'tier',
        ),
        value,
      ),
      fc
        .dictionary(fc.constantFrom('scopes', 'publicKey', 'proof'), value)
        .map((rest) => ({ scopes: ['view'], ...rest })),
      fc.jsonValue(),
    );
    const routes = [
      ['POST', KEYS],
      ['PATCH', `${KEYS}/${key.keyId}`],
      ['POST', `${KEYS}/${key.keyId}/rotate`],
      ['DELETE', `${KEYS}/%00`],
      ['GET', `${KEYS}/${'x'.repeat(200)}`],
    ] as const;
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...routes), body, async ([method, path], sent) => {
        const { status } = await http.send(session, method, path, JSON.stringify(sent));
        expect(status).toBeLessThan(500);
        if (method !== 'POST') return;
        const admin = await open.adminFetch(
          path.replace(KEYS, path === KEYS ? `/users/${userId}/keys` : '/keys'),
          { sent },
        );
        expect(admin.status).toBe(400);
      }),
      { numRuns: 200 },
    );
  });
});
