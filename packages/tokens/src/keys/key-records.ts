import type { JsonObject } from '../encoding/strict-json.ts';
import { TokenError } from '../errors.ts';
import type { ParsedJws } from '../jwt/compact.ts';
import type { Alg, PublicJwk } from './jwk.ts';

/**
 * A key as the verifier knows it. The algorithm is a property of this record and never of a token (RFC 8725 §3.1).
 * `K` is the platform's key object; a JWK works too but is converted anew at every call.
 */
export interface VerificationKey<K> {
  readonly alg: Alg;
  readonly key: K | PublicJwk;
  /** Must equal the token's `kid` when both are there. Required when keys come as a list. */
  readonly kid?: string;
}

/** Throws unless the header names the algorithm of the key. Case-sensitive (RFC 7515 §4.1.1). */
export function checkAlgorithm(header: JsonObject, alg: Alg): void {
  if (header.alg === alg) return;
  if (alg === 'EdDSA' && header.alg === 'Ed25519') return;
  throw new TokenError('algorithm', 'The header names another algorithm than the key', {
    name: 'alg',
    expected: alg,
  });
}

/** Finds the one key a token may be verified with. A missing or doubtful key always refuses. */
export function selectKey<K>(
  parsed: ParsedJws,
  keys: VerificationKey<K> | readonly VerificationKey<K>[] | undefined | null,
): VerificationKey<K> {
  const kid = parsed.header.kid;
  let found: VerificationKey<K> | undefined;
  if (isList(keys)) {
    const matches = kid === undefined ? [] : keys.filter((key) => key?.kid === kid);
    found = matches.length === 1 ? matches[0] : undefined;
  } else {
    found = keys ?? undefined;
    if (found?.kid !== undefined && kid !== undefined && found.kid !== kid) found = undefined;
  }
  if (!found?.key || (found.alg !== 'ES256' && found.alg !== 'EdDSA')) {
    throw new TokenError('key', 'There is no key for this token', {
      name: 'kid',
      expected: 'a known key id',
    });
  }
  checkAlgorithm(parsed.header, found.alg);
  return found;
}

function isList<T>(value: T | readonly T[] | undefined | null): value is readonly T[] {
  return Array.isArray(value);
}
