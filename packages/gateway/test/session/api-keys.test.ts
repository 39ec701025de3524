import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { importPrivateKey, signJws } from '@countersign/tokens/node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { KeyActor, KeyChange, KeyWish } from '../../src/session/api-keys.ts';
import { freshPair, type KeyHouse, OPERATOR, openKeyHouse, token, websocket } from './api-key-support.ts';
import { DAY, HOUR, refusal } from './support.ts';

let open: KeyHouse;
let userId: number;
let owner: KeyActor;
beforeAll(async () => {
  open = await openKeyHouse();
  ({ userId } = await open.user('ada'));
  owner = { owner: userId, actor: `user:${userId}`, source: '192.0.2.1' };
});
afterAll(() => open.house.dispose());

const now = () => open.house.clock.now();
const create = (wish: Partial<KeyWish> = {}, by: KeyActor = owner) =>
  open.keys.create(userId, { nickname: 'bot', scopes: ['view'], ...wish }, by);
const refused = async (task: () => Promise<unknown>) => {
  const { code, message } = await refusal(task);
  return [code, message] as const;
};
const pem = (key: KeyObject, type: 'spki' | 'sec1' | 'pkcs8') =>
  String(key.export({ format: 'pem', type } as never));
const ed25519 = () => generateKeyPairSync('ed25519');

const prove = (privateKey: KeyObject, claims: object = {}) =>
  signJws(
    { purpose: 'countersign api key', userId, iat: Math.floor(now() / 1000), ...claims },
    {},
    importPrivateKey(pem(privateKey, 'pkcs8')),
  );

describe('a new key', () => {
  it('has a name of its own under its owner, and a private half that is in no file and no log', async () => {
    const [one, two] = [await create(), await create({ alg: 'EdDSA' })];
    for (const { key } of [one, two]) {
      expect(key.name).toMatch(/^organizations\/[0-9a-f-]{36}\/apiKeys\/[0-9a-f-]{36}$/);
      expect(key.name.endsWith(key.keyId)).toBe(true);
      expect(key).toMatchObject({
        userId,
        enabled: true,
        scopes: ['view'],
        replay: 'reuse',
        expiresAt: null,
      });
    }
    expect(one.key.name.split('/')[1]).toBe(two.key.name.split('/')[1]);
    expect(one.privateKey).toMatch(/^-----BEGIN EC PRIVATE KEY-----\n/);
    expect(Buffer.from(two.privateKey ?? '', 'base64')).toHaveLength(64);
    for (const { key, privateKey } of [one, two]) {
      const signer = importPrivateKey(privateKey ?? '');
      expect(JSON.parse(key.publicJwk)).toMatchObject(signer.publicJwk);
      const secret = String(signer.jwk.d);
      const rows = [await open.house.store.apiKeys.findById(key.keyId), await open.house.audited()];
      expect(JSON.stringify(rows)).not.toContain(secret);
      const jwt = token({ key, privateKey, name: key.name, keyId: key.keyId, signer }, now());
      expect((await open.node.authenticator.bearer(jwt, websocket())).principal.userId).toBe(userId);
    }
  });

  it.each<[string, Partial<KeyWish>, string]>([
    ['no scopes', { scopes: [] }, 'scopes'],
    ['an unknown scope', { scopes: ['admin' as 'view'] }, 'scopes'],
    ['an empty nickname', { nickname: '' }, 'nickname'],
    ['a nickname with a line break', { nickname: 'a\nb' }, 'nickname'],
    ['an address that is none', { allowedIps: ['10.0.0'] }, 'allowedIps'],
    ['a prefix that does not exist', { allowedIps: ['10.0.0.0/33'] }, 'allowedIps'],
    ['65 addresses', { allowedIps: Array(65).fill('10.0.0.1') as string[] }, 'allowedIps'],
    ['an end in the past', { expiresAt: 1 }, 'expiresAt'],
    ['a replay policy that does not exist', { replay: 'never' as 'strict' }, 'replay'],
    ['RS256', { alg: 'RS256' as 'ES256' }, 'alg'],
  ])('is refused with %s', async (_what, wish, named) => {
    const [code, message] = await refused(() => create(wish));
    expect(code).toBe('invalid_request');
    expect(message).toContain(named);
  });

  it('gets a tier from an operator only', async () => {
    expect((await refused(() => create({ tier: 'pro' })))[0]).toBe('invalid_request');
    expect((await create({ tier: 'pro' }, OPERATOR)).key.tier).toBe('pro');
  });

  it('is refused to an owner who has a hundred', async () => {
    const { userId: many } = await open.user('many');
    const by = { ...owner, owner: many };
    const wish: KeyWish = { nickname: 'x', scopes: ['view'] };
    await Promise.all(Array.from({ length: 100 }, () => open.keys.create(many, wish, OPERATOR)));
    expect((await refused(() => open.keys.create(many, wish, by)))[1]).toContain('100');
  });
});

