import { createPublicKey, generateKeyPairSync, sign, verify } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { calculateJwkThumbprint, type JWK } from 'jose';
import { describe, expect, it } from 'vitest';
import { importRegistrableKey, publicJwk, thumbprint } from '../../src/index.ts';
import { expectRefusal, makeKey } from '../support/raw-token.ts';

const weak: { why: string; hex: string }[] = JSON.parse(
  readFileSync(new URL('../../vectors/ed25519-weak-keys.json', import.meta.url), 'utf8'),
);
const ec = makeKey('ES256');
const ed = makeKey('EdDSA');
const P = 0xffffffff00000001000000000000000000000000ffffffffffffffffffffffffn;
const b64 = (value: bigint): string =>
  Buffer.from(value.toString(16).padStart(64, '0'), 'hex').toString('base64url');

describe('importRegistrableKey', () => {
  it.each([ec, ed])('takes a public key and gives its bare JWK and thumbprint', async (key) => {
    const fromPem = importRegistrableKey(key.publicKey.export({ type: 'spki', format: 'pem' }).toString());
    expect(fromPem).toEqual(importRegistrableKey({ ...key.jwk, kid: 'mine', note: 'x' }));
    expect(fromPem.jwk).toEqual({ ...key.jwk, alg: key.alg, use: 'sig' });
    expect(fromPem.thumbprint).toBe(await calculateJwkThumbprint({ ...key.jwk } as JWK));
  });

  it.each(weak)('refuses the Ed25519 key: $why', async ({ hex }) => {
    const raw = Buffer.from(hex, 'hex');
    const der = Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), raw]);
    const pem = `-----BEGIN PUBLIC KEY-----\n${der.toString('base64')}\n-----END PUBLIC KEY-----`;
    const jwk = { kty: 'OKP', crv: 'Ed25519', x: raw.toString('base64url') };
    for (const input of [hex, raw.toString('base64'), pem, jwk, JSON.stringify(jwk)]) {
      await expectRefusal(() => importRegistrableKey(input), 'key');
    }
  });

  it('has a reason to: OpenSSL accepts signatures nobody made under keys of small order', () => {
    // R = identity, S = 0 satisfies the equation whenever the challenge is a multiple of the key's order.
    const forged = Buffer.concat([Buffer.from(weak[0]!.hex, 'hex'), Buffer.alloc(32)]);
    const key = createPublicKey({
      key: { kty: 'OKP', crv: 'Ed25519', x: Buffer.from(weak[0]!.hex, 'hex').toString('base64url') },
      format: 'jwk',
    });
    expect(verify(null, Buffer.from('any message'), key, forged)).toBe(true);
  });

  it('accepts every Ed25519 key OpenSSL makes', () => {
    for (let i = 0; i < 50; i++) {
      const { publicKey, privateKey } = generateKeyPairSync('ed25519');
      const { jwk } = importRegistrableKey(publicKey.export({ format: 'jwk' }));
      const imported = createPublicKey({ key: jwk as never, format: 'jwk' });
      expect(verify(null, Buffer.from('m'), imported, sign(null, Buffer.from('m'), privateKey))).toBe(true);
    }
  });

  const jwk = ec.jwk as { kty: 'EC'; crv: 'P-256'; x: string; y: string };
  const y = BigInt(`0x${Buffer.from(jwk.y, 'base64url').toString('hex')}`);
  const infinity = Buffer.from('301a301306072a8648ce3d020106082a8648ce3d03010703030000', 'hex');
  infinity[1] = infinity.length - 2;
  const spki = (key: { export: (options: { type: 'spki'; format: 'pem' }) => string | Buffer }): string =>
    key.export({ type: 'spki', format: 'pem' }).toString();

  const refused: [string, string | object][] = [
    ['a private PEM', ec.privateKey.export({ type: 'sec1', format: 'pem' }).toString()],
    ['a private JWK', ec.privateKey.export({ format: 'jwk' })],
    ['a JWK with an empty private part', { ...ec.jwk, d: '' }],
    ['a point off the curve', { ...jwk, y: b64(y ^ 1n) }],
    ['the origin', { ...jwk, x: b64(0n), y: b64(0n) }],
    ['a coordinate that is not reduced', { ...jwk, x: b64(P) }],
    ['the point at infinity', infinity.toString('base64')],
    ['a coordinate without its leading zero', { ...jwk, x: Buffer.alloc(31, 1).toString('base64url') }],
    ['a coordinate that is not canonical base64url', { ...jwk, x: `${jwk.x}=` }],
    ['P-384', spki(generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey)],
    ['secp256k1', spki(generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).publicKey)],
    [
      'secp256k1 as JWK',
      generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).publicKey.export({ format: 'jwk' }),
    ],
    ['RSA', spki(generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey)],
    ['RSA as JWK', generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey.export({ format: 'jwk' })],
    ['Ed448', spki(generateKeyPairSync('ed448').publicKey)],
    ['X25519', spki(generateKeyPairSync('x25519').publicKey)],
    ['X25519 as JWK', generateKeyPairSync('x25519').publicKey.export({ format: 'jwk' })],
    ['a symmetric key', { kty: 'oct', k: 'AAAA' }],
    ['a key for encryption', { ...ec.jwk, use: 'enc' }],
    ['a key that may not verify', { ...ec.jwk, key_ops: ['deriveKey'] }],
    ['a key of another algorithm', { ...ec.jwk, alg: 'HS256' }],
    [
      'explicit curve parameters',
      `-----BEGIN PUBLIC KEY-----\n${Buffer.from('300f300b06072a8648ce3d02013000030100', 'hex').toString('base64')}\n-----END PUBLIC KEY-----`,
    ],
    [
      'bytes after the key',
      Buffer.concat([ec.publicKey.export({ type: 'spki', format: 'der' }), Buffer.of(0)]).toString('base64'),
    ],
    ['nothing', ''],
  ];
  it.each(refused)('refuses %s', async (_, input) => {
    await expectRefusal(() => importRegistrableKey(input), 'key');
  });
});

describe('publicJwk', () => {
  it('shows the public members and its labels only, whatever it is given', () => {
    const full = { ...ec.privateKey.export({ format: 'jwk' }), kid: 'old', ext: true, note: 'secret' };
    expect(publicJwk(full, { kid: 'new' })).toEqual({ ...ec.jwk, kid: 'new', alg: 'ES256', use: 'sig' });
    expect(publicJwk(ed.jwk)).toEqual({ ...ed.jwk, alg: 'EdDSA', use: 'sig' });
  });
});

describe('thumbprint', () => {
  it('gives the value of RFC 8037 appendix A.3', () => {
    const jwk = { kty: 'OKP', crv: 'Ed25519', x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo' };
    expect(thumbprint(jwk)).toBe('kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k');
  });
});
