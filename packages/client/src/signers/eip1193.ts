import type { LoginTypedData } from '@countersign/tokens/web';
import { SignerError } from '../errors.ts';
import type { LoginSigner } from './signer.ts';

/** A browser wallet (EIP-1193). */
export interface Eip1193Provider {
  request(args: { method: string; params?: unknown[] }): Promise<unknown>;
}

/** Signs with a browser wallet. It asks a person, so a session never uses it on its own. */
export function providerSigner(provider: Eip1193Provider): LoginSigner {
  return {
    kind: 'eip1193',
    unattended: false,
    address: null,
    async connect() {
      const accounts = await provider.request({ method: 'eth_requestAccounts' });
      const first: unknown = Array.isArray(accounts) ? accounts[0] : undefined;
      if (typeof first !== 'string' || !/^0x[0-9a-fA-F]{40}$/.test(first)) {
        throw new SignerError('signer_failed', 'The wallet gave no account');
      }
      return first.toLowerCase();
    },
    async chainId() {
      const chain = await provider.request({ method: 'eth_chainId' });
      const id = typeof chain === 'string' || typeof chain === 'number' ? Number(chain) : Number.NaN;
      return Number.isSafeInteger(id) && id > 0 ? id : undefined;
    },
    // MetaMask and others take the typed data as text, with its EIP712Domain and a number as chain id.
    sign: (typedData: LoginTypedData, address) =>
      provider.request({
        method: 'eth_signTypedData_v4',
        params: [address, JSON.stringify(typedData)],
      }) as Promise<string>,
  };
}