describe('a public key that its owner brings', () => {
  const weak: { why: string; hex: string }[] = JSON.parse(
    readFileSync(new URL('../../../tokens/vectors/ed25519-weak-keys.json', import.meta.url), 'utf8'),
  );
  const p256 = freshPair();
  const jwk = p256.publicKey.export({ format: 'jwk' });
  const rawEd = () => Buffer.from(ed25519().publicKey.export({ format: 'jwk' }).x ?? '', 'base64url');
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });

  it.each<[string, () => string | object]>([
    ['a P-256 PEM', () => pem(freshPair().publicKey, 'spki')],
    [
      'a P-256 PEM labelled EC PUBLIC KEY',
      () => pem(freshPair().publicKey, 'spki').replaceAll(' PUBLIC', ' EC PUBLIC'),
    ],
    ['a P-256 JWK', () => freshPair().publicKey.export({ format: 'jwk' })],
    ['a P-256 JWK as text', () => JSON.stringify(freshPair().publicKey.export({ format: 'jwk' }))],
    ['an Ed25519 PEM', () => pem(ed25519().publicKey, 'spki')],
    ['32 raw Ed25519 bytes as hex', () => rawEd().toString('hex')],
    ['32 raw Ed25519 bytes as base64', () => rawEd().toString('base64')],
  ])('is taken as %s', async (_form, publicKey) => {
    const { key, privateKey } = await create({ publicKey: publicKey() }, OPERATOR);
    expect(privateKey).toBeNull();
    expect(JSON.parse(key.publicJwk)).not.toHaveProperty('d');
  });

  it.each<[string, () => string | object]>([
    ['a private P-256 PEM (SEC1)', () => pem(p256.privateKey, 'sec1')],
    ['a private P-256 PEM (PKCS#8)', () => pem(p256.privateKey, 'pkcs8')],
    ['a private Ed25519 PEM', () => pem(ed25519().privateKey, 'pkcs8')],
    ['a JWK with d', () => p256.privateKey.export({ format: 'jwk' })],
    ['an Ed25519 JWK with d', () => ed25519().privateKey.export({ format: 'jwk' })],
    ['a key file', () => JSON.stringify({ name: 'x', privateKey: pem(p256.privateKey, 'sec1') })],
    ['a point off the curve', () => ({ ...jwk, y: jwk.x })],
    [
      'the point at infinity',
      () => Buffer.from('3019301306072a8648ce3d020106082a8648ce3d03010703020000', 'hex').toString('base64'),
    ],
    ['a point of zeros', () => ({ ...jwk, x: 'A'.repeat(43), y: 'A'.repeat(43) })],
    ['a P-384 key', () => pem(freshPair('P-384').publicKey, 'spki')],
    ['a secp256k1 key', () => pem(freshPair('secp256k1').publicKey, 'spki')],
    ['an RSA key', () => pem(rsa.publicKey, 'spki')],
    ['an RSA JWK', () => rsa.publicKey.export({ format: 'jwk' })],
    ['a symmetric key', () => ({ kty: 'oct', k: 'c2VjcmV0' })],
    ['an X25519 key', () => pem(generateKeyPairSync('x25519').publicKey, 'spki')],
    ['a PEM of nothing', () => '-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----'],
    ['an empty text', () => ''],
    ['an empty object', () => ({})],
    ['16,385 characters', () => 'A'.repeat(16_385)],
    ...weak.map(({ why, hex }): [string, () => string] => [`a weak Ed25519 key: ${why}`, () => hex]),
  ])('is refused as %s, from owner and operator, without a word of it (R24)', async (_what, publicKey) => {
    const given = publicKey();
    const text = typeof given === 'string' ? given : JSON.stringify(given);
    for (const by of [owner, OPERATOR]) {
      const { code, message, reason } = await refusal(() => create({ publicKey: given }, by));
      expect(code).toBe('invalid_request');
      const body = text.split('\n').at(1) ?? text;
      if (body.length > 8) expect(message + reason).not.toContain(body);
    }
    const { d } = p256.privateKey.export({ format: 'jwk' });
    expect(JSON.stringify(await open.house.audited())).not.toContain(d);
  });

  it('is registered once, whoever comes second and however it is spelt, and not even after it was deleted', async () => {
    const pair = freshPair();
    const publicKey = pem(pair.publicKey, 'spki');
    const { key } = await create({ publicKey, proof: prove(pair.privateKey) });
    const { userId: other } = await open.user('bob');
    const again = () =>
      open.keys.create(
        other,
        { nickname: 'mine', scopes: ['view'], publicKey: pair.publicKey.export({ format: 'jwk' }) },
        OPERATOR,
      );
    expect((await refused(again))[0]).toBe('conflict');
    await open.keys.remove(key.keyId, owner);
    expect((await refused(again))[0]).toBe('conflict');
    expect((await refused(() => create({ publicKey, proof: prove(pair.privateKey) })))[0]).toBe('conflict');
  });

  it('needs a proof from its owner that the private half is theirs, and from an operator none', async () => {
    const pair = freshPair();
    const publicKey = pem(pair.publicKey, 'spki');
    const proofs: [string, string | undefined][] = [
      ['none', undefined],
      ['empty', ''],
      ['no token', 'x'],
      ['of another key', prove(freshPair().privateKey)],
      ['for another user', prove(pair.privateKey, { userId: userId + 1 })],
      ['for another purpose', prove(pair.privateKey, { purpose: 'login' })],
      ['ten minutes old', prove(pair.privateKey, { iat: Math.floor(now() / 1000) - 600 })],
      ['ten minutes ahead', prove(pair.privateKey, { iat: Math.floor(now() / 1000) + 600 })],
      ['without a time', prove(pair.privateKey, { iat: undefined })],
      ['with a changed signature', `${prove(pair.privateKey).slice(0, -4)}AAAA`],
    ];
    for (const [what, proof] of proofs) {
      const wish = proof === undefined ? { publicKey } : { publicKey, proof };
      expect([what, (await refused(() => create(wish)))[0]]).toEqual([what, 'invalid_request']);
    }
    expect((await create({ publicKey, proof: prove(pair.privateKey) })).key.alg).toBe('ES256');
    const ed = ed25519();
    const proof = prove(ed.privateKey);
    expect((await create({ publicKey: pem(ed.publicKey, 'spki'), proof })).key.alg).toBe('EdDSA');
    expect((await create({ publicKey: pem(freshPair().publicKey, 'spki') }, OPERATOR)).privateKey).toBeNull();
  });
});

