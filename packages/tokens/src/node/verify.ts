import { verify as cryptoVerify, type KeyObject } from 'node:crypto';
import { TokenError } from '../errors.ts';
import {
  type ParsedJws,
  type ParsedJwt,
  type ParseOptions,
  parseCompact,
  parseCompactJws,
} from '../jwt/compact.ts';
import type { EcPublicJwk, OkpPublicJwk, PublicJwk } from '../keys/jwk.ts';
import { readJwk } from '../keys/jwk.ts';
import { selectKey, type VerificationKey } from '../keys/key-records.ts';
import { verifierFor } from './keys.ts';

/** A key record whose key is a `KeyObject` (fast) or a JWK. */
export type NodeVerificationKey = VerificationKey<KeyObject>;
/** One key record, or several told apart by `kid`. */
export type NodeVerificationKeys = NodeVerificationKey | readonly NodeVerificationKey[] | undefined | null;

/**
 * Verifies an ECDSA P-256 SHA-256 signature in its raw form `r‖s` of 64 bytes (RFC 7518 §3.4). Test seam for
 * `ecdsa_secp256r1_sha256_p1363`.
 *
 * @throws {TokenError} `key` when the key is not a P-256 public key
 */
export function verifyEs256(
  key: KeyObject | EcPublicJwk,
  message: Uint8Array,
  signature: Uint8Array,
): boolean {
  const verifier = verifierFor('ES256', key);
  if (signature.length !== 64) return false;
  return cryptoVerify('sha256', message, { key: verifier, dsaEncoding: 'ieee-p1363' }, signature);
}

/**
 * Verifies an Ed25519 signature (RFC 8032 §5.1.7). Test seam for `ed25519`.
 *
 * @throws {TokenError} `key` when the key is not an Ed25519 public key, or (given as JWK) of small order
 */
export function verifyEd25519(
  key: KeyObject | OkpPublicJwk,
  message: Uint8Array,
  signature: Uint8Array,
): boolean {
  const verifier = verifierFor('EdDSA', key);
  if (signature.length !== 64) return false;
  return cryptoVerify(null, message, verifier, signature);
}

/**
 * Verifies the signature of a parsed token. The algorithm comes from the key record; the header only has to agree.
 *
 * @throws {TokenError} `key`, `algorithm` or `signature`
 */
export function verifyParsed(parsed: ParsedJws, keys: NodeVerificationKeys): void {
  const { alg, key } = selectKey(parsed, keys);
  const genuine =
    alg === 'ES256'
      ? verifyEs256(key as KeyObject | EcPublicJwk, parsed.signingInput, parsed.signature)
      : verifyEd25519(key as KeyObject | OkpPublicJwk, parsed.signingInput, parsed.signature);
  if (!genuine) throw new TokenError('signature', 'The signature does not verify');
}

/**
 * Parses a JWT strictly (see `parseCompact`) and verifies its signature.
 *
 * Does NOT check any claim, not even `exp`: follow it with `checkApiKeyClaims`, or `checkTimes` and your own rules.
 *
 * @throws {TokenError} `malformed`, `json`, `header`, `key`, `algorithm` or `signature`
 */
export function verifyJws(token: string, keys: NodeVerificationKeys, options: ParseOptions = {}): ParsedJwt {
  const parsed = parseCompact(token, options);
  verifyParsed(parsed, keys);
  return parsed;
}

/**
 * Whether a compact JWS with any payload verifies under a public JWK whose `use`, `key_ops` and `alg` allow it. Never
 * throws for anything a peer can send. Test seam for `json_web_signature` and for other languages' tokens.
 */
export function verifyJwsWithJwk(jws: string, jwk: object): boolean {
  try {
    const { alg } = readJwk(jwk);
    verifyParsed(parseCompactJws(jws), { alg, key: jwk as PublicJwk });
    return true;
  } catch (error) {
    if (error instanceof TokenError) return false;
    throw error;
  }
}
