import {
  addressOfPrivateKey,
  fromHex,
  loginDigest,
  ready,
  signDigest,
  TokenError,
} from '@countersign/tokens';
import { CredentialError } from '../errors.ts';
import type { LoginSigner } from './signer.ts';

const KEY = /^(?:0x)?[0-9a-fA-F]{64}$/;

const invalid = (): CredentialError =>
  new CredentialError(
    'invalid_key',
    'The private key of a wallet is 32 bytes: 64 hex digits, with or without 0x',
  );

/**
 * Signs with a private key in memory. secp256k1 is loaded at the first signature, as a chunk of its own in bundles.
 *
 * @param input 32 bytes, or 64 hex digits with or without `0x`; blanks around it are ignored
 * @throws CredentialError `invalid_key`
 */
export function privateKeySigner(input: string | Uint8Array): LoginSigner {
  const key = typeof input === 'string' ? parse(input.trim()) : input.slice();
  if (key.length !== 32 || key.every((byte) => byte === 0)) throw invalid();

  async function withKey<T>(use: () => T): Promise<T> {
    await ready();
    try {
      return use();
    } catch (error) {
      throw error instanceof TokenError ? invalid() : error;
    }
  }

  return {
    kind: 'private-key',
    unattended: true,
    address: null,
    connect: () => withKey(() => addressOfPrivateKey(key)),
    chainId: async () => undefined,
    sign: ({ message, domain }) =>
      withKey(() =>
        signDigest(
          loginDigest({ nonce: message.hash, chainId: domain.chainId, domain: message.domain }),
          key,
        ),
      ),
  };
}

function parse(text: string): Uint8Array {
  const bytes = KEY.test(text) ? fromHex(text) : undefined;
  if (bytes === undefined) throw invalid();
  return bytes;
}
