/**
 * A browser wallet: what a page finds as `window.ethereum` (EIP-1193). The page's half passes requests on; this half
 * holds the key and signs with a library that is not ours.
 */
import type { BrowserContext } from 'playwright-core';
import { privateKeyToAccount } from 'viem/accounts';
import type { Eip1193Provider } from '../../src/index.ts';
import { keyOf } from '../support.ts';

declare global {
  /** In the page: the wallet. */
  var ethereum: Eip1193Provider;
}

export interface Wallet {
  readonly address: string;
  /** Methods in the order they were called. */
  readonly asked: string[];
  /** The person declines from now on. */
  declines: boolean;
}

/** Puts a wallet into every page of the context that is opened from now on. @param n the testkit's n-th key */
export async function installWallet(context: BrowserContext, n: number, chainId = 1): Promise<Wallet> {
  const account = privateKeyToAccount(`0x${keyOf(n)}`);
  const wallet: Wallet = { address: account.address.toLowerCase(), asked: [], declines: false };
  await context.exposeFunction('walletRequest', async (method: string, params: unknown[]) => {
    wallet.asked.push(method);
    switch (method) {
      case 'eth_requestAccounts':
        return { result: [account.address] };
      case 'eth_chainId':
        return { result: `0x${chainId.toString(16)}` };
      case 'eth_signTypedData_v4':
        if (wallet.declines) return { code: 4001 };
        return { result: await account.signTypedData(JSON.parse(String(params[1]))) };
      default:
        return { code: 4200 };
    }
  });
  await context.addInitScript(() => {
    const { walletRequest } = globalThis as unknown as {
      walletRequest(method: string, params: unknown[]): Promise<{ result?: unknown; code?: number }>;
    };
    globalThis.ethereum = {
      async request({ method, params = [] }) {
        const { result, code } = await walletRequest(method, params);
        if (code !== undefined) throw Object.assign(new Error('refused'), { code });
        return result;
      },
    };
  });
  return wallet;
}
