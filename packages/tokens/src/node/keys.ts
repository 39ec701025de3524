import { createPrivateKey, createPublicKey, type JsonWebKey, KeyObject } from 'node:crypto';
import { equalBytes } from '../encoding/bytes.ts';
import { writePkcs8 } from '../keys/der.ts';
import { type Alg, keyError, type PrivateJwk, type PublicJwk, readJwk, toPublicJwk } from '../keys/jwk.ts';
import { readKey } from '../keys/key-text.ts';

/** A private key ready to sign with. */
export interface SigningKey {
  readonly alg: Alg;
  readonly key: KeyObject;
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
  readonly key: KeyObject;
  readonly jwk: PublicJwk;
}

/** A `KeyObject` for a public JWK. @throws {TokenError} `key` */
export function publicKeyObject(jwk: PublicJwk): KeyObject {
  return createPublicKey({ key: jwk as JsonWebKey, format: 'jwk' });
}

/**
 * Imports a P-256 or Ed25519 private key from a JWK object or from text in any form people have it: PEM, base64, an
 * API-key file; see `readKeyText` for the list. The public part is derived and, if the source has one, compared.
 *
 * @throws {TokenError} `key`
 */
export function importPrivateKey(input: string | object): ImportedPrivateKey {
  const material = readKey(input, 'private');
  if (!material.d) throw keyError('a private key');
  const key = createPrivateKey({
    key: Buffer.from(writePkcs8(material.alg, material.d)),
    format: 'der',
    type: 'pkcs8',
  });
  const jwk = key.export({ format: 'jwk' }) as PrivateJwk;
  const derived = readJwk(jwk);
  const matches = (a: Uint8Array | undefined, b: Uint8Array | undefined): boolean =>
    !a || (!!b && equalBytes(a, b));
  if (!matches(material.x, derived.x) || !matches(material.y, derived.y)) {
    throw keyError('a public part that belongs to the private part');
  }
  const imported = {
    alg: material.alg,
    key,
    publicJwk: toPublicJwk(derived),
    ...(material.keyName === undefined ? {} : { keyName: material.keyName }),
  };
  return Object.defineProperty(imported, 'jwk', { value: jwk }) as ImportedPrivateKey;
}

/**
 * Imports a P-256 or Ed25519 public key from a JWK object or text; a private key is not accepted in its place.
 *
 * @throws {TokenError} `key`
 */
export function importPublicKey(input: string | object): ImportedPublicKey {
  const material = readKey(input, 'public');
  if (material.d) throw keyError('a public key, without its private part', 'd');
  const jwk = toPublicJwk(material);
  return { alg: material.alg, key: publicKeyObject(jwk), jwk };
}

/** The public key object behind `key`, refused unless it is of the type `alg` needs (RFC 8725 §3.1). */
export function verifierFor(alg: Alg, key: KeyObject | PublicJwk): KeyObject {
  if (!(key instanceof KeyObject)) {
    const material = readJwk(key);
    if (material.d || material.alg !== alg) throw keyError(`a public key for ${alg}`);
    return publicKeyObject(toPublicJwk(material));
  }
  const fits =
    key.type === 'public' &&
    (alg === 'ES256'
      ? key.asymmetricKeyType === 'ec' && key.asymmetricKeyDetails?.namedCurve === 'prime256v1'
      : key.asymmetricKeyType === 'ed25519');
  if (!fits) throw keyError(`a public key for ${alg}`);
  return key;
}
