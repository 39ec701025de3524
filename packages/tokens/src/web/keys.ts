import { encodeBase64url } from '../encoding/base64url.ts';
import { equalBytes, utf8 } from '../encoding/bytes.ts';
import { writePkcs8 } from '../keys/der.ts';
import {
  type Alg,
  type KeyMaterial,
  keyError,
  type PrivateJwk,
  type PublicJwk,
  readJwk,
  toPublicJwk,
} from '../keys/jwk.ts';
import { readKey } from '../keys/key-text.ts';

/** The platform's `CryptoKey`, spelled so that the declarations need neither the DOM nor Node types by name. */
export type WebKey = Awaited<ReturnType<typeof globalThis.crypto.subtle.importKey>>;

/** A private key ready to sign with. */
export interface SigningKey {
  readonly alg: Alg;
  readonly key: WebKey;
}

export interface ImportedPrivateKey extends SigningKey {
  /** With the private part. Not enumerable, so that printing the object does not print the secret. */
  readonly jwk: PrivateJwk;
  readonly publicJwk: PublicJwk;
  /** The key's name, when it came from a key file. */
  readonly keyName?: string;
}

export interface ImportedPublicKey {
  readonly alg: Alg;
  readonly key: WebKey;
  readonly jwk: PublicJwk;
}

/** What WebCrypto's types ask of a JWK; ours say the same more narrowly. */
type WebJwk = { kty: string };

const IMPORT = { ES256: { name: 'ECDSA', namedCurve: 'P-256' }, EdDSA: { name: 'Ed25519' } } as const;
/** WebCrypto's ECDSA signatures already are the raw `r‖s` that JWS wants. */
export const SIGN = { ES256: { name: 'ECDSA', hash: 'SHA-256' }, EdDSA: { name: 'Ed25519' } } as const;

/** A `CryptoKey` for a public JWK. */
export function publicCryptoKey(jwk: PublicJwk): Promise<WebKey> {
  const alg = jwk.kty === 'EC' ? 'ES256' : 'EdDSA';
  return crypto.subtle.importKey('jwk', toPublicJwk(readJwk(jwk)) as object as WebJwk, IMPORT[alg], true, [
    'verify',
  ]);
}

/** Refuses a pair whose halves do not belong together: not every platform compares them on import. */
async function provePair(alg: Alg, key: WebKey, jwk: PublicJwk): Promise<void> {
  const probe = new Uint8Array(utf8('key pair check'));
  const signature = await crypto.subtle.sign(SIGN[alg], key, probe);
  if (!(await crypto.subtle.verify(SIGN[alg], await publicCryptoKey(jwk), signature, probe))) {
    throw keyError('a public part that belongs to the private part');
  }
}

/** Firefox cannot derive a P-256 public key, so one in the source is used where there is one. */
async function privateJwkOf(material: KeyMaterial & { d: Uint8Array }): Promise<PrivateJwk> {
  const { alg, d } = material;
  if (alg === 'ES256' && material.x) return { ...toPublicJwk(material), d: encodeBase64url(d) } as PrivateJwk;
  const pkcs8 = new Uint8Array(writePkcs8(alg, d));
  const derived = await crypto.subtle.importKey('pkcs8', pkcs8, IMPORT[alg], true, ['sign']);
  const { kty, crv, x, y } = await crypto.subtle.exportKey('jwk', derived);
  const jwk = { kty, crv, x, ...(alg === 'ES256' ? { y } : {}), d: encodeBase64url(d) } as PrivateJwk;
  const read = readJwk(jwk);
  if (material.x && !equalBytes(material.x, read.x ?? new Uint8Array())) {
    throw keyError('a public part that belongs to the private part');
  }
  return jwk;
}

/**
 * Imports a P-256 or Ed25519 private key from a JWK object or from text in any form people have it: PEM, base64, an
 * API-key file; see `readKeyText` for the list. The `CryptoKey` is not extractable.
 *
 * @throws {TokenError} `key`
 */
export async function importPrivateKey(input: string | object): Promise<ImportedPrivateKey> {
  const material = readKey(input, 'private');
  const { alg, d } = material;
  if (!d) throw keyError('a private key');
  const jwk = await privateJwkOf({ ...material, d });
  const publicPart = toPublicJwk(readJwk(jwk));
  let key: WebKey;
  try {
    key = await crypto.subtle.importKey('jwk', jwk as object as WebJwk, IMPORT[alg], false, ['sign']);
  } catch {
    throw keyError('a key this platform can import');
  }
  await provePair(alg, key, publicPart);
  const imported = {
    alg,
    key,
    publicJwk: publicPart,
    ...(material.keyName === undefined ? {} : { keyName: material.keyName }),
  };
  return Object.defineProperty(imported, 'jwk', { value: jwk }) as ImportedPrivateKey;
}

/**
 * Imports a P-256 or Ed25519 public key from a JWK object or text; a private key is not accepted in its place.
 *
 * @throws {TokenError} `key`
 */
export async function importPublicKey(input: string | object): Promise<ImportedPublicKey> {
  const material = readKey(input, 'public');
  if (material.d) throw keyError('a public key, without its private part', 'd');
  const jwk = toPublicJwk(material);
  return { alg: material.alg, key: await publicCryptoKey(jwk), jwk };
}

const isWebKey = (key: WebKey | PublicJwk): key is WebKey => (key as Partial<WebKey>).algorithm !== undefined;

/** The public key behind `key`, refused unless it is of the type `alg` needs (RFC 8725 §3.1). */
export async function verifierFor(alg: Alg, key: WebKey | PublicJwk): Promise<WebKey> {
  if (!isWebKey(key)) {
    const material = readJwk(key);
    if (material.d || material.alg !== alg) throw keyError(`a public key for ${alg}`);
    return publicCryptoKey(toPublicJwk(material));
  }
  const { name, namedCurve } = key.algorithm as { name: string; namedCurve?: string };
  const fits = alg === 'ES256' ? name === 'ECDSA' && namedCurve === 'P-256' : name === 'Ed25519';
  if (key.type !== 'public' || !fits) throw keyError(`a public key for ${alg}`);
  return key;
}
