import { sha256 } from '@noble/hashes/sha2.js';
import { decodeBase64url, encodeBase64url } from '../encoding/base64url.ts';
import { utf8 } from '../encoding/bytes.ts';
import { TokenError } from '../errors.ts';
import { ed25519PointFault, isP256Point, isP256Scalar } from './curves.ts';

/** The two signature algorithms this package knows: RFC 7518 §3.4 and RFC 8037 §3.1. */
export type Alg = 'ES256' | 'EdDSA';

interface JwkLabels {
  readonly kid?: string;
  readonly alg?: string;
  readonly use?: string;
  readonly key_ops?: readonly string[];
}
export interface EcPublicJwk extends JwkLabels {
  readonly kty: 'EC';
  readonly crv: 'P-256';
  readonly x: string;
  readonly y: string;
}
export interface OkpPublicJwk extends JwkLabels {
  readonly kty: 'OKP';
  readonly crv: 'Ed25519';
  readonly x: string;
}
export type PublicJwk = EcPublicJwk | OkpPublicJwk;
export type PrivateJwk = (EcPublicJwk & { readonly d: string }) | (OkpPublicJwk & { readonly d: string });

/** The bytes of a key, whatever it was written as. Private parts are in `d`. */
export interface KeyMaterial {
  readonly alg: Alg;
  /** P-256: the x coordinate. Ed25519: the public key. Absent when the source holds a private part only. */
  readonly x?: Uint8Array;
  /** P-256 only. */
  readonly y?: Uint8Array;
  /** P-256: the scalar. Ed25519: the seed. */
  readonly d?: Uint8Array;
  /** The name a key file gives its key. */
  readonly keyName?: string;
}

/** A refusal of a key: names the rule, never any part of the key. */
export function keyError(expected: string, name?: string): TokenError {
  return new TokenError('key', `Not an acceptable key: ${expected} expected`, {
    expected,
    ...(name === undefined ? {} : { name }),
  });
}

/** Refuses key material off its curve, of small order, or with a scalar out of range. */
export function checkMaterial(material: KeyMaterial): void {
  const { alg, x, y, d } = material;
  if (alg === 'ES256') {
    if (d && !isP256Scalar(d)) throw keyError('a scalar in [1, n)', 'd');
    if (x && !isP256Point(x, y ?? new Uint8Array())) throw keyError('a point on P-256');
    return;
  }
  if (d && d.length !== 32) throw keyError('a seed of 32 bytes', 'd');
  const fault = x && ed25519PointFault(x);
  if (fault) throw keyError(fault, 'x');
}

function member(jwk: Readonly<Record<string, unknown>>, name: string): Uint8Array {
  const text = jwk[name];
  const bytes = typeof text === 'string' ? decodeBase64url(text) : undefined;
  // RFC 7518 §6.2.1.2: coordinates keep their leading zeros.
  if (bytes?.length !== 32) throw keyError('32 bytes in base64url', name);
  return bytes;
}

/**
 * Reads a JWK (RFC 7517, RFC 8037) as key material for signatures. `use`, `key_ops` and `alg`, where present, must
 * allow exactly that.
 *
 * @throws {TokenError} `key`
 */
export function readJwk(input: object): KeyMaterial {
  const jwk = input as Readonly<Record<string, unknown>>;
  const isEc = jwk.kty === 'EC' && jwk.crv === 'P-256';
  if (!isEc && !(jwk.kty === 'OKP' && jwk.crv === 'Ed25519')) throw keyError('P-256 or Ed25519', 'crv');
  const alg: Alg = isEc ? 'ES256' : 'EdDSA';
  const isPrivate = Object.hasOwn(jwk, 'd');
  if (jwk.use !== undefined && jwk.use !== 'sig') throw keyError('use "sig"', 'use');
  if (jwk.key_ops !== undefined) {
    const needed = isPrivate ? 'sign' : 'verify';
    if (!Array.isArray(jwk.key_ops) || !jwk.key_ops.includes(needed)) throw keyError(needed, 'key_ops');
  }
  // RFC 9864 names the Ed25519 instance of EdDSA `Ed25519`.
  if (jwk.alg !== undefined && jwk.alg !== alg && !(alg === 'EdDSA' && jwk.alg === 'Ed25519')) {
    throw keyError(alg, 'alg');
  }
  const material: KeyMaterial = {
    alg,
    x: member(jwk, 'x'),
    ...(isEc ? { y: member(jwk, 'y') } : {}),
    ...(isPrivate ? { d: member(jwk, 'd') } : {}),
  };
  checkMaterial(material);
  return material;
}

/** What a JWKS entry says besides the key itself. */
export interface PublicJwkLabels {
  readonly kid?: string;
}

/** The bare public JWK of key material. The material must hold its public part. */
export function toPublicJwk(material: KeyMaterial): PublicJwk {
  const { alg, x, y } = material;
  if (!x || (alg === 'ES256' && !y)) throw keyError('a public key');
  if (alg === 'ES256') {
    return { kty: 'EC', crv: 'P-256', x: encodeBase64url(x), y: encodeBase64url(y!) };
  }
  return { kty: 'OKP', crv: 'Ed25519', x: encodeBase64url(x) };
}

/**
 * Shapes a key for publication in a JWKS (RFC 7517 §5): `kty, crv, x, y, kid, alg, use` and nothing else, whatever
 * the input carries. A private part in the input is dropped, so the result can always be published.
 *
 * @throws {TokenError} `key` when the input is not a P-256 or Ed25519 signature key
 */
export function publicJwk(jwk: object, labels: PublicJwkLabels = {}): PublicJwk {
  const material = readJwk(jwk);
  return {
    ...toPublicJwk(material),
    ...(labels.kid === undefined ? {} : { kid: labels.kid }),
    alg: material.alg,
    use: 'sig',
  };
}

/** The SHA-256 thumbprint of a key (RFC 7638, RFC 8037 §2) in base64url. Equal for every spelling of one key. */
export function thumbprint(jwk: object): string {
  const key = toPublicJwk(readJwk(jwk));
  // RFC 7638 §3: required members only, in lexicographic order, no white space.
  const canonical =
    key.kty === 'EC'
      ? { crv: key.crv, kty: key.kty, x: key.x, y: key.y }
      : { crv: key.crv, kty: key.kty, x: key.x };
  return encodeBase64url(sha256(utf8(JSON.stringify(canonical))));
}
