/** The login challenge as data. Apart from its digest, so that pages whose wallet hashes need no Keccak. */
export interface LoginMessage {
  /** The challenge, a string such as `52a90c73`. Wallets hash it as text, so `12` and `0x12` differ. */
  readonly nonce: string;
  /** The chain the wallet is on. A JSON number on the wire: clients read it as an integer. */
  readonly chainId: number;
  /** The site named in the text the person signs. Default `ethgas.com`. */
  readonly domain?: string;
}

/** The login challenge as clients know it. The order of members is that of the wire. */
export interface LoginTypedData {
  readonly types: {
    readonly EIP712Domain: { name: string; type: string }[];
    readonly data: { name: string; type: string }[];
  };
  readonly primaryType: 'data';
  readonly message: { readonly hash: string; readonly message: string; readonly domain: string };
  readonly domain: {
    readonly name: string;
    readonly version: string;
    readonly chainId: number;
    readonly verifyingContract: string;
  };
}

/** What the person reads. */
export const TEXT = 'Please sign this message to verify account ownership';
export const DEFAULT_DOMAIN = 'ethgas.com';

export function checkLogin({ nonce, chainId }: LoginMessage): void {
  if (typeof nonce !== 'string' || nonce === '') throw new TypeError('nonce must be a non-empty string');
  if (!Number.isSafeInteger(chainId) || chainId <= 0)
    throw new TypeError('chainId must be a positive integer');
}

/**
 * The typed data of a wallet login. `JSON.stringify` of it is the `eip712Message` of the login answer. Types, names and
 * members are fixed: several clients have them compiled in, and some refuse any addition.
 */
export function loginTypedData(login: LoginMessage): LoginTypedData {
  checkLogin(login);
  const { nonce, chainId, domain = DEFAULT_DOMAIN } = login;
  return {
    types: {
      EIP712Domain: [
        { name: 'name', type: 'string' },
        { name: 'version', type: 'string' },
        { name: 'chainId', type: 'uint256' },
        { name: 'verifyingContract', type: 'address' },
      ],
      data: [
        { name: 'hash', type: 'string' },
        { name: 'message', type: 'string' },
        { name: 'domain', type: 'string' },
      ],
    },
    primaryType: 'data',
    message: { hash: nonce, message: TEXT, domain },
    domain: {
      name: 'ETHGas Login',
      version: '1',
      chainId,
      verifyingContract: '0x0000000000000000000000000000000000000000',
    },
  };
}
