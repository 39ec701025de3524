import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { expect } from 'vitest';
import type { Alg, PublicJwk } from '../../src/index.ts';
import { TokenError, type TokenErrorCode } from '../../src/index.ts';

export interface TestKey {
  readonly alg: Alg;
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
  readonly jwk: PublicJwk;
}

export function makeKey(alg: Alg): TestKey {
  const pair =
    alg === 'ES256' ? generateKeyPairSync('ec', { namedCurve: 'P-256' }) : generateKeyPairSync('ed25519');
  return { alg, ...pair, jwk: pair.publicKey.export({ format: 'jwk' }) as unknown as PublicJwk };
}

export const base64url = (data: string | Uint8Array): string => Buffer.from(data).toString('base64url');

/** Signs exactly these characters, canonical or not, with OpenSSL directly: nothing of ours is in the way. */
export function signText(signingInput: string, key: TestKey): string {
  const data = Buffer.from(signingInput, 'latin1');
  const signature =
    key.alg === 'ES256'
      ? sign('sha256', data, { key: key.privateKey, dsaEncoding: 'ieee-p1363' })
      : sign(null, data, key.privateKey);
  return `${signingInput}.${signature.toString('base64url')}`;
}

/** A token with a genuine signature over arbitrary header and payload bytes. */
export function rawToken(header: string | Uint8Array, payload: string | Uint8Array, key: TestKey): string {
  return signText(`${base64url(header)}.${base64url(payload)}`, key);
}

export async function expectRefusal(
  action: () => unknown,
  code?: TokenErrorCode | readonly TokenErrorCode[],
): Promise<TokenError> {
  let caught: unknown;
  try {
    await action();
  } catch (error) {
    caught = error;
  }
  expect(caught).toBeInstanceOf(TokenError);
  const refusal = caught as TokenError;
  if (code !== undefined) expect([code].flat()).toContain(refusal.code);
  return refusal;
}
