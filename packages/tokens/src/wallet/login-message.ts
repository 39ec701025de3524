import { concatBytes } from '../encoding/bytes.ts';
import { keccak256, keccakText } from './keccak.ts';
import { hashDomain } from './typed-data.ts';

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

const TEXT = 'Please sign this message to verify account ownership';
const DEFAULT_DOMAIN = 'ethgas.com';

function checkLogin({ nonce, chainId }: LoginMessage): void {
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

const DATA_TYPE_HASH = keccakText('data(string hash,string message,string domain)');
const TEXT_HASH = keccakText(TEXT);

interface FixedParts {
  /** `0x19 0x01 ‖ domainSeparator` */
  readonly head: Uint8Array;
  /** `keccak256(message) ‖ keccak256(domain)` */
  readonly tail: Uint8Array;
}
/** A deployment has a handful of chains and one domain; the bound only guards against a caller's mistake. */
const MAX_CACHED = 64;
const cache = new Map<string, FixedParts>();

function fixedParts(login: LoginMessage, domain: string): FixedParts {
  const key = `${login.chainId} ${domain}`;
  const known = cache.get(key);
  if (known) return known;
  const parts = {
    head: concatBytes(Uint8Array.of(0x19, 0x01), hashDomain(loginTypedData(login) as never)),
    tail: concatBytes(TEXT_HASH, keccakText(domain)),
  };
  if (cache.size >= MAX_CACHED) cache.clear();
  cache.set(key, parts);
  return parts;
}

/**
 * The digest of {@link loginTypedData}, computing only what depends on the nonce: three Keccak blocks. Equal to
 * `hashTypedData(loginTypedData(login))`.
 */
export function loginDigest(login: LoginMessage): Uint8Array {
  checkLogin(login);
  const { head, tail } = fixedParts(login, login.domain ?? DEFAULT_DOMAIN);
  const struct = keccak256(concatBytes(DATA_TYPE_HASH, keccakText(login.nonce), tail));
  return keccak256(concatBytes(head, struct));
}
