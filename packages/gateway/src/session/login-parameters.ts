/**
 * The parameters of a wallet login, read from whatever a client sent. Each refusal is `invalid_request` and
 * names the parameter, save for a chain that is well-formed and not served.
 */
import { Refusal } from '@countersign/protocol';
import { parseAddress, TokenError } from '@countersign/tokens';
import type { Challenge } from '../store/store.ts';
import { MAX_CONTRACT_SIGNATURE } from './contract-wallet.ts';

const MAX_NAME = 64;
const MAX_USER_AGENT = 256;
const MAX_NONCE_TEXT = 66;
const MAX_SIGNATURE_TEXT = 2 + 2 * MAX_CONTRACT_SIGNATURE;

const invalid = (message: string): Refusal => new Refusal('invalid_request', message, { message });

export function addressOf(addr: unknown): string {
  try {
    return parseAddress(addr as string);
  } catch (error) {
    if (!(error instanceof TokenError)) throw error;
    throw invalid(
      'addr must be an Ethereum address: 0x and 40 hex digits, with a right checksum if mixed case',
    );
  }
}

export function chainOf(chainId: unknown, served: readonly number[]): number {
  if (chainId === undefined || chainId === null || chainId === '') return served[0] as number;
  const text = typeof chainId === 'number' ? String(chainId) : chainId;
  if (typeof text !== 'string' || !/^(0[xX][0-9a-fA-F]{1,13}|[0-9]{1,15})$/.test(text))
    throw invalid('chainId must be a number, decimal or 0x hex');
  const id = Number(text);
  if (!served.includes(id)) throw new Refusal('unknown_chain', 'chain is not configured');
  return id;
}

export function profileOf(profile: unknown): Challenge['profile'] {
  if (profile === undefined || profile === null || profile === '') return 'eip712';
  if (profile === 'eip712' || profile === 'eip4361') return profile;
  throw invalid('profile must be eip712 or eip4361');
}

export function nameOf(name: unknown): string | null {
  if (name === undefined || name === null || name === '') return null;
  if (
    typeof name !== 'string' ||
    [...name].length > MAX_NAME ||
    /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u.test(name)
  )
    throw invalid(`name must be at most ${MAX_NAME} characters without control characters`);
  return name;
}

/** Lower-case hex without `0x`, if it is hex at all: anything else is simply no nonce that was issued. */
export const nonceOf = (nonceHash: unknown): string =>
  textOf(nonceHash, 'nonceHash', MAX_NONCE_TEXT).toLowerCase().replace(/^0x/, '');

export const signatureOf = (signature: unknown): string => textOf(signature, 'signature', MAX_SIGNATURE_TEXT);

function textOf(value: unknown, name: string, limit: number): string {
  if (typeof value !== 'string' || value === '') throw invalid(`${name} is needed`);
  if (value.length > limit) throw invalid(`${name} is too long`);
  return value;
}

/** What a client calls itself, fit for a log and a list: printable ASCII, bounded. */
export const userAgentOf = (userAgent: string | null): string | null =>
  userAgent === null ? null : userAgent.replace(/[^\x20-\x7e]/g, '?').slice(0, MAX_USER_AGENT);
