import { type Alg, keyError, type PublicJwk, publicJwk, thumbprint, toPublicJwk } from './jwk.ts';
import { readKey } from './key-text.ts';

/** A public key fit to be stored as somebody's credential. */
export interface RegistrableKey {
  readonly alg: Alg;
  readonly jwk: PublicJwk;
  /** RFC 7638, for refusing the same key twice. */
  readonly thumbprint: string;
}

/**
 * Imports a public key for registration. Takes a P-256 or Ed25519 public key in any form {@link readKey} knows and
 * refuses everything else: a private key in whatever form, a point off the curve or at infinity, Ed25519 keys of
 * small order or non-canonical encoding, RSA, symmetric keys and other curves (RFC 8725 §3.4, RFC 8037).
 *
 * Does NOT prove that the sender holds the private key, or that the key is new: the caller does both.
 *
 * @throws {TokenError} `key`
 */
export function importRegistrableKey(input: string | object): RegistrableKey {
  const material = readKey(input, 'public');
  if (material.d) throw keyError('a public key, without its private part', 'd');
  const jwk = publicJwk(toPublicJwk(material));
  return { alg: material.alg, jwk, thumbprint: thumbprint(jwk) };
}
