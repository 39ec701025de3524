/** What a wallet is asked to sign is rebuilt here and compared, so that a hostile server cannot have anything else signed. */
import { type LoginTypedData, loginTypedData } from '@countersign/tokens/web';
import { SignerError } from '../errors.ts';

export interface LoginMessageRules {
  /** The chain that the message must name; undefined accepts any. */
  chainId: number | undefined;
  /** The site that the message must name. */
  domain: string;
}

const NONCE = /^(?:0x)?[0-9a-fA-F]{8,64}$/;

const refuse = (what: string): SignerError =>
  new SignerError(
    'unexpected_login_message',
    `The server asked for a signature that is not a login: ${what}. Nothing was signed`,
  );

/**
 * Checks that typed data is exactly the login message of this API: types, names, text, site, chain, and a verifying
 * contract of zero. Returns our own copy, which is what gets signed.
 *
 * @param message the server's `eip712Message`: JSON text or the object itself
 * @param nonceHash the server's `nonceHash`; servers that send none are understood
 * @throws SignerError `unexpected_login_message`
 */
export function checkLoginMessage(
  message: unknown,
  nonceHash: unknown,
  { chainId, domain }: LoginMessageRules,
): { nonce: string; typedData: LoginTypedData } {
  const given = typeof message === 'string' ? parse(message) : message;
  const nonce = at(given, 'message', 'hash');
  if (typeof nonce !== 'string' || !NONCE.test(nonce)) throw refuse('message.hash is not a nonce');
  if (nonceHash !== undefined && nonceHash !== nonce)
    throw refuse('message.hash differs from the nonce of the answer');
  const offered = at(given, 'domain', 'chainId');
  const chain = chainId ?? offered;
  if (typeof chain !== 'number' || !Number.isSafeInteger(chain) || chain <= 0) {
    throw refuse('domain.chainId is not a chain id');
  }
  const typedData = loginTypedData({ nonce, chainId: chain, domain });
  const difference = differenceOf(given, typedData, '');
  if (difference !== null) throw refuse(`${difference || 'the message'} is not what a login has`);
  return { nonce, typedData };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw refuse('it is not JSON');
  }
}

function at(value: unknown, ...path: string[]): unknown {
  let found: unknown = value;
  for (const name of path) {
    if (typeof found !== 'object' || found === null || !Object.hasOwn(found, name)) return undefined;
    found = (found as Record<string, unknown>)[name];
  }
  return found;
}

/** Path of the first difference; null if there is none. The order of members means nothing in JSON, that of lists does. */
function differenceOf(given: unknown, wanted: unknown, path: string): string | null {
  if (typeof wanted !== 'object' || wanted === null) return given === wanted ? null : path;
  if (typeof given !== 'object' || given === null || Array.isArray(given) !== Array.isArray(wanted))
    return path;
  const names = Object.keys(wanted);
  const extra = Object.keys(given).find((name) => !Object.hasOwn(wanted, name));
  // The name of an extra member is the server's: it is not repeated.
  if (extra !== undefined) return path === '' ? 'an extra member' : `an extra member in ${path}`;
  for (const name of names) {
    const where = path === '' ? name : `${path}.${name}`;
    const difference = differenceOf(at(given, name), at(wanted, name), where);
    if (difference !== null) return difference;
  }
  return null;
}