describe("somebody else's key", () => {
  it('looks like one that does not exist, whatever is tried with it', async () => {
    const { key } = await create();
    const { userId: other } = await open.user('eve');
    const eve = { ...owner, owner: other };
    for (const keyId of [key.keyId, key.name, 'x', '../../etc/passwd', '0'.repeat(36), crypto.randomUUID()]) {
      for (const attempt of [
        () => open.keys.find(keyId, eve),
        () => open.keys.change(keyId, { nickname: 'mine' }, eve),
        () => open.keys.remove(keyId, eve),
        () => open.keys.rotate(keyId, 0, eve),
      ]) {
        expect(await refused(attempt)).toEqual(['not_found', 'There is nothing at this address.']);
      }
    }
    expect(await open.keys.list(other)).toEqual([]);
    expect((await open.keys.find(key.keyId, owner)).nickname).toBe('bot');
  });
});

describe('a change', () => {
  it('touches what it names and nothing else, and is in the audit log with before and after', async () => {
    const { key } = await create({ allowedIps: ['10.0.0.0/8'], replay: 'strict' });
    const changed = await open.keys.change(key.keyId, { nickname: 'renamed' }, owner);
    expect(changed).toEqual({ ...key, nickname: 'renamed' });
    const [entry] = await open.house.audited();
    expect(entry).toMatchObject({
      action: 'api-key.change',
      actor: `user:${userId}`,
      target: `api-key:${key.keyId}`,
      source: '192.0.2.1',
    });
    expect(JSON.parse(entry?.detail ?? '')).toMatchObject({
      before: { nickname: 'bot' },
      after: { nickname: 'renamed' },
    });
  });

  it('never undoes another that came at the same time', async () => {
    const { key } = await create();
    await Promise.all([
      open.keys.change(key.keyId, { enabled: false }, OPERATOR),
      open.keys.change(key.keyId, { nickname: 'renamed' }, owner),
      open.keys.change(key.keyId, { scopes: ['view', 'trade'] }, owner),
    ]);
    expect(await open.keys.find(key.keyId, owner)).toMatchObject({
      enabled: false,
      nickname: 'renamed',
      scopes: ['view', 'trade'],
    });
  });

  it('is possible on a key that has expired, and may give it more time', async () => {
    const { key } = await create({ expiresAt: now() + HOUR });
    open.house.clock.advance(HOUR);
    expect((await open.keys.change(key.keyId, { nickname: 'old' }, owner)).nickname).toBe('old');
    expect((await refused(() => open.keys.change(key.keyId, { expiresAt: now() }, owner)))[0]).toBe(
      'invalid_request',
    );
    expect((await open.keys.change(key.keyId, { expiresAt: now() + DAY }, owner)).expiresAt).toBe(
      now() + DAY,
    );
  });

  it.each<[string, KeyChange]>([
    ['nothing', {}],
    ['a tier, by its owner', { tier: 'pro' }],
    ['no scopes', { scopes: [] }],
    ['a bad address', { allowedIps: ['::1/129'] }],
  ])('is refused for %s', async (_what, change) => {
    const { key } = await create();
    expect((await refused(() => open.keys.change(key.keyId, change, owner)))[0]).toBe('invalid_request');
  });

  it('comes too late for a key that was deleted', async () => {
    const { key } = await create();
    await open.keys.remove(key.keyId, owner);
    expect((await refused(() => open.keys.change(key.keyId, { enabled: true }, owner)))[0]).toBe('not_found');
    expect((await refused(() => open.keys.remove(key.keyId, owner)))[0]).toBe('not_found');
  });
});

