import { TokenError } from '../errors.ts';
import {
  type ParsedJws,
  type ParsedJwt,
  type ParseOptions,
  parseCompact,
  parseCompactJws,
} from '../jwt/compact.ts';
import { type Alg, type EcPublicJwk, type OkpPublicJwk, type PublicJwk, readJwk } from '../keys/jwk.ts';
import { selectKey, type VerificationKey } from '../keys/key-records.ts';
import { SIGN, verifierFor, type WebKey } from './keys.ts';

/** A key record whose key is a `CryptoKey` (fast) or a JWK. */
export type WebVerificationKey = VerificationKey<WebKey>;
/** One key record, or several told apart by `kid`. */
export type WebVerificationKeys = WebVerificationKey | readonly WebVerificationKey[] | undefined | null;

async function verifyRaw(
  alg: Alg,
  key: WebKey | PublicJwk,
  message: Uint8Array,
  signature: Uint8Array,
): Promise<boolean> {
  const verifier = await verifierFor(alg, key);
  if (signature.length !== 64) return false;
  return crypto.subtle.verify(SIGN[alg], verifier, new Uint8Array(signature), new Uint8Array(message));
}

/** Verifies an ECDSA P-256 SHA-256 signature in its raw form `r‖s` of 64 bytes (RFC 7518 §3.4). */
export function verifyEs256(
  key: WebKey | EcPublicJwk,
  message: Uint8Array,
  signature: Uint8Array,
): Promise<boolean> {
  return verifyRaw('ES256', key, message, signature);
}

/** Verifies an Ed25519 signature (RFC 8032 §5.1.7). */
export function verifyEd25519(
  key: WebKey | OkpPublicJwk,
  message: Uint8Array,
  signature: Uint8Array,
): Promise<boolean> {
  return verifyRaw('EdDSA', key, message, signature);
}

/**
 * Verifies the signature of a parsed token. The algorithm comes from the key record; the header only has to agree.
 *
 * @throws {TokenError} `key`, `algorithm` or `signature`
 */
export async function verifyParsed(parsed: ParsedJws, keys: WebVerificationKeys): Promise<void> {
  const { alg, key } = selectKey(parsed, keys);
  if (!(await verifyRaw(alg, key, parsed.signingInput, parsed.signature))) {
    throw new TokenError('signature', 'The signature does not verify');
  }
}

/**
 * Parses a JWT strictly (see `parseCompact`) and verifies its signature.
 *
 * Does NOT check any claim, not even `exp`: follow it with `checkApiKeyClaims`, or `checkTimes` and your own rules.
 *
 * @throws {TokenError} `malformed`, `json`, `header`, `key`, `algorithm` or `signature`
 */
export async function verifyJws(
  token: string,
  keys: WebVerificationKeys,
  options: ParseOptions = {},
): Promise<ParsedJwt> {
  const parsed = parseCompact(token, options);
  await verifyParsed(parsed, keys);
  return parsed;
}

/**
 * Whether a compact JWS with any payload verifies under a public JWK whose `use`, `key_ops` and `alg` allow it. Never
 * throws for anything a peer can send.
 */
export async function verifyJwsWithJwk(jws: string, jwk: object): Promise<boolean> {
  try {
    const { alg } = readJwk(jwk);
    await verifyParsed(parseCompactJws(jws), { alg, key: jwk as PublicJwk });
    return true;
  } catch (error) {
    if (error instanceof TokenError) return false;
    throw error;
  }
}
