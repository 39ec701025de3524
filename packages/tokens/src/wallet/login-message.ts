import { concatBytes } from '../encoding/bytes.ts';
import { keccak256, keccakText } from './keccak.ts';
import { checkLogin, DEFAULT_DOMAIN, type LoginMessage, loginTypedData, TEXT } from './login-typed-data.ts';
import { hashDomain } from './typed-data.ts';

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
