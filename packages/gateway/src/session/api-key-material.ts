/** Where the public half of an API key comes from: a pair that is made here, or one that its owner brings and proves. */
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { Refusal } from '@countersign/protocol';
import {
  importRegistrableKey,
  type PublicJwk,
  parseCompact,
  publicJwk,
  TokenError,
  thumbprint,
} from '@countersign/tokens';
import { publicKeyObject, verifyParsed } from '@countersign/tokens/node';
import type { ApiKey } from '../store/api-keys.ts';

const PROOF_PURPOSE = 'countersign api key';
/** Seconds for which a proof is good, and which the clock of whoever signs it may be off. */
const PROOF_LIFE = 300;

const invalid = (message: string): Refusal => new Refusal('invalid_request', message, { message });

export interface KeyOrigin {
  /** Algorithm of a key that is made here. Default `ES256`. */
  alg?: ApiKey['alg'];
  /** Bring your own: PEM, JWK (object or text), raw Ed25519 (hex or base64). Absent: a pair is made here. */
  publicKey?: string | object;
  /**
   * Proof that whoever registers `publicKey` holds its private half: a compact JWS over
   * `{"purpose":"countersign api key","userId":N,"iat":seconds}`, at most five minutes old.
   */
  proof?: string;
}

export interface KeyMaterial {
  alg: ApiKey['alg'];
  jwk: PublicJwk;
  print: string;
  privateKey: string | null;
}

/**
 * @param needsProof whoever registers the key has to show that its private half is theirs (R24)
 * @param now seconds since 1970
 * @throws Refusal `invalid_request` for a key that may not be registered, or a proof that does not fit
 */
export function keyMaterial(wish: KeyOrigin, userId: number, needsProof: boolean, now: number): KeyMaterial {
  if (wish.publicKey === undefined) return generate(wish.alg ?? 'ES256');
  try {
    const { alg, jwk, thumbprint: print } = importRegistrableKey(wish.publicKey);
    // R24: the owner shows possession; an operator vouches for whoever handed the key in.
    if (needsProof) checkProof(wish.proof, alg, jwk, userId, now);
    return { alg, jwk, print, privateKey: null };
  } catch (error) {
    if (!(error instanceof TokenError)) throw error;
    throw invalid(`publicKey or proof: ${error.message}`);
  }
}

function generate(alg: ApiKey['alg']): KeyMaterial {
  if (alg !== 'ES256' && alg !== 'EdDSA') throw invalid('alg must be ES256 or EdDSA');
  // SEC1 below for P-256, because Go's sample in seed 003 reads nothing else.
  const pair: { publicKey: KeyObject; privateKey: KeyObject } =
    alg === 'ES256' ? generateKeyPairSync('ec', { namedCurve: 'P-256' }) : generateKeyPairSync('ed25519');
  const jwk = publicJwk(pair.publicKey.export({ format: 'jwk' }) as unknown as PublicJwk);
  const { privateKey } = pair;
  return {
    alg,
    jwk,
    print: thumbprint(jwk),
    privateKey:
      alg === 'ES256'
        ? String(privateKey.export({ format: 'pem', type: 'sec1' }))
        : seedAndPublic(privateKey),
  };
}

/** What most clients read of an Ed25519 key (wire facts coinbase 3, "Key formats"): no PEM, both halves in base64. */
function seedAndPublic(privateKey: KeyObject): string {
  const { d = '', x = '' } = privateKey.export({ format: 'jwk' });
  return Buffer.concat([Buffer.from(d, 'base64url'), Buffer.from(x, 'base64url')]).toString('base64');
}

function checkProof(
  proof: string | undefined,
  alg: ApiKey['alg'],
  jwk: PublicJwk,
  userId: number,
  now: number,
): void {
  if (typeof proof !== 'string')
    throw invalid('proof is missing: sign the registration with the private key');
  const parsed = parseCompact(proof);
  verifyParsed(parsed, { alg, key: publicKeyObject(jwk) });
  const { purpose, userId: signedFor, iat } = parsed.claims;
  const fresh = typeof iat === 'number' && Math.abs(now - iat) <= PROOF_LIFE;
  if (purpose !== PROOF_PURPOSE || signedFor !== userId || !fresh) {
    throw invalid('proof does not fit: purpose, userId and a fresh iat must be signed');
  }
}
