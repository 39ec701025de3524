import { generateKeyPairSync } from 'node:crypto';
import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { implementations } from '../support/implementations.ts';
import { expectRefusal, makeKey } from '../support/raw-token.ts';

const ec = makeKey('ES256');
const ed = makeKey('EdDSA');
const sec1 = ec.privateKey.export({ type: 'sec1', format: 'pem' }).toString();
const ecPkcs8 = ec.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
const edPkcs8 = ed.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
const ecJwk = ec.privateKey.export({ format: 'jwk' });
const edJwk = ed.privateKey.export({ format: 'jwk' });
const seed = Buffer.from(edJwk.d!, 'base64url');
const seedAndPublic = Buffer.concat([seed, Buffer.from(edJwk.x!, 'base64url')]);
const ecSpki = ec.publicKey.export({ type: 'spki', format: 'pem' }).toString();
const edSpki = ed.publicKey.export({ type: 'spki', format: 'pem' }).toString();
const ecPoint = Buffer.concat([
  Buffer.of(4),
  Buffer.from(ecJwk.x!, 'base64url'),
  Buffer.from(ecJwk.y!, 'base64url'),
]);

/** What happens to a PEM on its way through shells, editors, `.env` files and JSON. */
const wear: Record<string, (pem: string) => string> = {
  'as it is': (pem) => pem,
  'without its last newline': (pem) => pem.trim(),
  'with \\n written out': (pem) => pem.replaceAll('\n', '\\n'),
  'with \\r\\n written out': (pem) => pem.replaceAll('\n', '\\r\\n'),
  'with CRLF': (pem) => pem.replaceAll('\n', '\r\n'),
  'with a byte order mark': (pem) => `\ufeff${pem}`,
  'in double quotes': (pem) => `"${pem.replaceAll('\n', '\\n')}"`,
  'in single quotes': (pem) => `'${pem}'`,
  'with spaces for newlines': (pem) => pem.replaceAll('\n', ' '),
  indented: (pem) => pem.replaceAll('\n', '\n    '),
  'with text around it': (pem) => `Bag Attributes\n${pem}\nend`,
};

const privateForms: [string, string | object, 'ES256' | 'EdDSA'][] = [
  ...Object.entries(wear).flatMap(([name, apply]): [string, string, 'ES256' | 'EdDSA'][] => [
    [`SEC1 PEM ${name}`, apply(sec1), 'ES256'],
    [`PKCS#8 EC PEM ${name}`, apply(ecPkcs8), 'ES256'],
    [`PKCS#8 Ed25519 PEM ${name}`, apply(edPkcs8), 'EdDSA'],
  ]),
  [
    'SEC1 after its EC PARAMETERS',
    `-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n${sec1}`,
    'ES256',
  ],
  ['SEC1 as bare base64', sec1.replace(/-----[^-]+-----|\n/g, ''), 'ES256'],
  ['PKCS#8 under the wrong label', ecPkcs8.replaceAll('PRIVATE KEY', 'EC PRIVATE KEY'), 'ES256'],
  ['base64 of seed and public key', seedAndPublic.toString('base64'), 'EdDSA'],
  ['base64url of seed and public key', seedAndPublic.toString('base64url'), 'EdDSA'],
  ['base64 of the seed', seed.toString('base64'), 'EdDSA'],
  ['hex of the seed', seed.toString('hex'), 'EdDSA'],
  ['an EC JWK', ecJwk, 'ES256'],
  ['an EC JWK as text', JSON.stringify(ecJwk), 'ES256'],
  ['an Ed25519 JWK', { ...edJwk, alg: 'EdDSA', use: 'sig', key_ops: ['sign'] }, 'EdDSA'],
  [
    'a key file',
    JSON.stringify(
      { name: 'organizations/o/apiKeys/k', principal: 'p', publicKey: ecSpki, privateKey: sec1 },
      null,
      2,
    ),
    'ES256',
  ],
  [
    'a key file with id',
    JSON.stringify({ id: 'uuid', privateKey: seedAndPublic.toString('base64') }),
    'EdDSA',
  ],
  [
    'a key file with a byte order mark',
    `\ufeff${JSON.stringify({ name: 'n', privateKey: edPkcs8 })}`,
    'EdDSA',
  ],
];

const publicForms: [string, string | object, 'ES256' | 'EdDSA'][] = [
  ...Object.entries(wear).flatMap(([name, apply]): [string, string, 'ES256' | 'EdDSA'][] => [
    [`EC SPKI ${name}`, apply(ecSpki), 'ES256'],
    [`Ed25519 SPKI ${name}`, apply(edSpki), 'EdDSA'],
  ]),
  ['SPKI labelled EC PUBLIC KEY', ecSpki.replaceAll('PUBLIC KEY', 'EC PUBLIC KEY'), 'ES256'],
  ['SPKI as bare base64', ecSpki.replace(/-----[^-]+-----|\n/g, ''), 'ES256'],
  ['raw Ed25519 in hex', Buffer.from(edJwk.x!, 'base64url').toString('hex'), 'EdDSA'],
  ['raw Ed25519 in 0x hex', `0x${Buffer.from(edJwk.x!, 'base64url').toString('hex').toUpperCase()}`, 'EdDSA'],
  ['raw Ed25519 in base64', Buffer.from(edJwk.x!, 'base64url').toString('base64'), 'EdDSA'],
  ['raw Ed25519 in base64url', edJwk.x!, 'EdDSA'],
  ['a raw EC point in hex', ecPoint.toString('hex'), 'ES256'],
  ['a raw EC point in base64', ecPoint.toString('base64'), 'ES256'],
  ['an EC JWK', { ...ec.jwk, use: 'sig', alg: 'ES256' }, 'ES256'],
  ['an Ed25519 JWK as text', JSON.stringify(ed.jwk), 'EdDSA'],
];

