import { encodeBase64url } from '../encoding/base64url.ts';
import { utf8 } from '../encoding/bytes.ts';
import type { JsonObject } from '../encoding/strict-json.ts';
import { type ApiKeyTokenOptions, apiKeyTokenParts } from '../jwt/api-key-token.ts';
import { keyError } from '../keys/jwk.ts';
import { SIGN, type SigningKey, type WebKey } from './keys.ts';

const encodePart = (part: object): string => encodeBase64url(utf8(JSON.stringify(part)));

/**
 * Signs claims as a compact JWT with the algorithm of the key. `alg` is added to the header.
 *
 * @throws {TokenError} `key` when the key cannot sign with its `alg`
 */
export async function signJws(
  claims: JsonObject,
  header: JsonObject,
  signingKey: SigningKey,
): Promise<string> {
  const { alg, key } = signingKey;
  const { name, namedCurve } = key.algorithm as { name: string; namedCurve?: string };
  const fits = alg === 'ES256' ? name === 'ECDSA' && namedCurve === 'P-256' : name === 'Ed25519';
  if (key.type !== 'private' || !fits) throw keyError(`a private key for ${alg}`);
  const input = `${encodePart({ ...header, alg })}.${encodePart(claims)}`;
  const signature = await crypto.subtle.sign(SIGN[alg], key, new Uint8Array(utf8(input)));
  return `${input}.${encodeBase64url(new Uint8Array(signature))}`;
}

/** Signs with ES256. Takes a P-256 private `CryptoKey` or imported key. See {@link signJws}. */
export function signEs256(
  claims: JsonObject,
  header: JsonObject,
  privateKey: WebKey | SigningKey,
): Promise<string> {
  const key = 'key' in privateKey ? privateKey.key : privateKey;
  return signJws(claims, header, { alg: 'ES256', key });
}

export interface BuildApiKeyJwtOptions extends ApiKeyTokenOptions {
  /** From `importPrivateKey`. P-256 signs ES256, Ed25519 signs EdDSA. */
  readonly key: SigningKey;
}

/**
 * Builds an API-key JWT: `sub` = `kid` = the key's name, `iss` `cdp`, `nbf` now, `exp` 120 s later, a fresh `nonce`.
 * Make a new one for every message and request.
 */
export function buildApiKeyJwt(options: BuildApiKeyJwtOptions): Promise<string> {
  const { header, claims } = apiKeyTokenParts(options);
  return signJws(claims, header, options.key);
}
