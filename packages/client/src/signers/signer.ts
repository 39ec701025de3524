/** One shape for everything that can sign a login message, found by what it can do and not by which library made it. */
import type { LoginTypedData } from '@countersign/tokens/web';
import { SignerError } from '../errors.ts';
import { type Eip1193Provider, providerSigner } from './eip1193.ts';
import { privateKeySigner } from './private-key.ts';

/** What the session needs of a wallet. Give your own to sign with anything else. */
export interface LoginSigner {
  readonly kind: string;
  /** True if it signs without asking a person: the session then logs in by itself whenever it has to. */
  readonly unattended: boolean;
  /** Lower-case `0x` address where it is known without asking; else null. */
  readonly address: string | null;
  /** The account to log in with. May ask a person. */
  connect(): Promise<string>;
  /** The chain the wallet is on; undefined where it does not say. */
  chainId(): Promise<number | undefined>;
  /** Signs EIP-712 typed data. @returns `0x` hex */
  sign(typedData: LoginTypedData, address: string): Promise<string>;
}

interface TypedDataCall {
  account?: unknown;
  domain: object;
  types: object;
  primaryType: string;
  message: object;
}

/** A local account of viem, from `privateKeyToAccount` and the like. */
export interface ViemAccount {
  address: string;
  type?: string;
  signTypedData(parameters: never): Promise<string>;
}

/** A wallet client of viem. */
export interface ViemWalletClient {
  account?: { address: string; type?: string } | undefined;
  chain?: { id: number } | undefined;
  getAddresses(): Promise<readonly string[]>;
  signTypedData(parameters: never): Promise<string>;
}

/** A signer of ethers 6. */
export interface EthersSigner {
  getAddress(): Promise<string>;
  signTypedData(domain: never, types: never, value: never): Promise<string>;
}

/** A signer of ethers 5. */
export interface Ethers5Signer {
  getAddress(): Promise<string>;
  _signTypedData(domain: never, types: never, value: never): Promise<string>;
}

/** A private key as hex or 32 bytes, an account, a signer, a browser wallet, or a signer of your own. */
export type SignerInput =
  | string
  | Uint8Array
  | ViemAccount
  | ViemWalletClient
  | EthersSigner
  | Ethers5Signer
  | Eip1193Provider
  | LoginSigner;

type Loose = Record<string, unknown>;
type Sign = (...args: unknown[]) => Promise<string>;

const can = (value: Loose, name: string): boolean => typeof value[name] === 'function';
const lower = (address: unknown): string | null =>
  typeof address === 'string' && /^0x[0-9a-fA-F]{40}$/.test(address) ? address.toLowerCase() : null;

/** @throws SignerError `unsupported_signer`, CredentialError `invalid_key` */
export function readSigner(input: SignerInput): LoginSigner {
  if (typeof input === 'string' || input instanceof Uint8Array) return privateKeySigner(input);
  if (typeof input !== 'object' || input === null) throw unsupported();
  const value = input as unknown as Loose;
  if (can(value, 'sign') && can(value, 'connect') && can(value, 'chainId')) return input as LoginSigner;
  if (can(value, '_signTypedData') && can(value, 'getAddress')) {
    return ethersSigner('ethers5', value, '_signTypedData');
  }
  if (can(value, 'signTypedData') && can(value, 'getAddress')) {
    return ethersSigner('ethers6', value, 'signTypedData');
  }
  if (can(value, 'signTypedData') && lower(value.address) !== null) return viemAccountSigner(value);
  if (can(value, 'signTypedData') && can(value, 'getAddresses')) return viemClientSigner(value);
  if (can(value, 'request')) return providerSigner(input as Eip1193Provider);
  throw unsupported();
}

const unsupported = (): SignerError =>
  new SignerError(
    'unsupported_signer',
    'signer is none of: private key, viem account or wallet client, ethers 5 or 6 signer, EIP-1193 provider',
  );

const connected = (address: unknown): string => {
  const known = lower(address);
  if (known === null) throw new SignerError('signer_failed', 'The wallet gave no account');
  return known;
};

function ethersSigner(kind: string, signer: Loose, method: string): LoginSigner {
  return {
    kind,
    // A wallet that holds its key: `signingKey` in ethers 6, `_signingKey` in 5. Others ask somebody.
    unattended: signer.signingKey !== undefined || signer._signingKey !== undefined,
    address: lower(signer.address),
    connect: async () => connected(await (signer.getAddress as Sign).call(signer)),
    chainId: async () => undefined,
    // ethers refuses types that hold EIP712Domain: it adds that one itself.
    sign: ({ domain, types, message }) =>
      (signer[method] as Sign).call(signer, domain, { data: types.data }, message),
  };
}

function viemAccountSigner(account: Loose): LoginSigner {
  return {
    kind: 'viem-account',
    unattended: true,
    address: lower(account.address),
    connect: async () => connected(account.address),
    chainId: async () => undefined,
    sign: (typedData) => (account.signTypedData as Sign)({ ...typedData } satisfies TypedDataCall),
  };
}

function viemClientSigner(client: Loose): LoginSigner {
  const account = client.account as { address: string; type?: string } | undefined;
  return {
    kind: 'viem-wallet-client',
    unattended: account?.type === 'local',
    address: lower(account?.address),
    async connect() {
      if (account !== undefined) return connected(account.address);
      const [first] = (await (client.getAddresses as () => Promise<string[]>)()) ?? [];
      return connected(first);
    },
    chainId: async () => (client.chain as { id?: number } | undefined)?.id,
    sign: (typedData, address) =>
      (client.signTypedData as Sign)({ account: account ?? address, ...typedData } satisfies TypedDataCall),
  };
}
