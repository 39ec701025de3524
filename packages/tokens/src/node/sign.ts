import { sign as cryptoSign, KeyObject } from 'node:crypto';
import type { JsonObject } from '../encoding/strict-json.ts';
import { type ApiKeyTokenOptions, apiKeyTokenParts } from '../jwt/api-key-token.ts';
import { keyError } from '../keys/jwk.ts';
import type { SigningKey } from './keys.ts';

const encodePart = (part: object): string => Buffer.from(JSON.stringify(part)).toString('base64url');

/**
 * Signs claims as a compact JWT with the algorithm of the key. `alg` is added to the header.
 *
 * @throws {TokenError} `key` when the key cannot sign with its `alg`
 */
export function signJws(claims: JsonObject, header: JsonObject, signingKey: SigningKey): string {
  const { alg, key } = signingKey;
  if (key.type !== 'private') throw keyError('a private key');
  const input = `${encodePart({ ...header, alg })}.${encodePart(claims)}`;
  let signature: Buffer;
  if (alg === 'ES256') {
    if (key.asymmetricKeyDetails?.namedCurve !== 'prime256v1') throw keyError('a P-256 private key');
    signature = cryptoSign('sha256', Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' });
  } else {
    if (key.asymmetricKeyType !== 'ed25519') throw keyError('an Ed25519 private key');
    signature = cryptoSign(null, Buffer.from(input), key);
  }
  return `${input}.${signature.toString('base64url')}`;
}

/** Signs with ES256. Takes a P-256 private `KeyObject` or imported key. See {@link signJws}. */
export function signEs256(
  claims: JsonObject,
  header: JsonObject,
  privateKey: KeyObject | SigningKey,
): string {
  const key = privateKey instanceof KeyObject ? privateKey : privateKey.key;
  return signJws(claims, header, { alg: 'ES256', key });
}

export interface BuildApiKeyJwtOptions extends ApiKeyTokenOptions {
  /** From `importPrivateKey`. P-256 signs ES256, Ed25519 signs EdDSA. */
  readonly key: SigningKey;
}

/**
 * Builds an API-key JWT: `sub` = `kid` = the key's name, `iss` `cdp`, `nbf` now, `exp` 120 s later, a fresh `nonce`.
 * Make a new one for every message and request.
 *
 * @example
 * const key = importPrivateKey(await readFile('cdp_api_key.json', 'utf8'));
 * const jwt = buildApiKeyJwt({ keyName: key.keyName, key, uri: 'GET api.example.com/api/v3/brokerage/accounts' });
 */
export function buildApiKeyJwt(options: BuildApiKeyJwtOptions): string {
  const { header, claims } = apiKeyTokenParts(options);
  return signJws(claims, header, options.key);
}
