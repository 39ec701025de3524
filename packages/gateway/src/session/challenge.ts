/**
 * What a wallet is asked to sign. Everything is rebuilt from the stored challenge, at issue for the client to
 * read and at verification to be hashed, so that nothing the client sends can enter the signed bytes (R29).
 */
import {
  buildSiweMessage,
  checksumAddress,
  loginDigest,
  loginTypedData,
  personalMessageHash,
} from '@countersign/tokens';
import type { Challenge } from '../store/store.ts';

/** The server's own words at the time of issue; kept with the challenge so that a change of settings meanwhile does no harm. */
export interface ChallengeContext {
  /** The site that the person signs in to. */
  domain: string;
  uri: string;
  /** Display name asked for, not part of what is signed. */
  name: string | null;
}

export const challengeContext = (challenge: Challenge): ChallengeContext =>
  JSON.parse(challenge.context ?? '{}') as ChallengeContext;

const STATEMENT = 'Please sign this message to verify account ownership';

/** The text for the client: typed data as JSON, or an EIP-4361 message. */
export function challengeText(challenge: Challenge): string {
  const { domain } = challengeContext(challenge);
  return challenge.profile === 'eip712'
    ? JSON.stringify(loginTypedData({ nonce: challenge.nonce, chainId: challenge.chainId, domain }))
    : signInMessage(challenge);
}

/** The 32 bytes that the wallet's signature must be over. */
export function challengeDigest(challenge: Challenge): Uint8Array {
  const { domain } = challengeContext(challenge);
  return challenge.profile === 'eip712'
    ? loginDigest({ nonce: challenge.nonce, chainId: challenge.chainId, domain })
    : personalMessageHash(signInMessage(challenge));
}

/** The address is written with its EIP-55 checksum, as EIP-4361 demands. */
function signInMessage(challenge: Challenge): string {
  const { domain, uri } = challengeContext(challenge);
  return buildSiweMessage({
    domain,
    address: checksumAddress(challenge.address),
    statement: STATEMENT,
    uri,
    version: '1',
    chainId: challenge.chainId,
    nonce: challenge.nonce,
    issuedAt: new Date(challenge.issuedAt).toISOString(),
    expirationTime: new Date(challenge.expiresAt).toISOString(),
  });
}