describe('a rotation', () => {
  it('makes a successor with the same rights, and lets the old key work for the overlap', async () => {
    const old = await open.make(userId, { allowedIps: ['192.0.2.0/24'], replay: 'strict', tier: 'pro' });
    const { key, privateKey } = await open.keys.rotate(old.keyId, HOUR, owner);
    const { keyId, name } = key;
    expect(key).toMatchObject({
      scopes: old.key.scopes,
      allowedIps: ['192.0.2.0/24'],
      replay: 'strict',
      tier: 'pro',
      alg: 'ES256',
    });
    expect(await open.keys.find(old.keyId, owner)).toMatchObject({
      enabled: true,
      expiresAt: now() + HOUR,
      replacedBy: name,
    });
    const successor = { key, privateKey, keyId, name, signer: importPrivateKey(privateKey ?? '') };
    const accepted = async (one: typeof old) => {
      try {
        await open.node.authenticator.bearer(token(one, now()), websocket());
        return true;
      } catch {
        return false;
      }
    };
    await open.house.pass(3000);
    expect([await accepted(old), await accepted(successor)]).toEqual([true, true]);
    await open.house.pass(HOUR);
    expect([await accepted(old), await accepted(successor)]).toEqual([false, true]);
  });

  it('without overlap ends the old key at once', async () => {
    const { key } = await create();
    await open.keys.rotate(key.keyId, 0, owner);
    expect((await open.keys.find(key.keyId, owner)).enabled).toBe(false);
  });

  it('never gives the old key more time than it had', async () => {
    const { key } = await create({ expiresAt: now() + HOUR });
    await open.keys.rotate(key.keyId, DAY, owner);
    expect((await open.keys.find(key.keyId, owner)).expiresAt).toBe(now() + HOUR);
  });

  it('takes a public key of the owner, with its proof', async () => {
    const { key } = await create();
    const pair = freshPair();
    const publicKey = pem(pair.publicKey, 'spki');
    expect((await refused(() => open.keys.rotate(key.keyId, 0, owner, { publicKey })))[0]).toBe(
      'invalid_request',
    );
    expect((await open.keys.find(key.keyId, owner)).enabled).toBe(true);
    const made = await open.keys.rotate(key.keyId, 0, owner, { publicKey, proof: prove(pair.privateKey) });
    expect(made.privateKey).toBeNull();
  });

  it('is refused for a key that is disabled, has expired or was replaced, and for an overlap beyond 30 days', async () => {
    const disabled = await create();
    await open.keys.change(disabled.key.keyId, { enabled: false }, OPERATOR);
    const replaced = await create();
    await open.keys.rotate(replaced.key.keyId, DAY, owner);
    const expired = await create({ expiresAt: now() + HOUR });
    open.house.clock.advance(HOUR);
    for (const { key } of [disabled, replaced, expired]) {
      expect((await refused(() => open.keys.rotate(key.keyId, 0, owner)))[0]).toBe('conflict');
    }
    const { key } = await create();
    for (const overlap of [-1, 0.5, 31 * DAY]) {
      expect((await refused(() => open.keys.rotate(key.keyId, overlap, owner)))[0]).toBe('invalid_request');
    }
  });
});
