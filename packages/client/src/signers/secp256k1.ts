/** The heavy half of `private-key.ts`, loaded when it is needed. */
import {
  addressOfPrivateKey,
  type LoginTypedData,
  loginDigest,
  ready,
  signDigest,
  TokenError,
} from '@countersign/tokens';
import { CredentialError } from '../errors.ts';

async function withEngine<T>(use: () => T): Promise<T> {
  await ready();
  try {
    return use();
  } catch (error) {
    if (!(error instanceof TokenError)) throw error;
    throw new CredentialError('invalid_key', 'This number is too large for the private key of a wallet');
  }
}

/** @throws CredentialError `invalid_key` for a key outside [1, n) */
export const addressOf = (key: Uint8Array): Promise<string> => withEngine(() => addressOfPrivateKey(key));

/** Signs the login message that the typed data holds. @throws CredentialError `invalid_key` */
export const signLogin = ({ message, domain }: LoginTypedData, key: Uint8Array): Promise<string> =>
  withEngine(() =>
    signDigest(loginDigest({ nonce: message.hash, chainId: domain.chainId, domain: message.domain }), key),
  );