const encrypted = ec.privateKey
  .export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' })
  .toString();
const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey;
const rsa = generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey;
const k256 = generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).privateKey;
const other = makeKey('ES256').jwk as { x: string; y: string };

const refusedPrivate: [string, string | object][] = [
  ['an encrypted key', encrypted],
  ['P-384', p384.export({ type: 'pkcs8', format: 'pem' }).toString()],
  ['P-384 in SEC1', p384.export({ type: 'sec1', format: 'pem' }).toString()],
  ['secp256k1', k256.export({ type: 'sec1', format: 'pem' }).toString()],
  ['RSA', rsa.export({ type: 'pkcs8', format: 'pem' }).toString()],
  ['RSA in PKCS#1', rsa.export({ type: 'pkcs1', format: 'pem' }).toString()],
  ['a public key', ecSpki],
  ['a public JWK', ec.jwk],
  ['a symmetric JWK', { kty: 'oct', k: 'AAAA' }],
  ['half a PEM', sec1.slice(0, 120)],
  ['a PEM cut in its middle', sec1.replace(/\n.{20}/, '\n')],
  ['a JWK whose halves do not match', { ...ecJwk, x: other.x, y: other.y }],
  ['an Ed25519 JWK whose halves do not match', { ...edJwk, x: makeKey('EdDSA').jwk.x }],
  [
    'seed and public key that do not match',
    Buffer.concat([seed, Buffer.from(makeKey('EdDSA').jwk.x, 'base64url')]).toString('base64'),
  ],
  ['a scalar of zero', { ...ecJwk, d: Buffer.alloc(32).toString('base64url') }],
  [
    'a scalar of n',
    {
      ...ecJwk,
      d: Buffer.from('ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551', 'hex').toString(
        'base64url',
      ),
    },
  ],
  ['a JWK for encryption', { ...ecJwk, use: 'enc' }],
  ['a JWK that may not sign', { ...ecJwk, key_ops: ['verify'] }],
  ['a JWK for another algorithm', { ...ecJwk, alg: 'ES384' }],
  ['a key file without a key', JSON.stringify({ name: 'n' })],
  ['broken JSON', '{"privateKey":'],
  ['random text', 'hunter2'],
  ['nothing', ''],
  ['31 bytes', Buffer.alloc(31, 1).toString('base64')],
  ['100 kB', 'A'.repeat(100_000)],
];

describe.each(implementations)('key import with $name', (impl) => {
  it.each(privateForms)('reads a private key as %s', async (_, input, alg) => {
    const key = await impl.importPrivateKey(input);
    const expected = alg === 'ES256' ? ec.jwk : ed.jwk;
    expect(key.alg).toBe(alg);
    expect(key.publicJwk).toEqual(expected);
    expect(key.jwk).toMatchObject({ d: alg === 'ES256' ? ecJwk.d : edJwk.d });
    await expect(
      impl.verifyJws(await key.sign({ exp: 1 }, {}), { alg, key: expected }),
    ).resolves.toBeDefined();
  });

  it.each(publicForms)('reads a public key as %s', async (_, input, alg) => {
    const key = await impl.importPublicKey(input);
    expect(key.alg).toBe(alg);
    expect(key.jwk).toEqual(alg === 'ES256' ? ec.jwk : ed.jwk);
  });

  it('returns the name from a key file', async () => {
    expect((await impl.importPrivateKey(JSON.stringify({ name: 'n', privateKey: sec1 }))).keyName).toBe('n');
    expect((await impl.importPrivateKey(JSON.stringify({ id: 'i', privateKey: sec1 }))).keyName).toBe('i');
  });

  it.each(refusedPrivate)('refuses %s as a private key, quoting none of it', async (_, input) => {
    const refusal = await expectRefusal(() => impl.importPrivateKey(input), 'key');
    const text = typeof input === 'string' ? input : JSON.stringify(input);
    const shown = `${refusal.message} ${JSON.stringify(refusal.cause)}`;
    for (const piece of text.match(/[A-Za-z0-9+/_-]{12,}/g) ?? []) expect(shown).not.toContain(piece);
  });

  it.each([
    ['SEC1', sec1],
    ['PKCS#8', edPkcs8],
    ['a private JWK', ecJwk],
    ['a key file', JSON.stringify({ privateKey: sec1 })],
  ])('refuses a private key in the place of a public one: %s', async (_, input) => {
    await expectRefusal(() => impl.importPublicKey(input as string | object), 'key');
  });

  it('does not show the private part when the key is printed', async () => {
    for (const input of [sec1, edPkcs8]) {
      const key = await impl.importPrivateKey(input);
      const secret = (key.jwk as { d: string }).d;
      expect(JSON.stringify(key.imported)).not.toContain(secret);
      expect(inspect(key.imported, { depth: 9 })).not.toContain(secret);
    }
  });
});
