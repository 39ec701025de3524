/** Wallets for load: keys from a counter, so that a run can be repeated. Never for real money. */
import { addressOfPrivateKey, loginDigest, ready, signDigest } from '@countersign/tokens';

export interface LoadWallet {
  /** Lower-case `0x` address. */
  readonly address: string;
  readonly privateKey: Uint8Array;
  /** Signs the login message of a nonce; hex with `0x`, v 27 or 28. */
  signLogin(nonce: string, chainId: number, domain?: string): string;
}

/** @param count how many; the n-th has the private key n + 1 in every run */
export async function createLoadWallets(count: number): Promise<LoadWallet[]> {
  await ready();
  return Array.from({ length: count }, (_, index) => {
    const privateKey = new Uint8Array(32);
    new DataView(privateKey.buffer).setUint32(28, index + 1);
    return {
      address: addressOfPrivateKey(privateKey),
      privateKey,
      signLogin: (nonce, chainId, domain = 'ethgas.com') =>
        signDigest(loginDigest({ nonce, chainId, domain }), privateKey),
    };
  });
}
