import { fromHex } from '@countersign/tokens/web';
import { CredentialError } from '../errors.ts';
import type { LoginSigner } from './signer.ts';

const KEY = /^(?:0x)?[0-9a-fA-F]{64}$/;

const invalid = (): CredentialError =>
  new CredentialError(
    'invalid_key',
    'The private key of a wallet is 32 bytes: 64 hex digits, with or without 0x',
  );

/**
 * Signs with a private key in memory. secp256k1 and Keccak are loaded at the first use, as chunks of their own in
 * bundles: pages with a browser wallet never load them.
 *
 * @param input 32 bytes, or 64 hex digits with or without `0x`; blanks around it are ignored
 * @throws CredentialError `invalid_key`
 */
export function privateKeySigner(input: string | Uint8Array): LoginSigner {
  const key = typeof input === 'string' ? parse(input.trim()) : input.slice();
  if (key.length !== 32 || key.every((byte) => byte === 0)) throw invalid();
  const engine = () => import('./secp256k1.ts');
  return {
    kind: 'private-key',
    unattended: true,
    address: null,
    connect: async () => (await engine()).addressOf(key),
    chainId: async () => undefined,
    sign: async (typedData) => (await engine()).signLogin(typedData, key),
  };
}

function parse(text: string): Uint8Array {
  const bytes = KEY.test(text) ? fromHex(text) : undefined;
  if (bytes === undefined) throw invalid();
  return bytes;
}
