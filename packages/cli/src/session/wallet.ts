/** The wallet's side of a login: reading its key, looking hard at what the server wants signed, signing. */
import { readFileSync, statSync } from 'node:fs';
import {
  addressOfPrivateKey,
  checksumAddress,
  type LoginTypedData,
  loginDigest,
  loginTypedData,
  ready,
  signDigest,
} from '@countersign/tokens';
import { CliError } from '../cli-error.ts';
import { type Io, printable } from '../io.ts';

export interface Wallet {
  /** EIP-55 spelling. */
  address: string;
  /** @returns 65 bytes as `0x` hex */
  sign(login: { nonce: string; chainId: number; domain: string }): string;
}

/**
 * @param text 64 hex digits, with or without `0x`
 * @throws CliError `config`; the message says nothing of the text
 */
export async function walletOf(text: string): Promise<Wallet> {
  const digits = text.trim().replace(/^0x/i, '');
  if (!/^[0-9a-fA-F]{64}$/.test(digits)) throw new CliError('config', 'a wallet key is 64 hex digits');
  const key = Uint8Array.from(Buffer.from(digits, 'hex'));
  await ready();
  try {
    const address = checksumAddress(addressOfPrivateKey(key));
    return { address, sign: (login) => signDigest(loginDigest(login), key) };
  } catch {
    throw new CliError('config', 'this is no valid secp256k1 private key');
  }
}

/**
 * Finds the wallet key: the file, else `COUNTERSIGN_WALLET_KEY`, else a hidden prompt. Never the command line.
 *
 * @throws CliError
 */
export async function findWallet(io: Io, keyFile: string | undefined): Promise<Wallet> {
  if (keyFile !== undefined) return walletOf(readKeyFile(keyFile, io));
  if (io.env.COUNTERSIGN_WALLET_KEY) return walletOf(io.env.COUNTERSIGN_WALLET_KEY);
  if (!io.inIsTerminal) {
    throw new CliError('usage', 'no wallet key: give --key-file or set COUNTERSIGN_WALLET_KEY');
  }
  const typed = await io.askHidden('Private key of the wallet (not shown)');
  if (typed === null) throw new CliError('interrupted', 'stopped');
  return walletOf(typed);
}

function readKeyFile(path: string, io: Io): string {
  try {
    if ((statSync(path).mode & 0o077) !== 0)
      io.err(`warning: ${path} can be read by others; run: chmod 600 ${path}`);
    return readFileSync(path, 'utf8');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new CliError(
      'config',
      `cannot read ${path}: ${code === 'ENOENT' ? 'there is no such file' : code}`,
    );
  }
}

export interface Expected {
  /** What the challenge answer calls it; must stand inside the message too. */
  nonce: string;
  /** Undefined: any of `KNOWN_CHAINS`. */
  chainId: number | undefined;
  /** The site that the message names. */
  domain: string;
}

/** Mainnet, Hoodi, and the venue's private test chain. */
export const KNOWN_CHAINS: readonly number[] = [1, 560048, 32382];

/**
 * Checks that what the server offers is the login message and nothing else. A hostile server could offer
 * typed data that moves money; the digest is then built from what was expected, not from what was offered.
 *
 * @returns the chain id to sign for
 * @throws CliError `untrusted`
 */
export function checkOffer(eip712Message: unknown, expected: Expected): number {
  const offered = parse(eip712Message);
  const chainId = offered?.domain?.chainId;
  if (typeof chainId !== 'number' || !Number.isSafeInteger(chainId) || chainId <= 0)
    refuse('its domain has no chain id');
  const allowed = expected.chainId === undefined ? KNOWN_CHAINS : [expected.chainId];
  if (!allowed.includes(chainId)) {
    const flag = expected.chainId === undefined ? '; name it with --chain-id if it is right' : '';
    refuse(`it is for chain ${chainId}, not ${allowed.join(' or ')}${flag}`);
  }
  if (!/^[0-9a-f]{8,64}$/.test(expected.nonce)) refuse('its nonce is not 8 to 64 hex digits');
  const wanted = loginTypedData({ nonce: expected.nonce, chainId, domain: expected.domain });
  if (offered?.message?.domain !== expected.domain) {
    const named =
      typeof offered?.message?.domain === 'string' ? printable(offered.message.domain, 60) : 'no site';
    refuse(`it names "${named}", not "${expected.domain}"; name the site with --domain if it is right`);
  }
  if (canonical(offered) !== canonical(wanted)) refuse('it is not the login message');
  return chainId;
}

function refuse(why: string): never {
  throw new CliError('untrusted', `the server asks for a signature that is not given: ${why}`);
}

function parse(text: unknown): Partial<LoginTypedData> | null {
  if (typeof text !== 'string' || text.length > 16_384) return null;
  try {
    const value = JSON.parse(text) as Partial<LoginTypedData> | null;
    return typeof value === 'object' ? value : null;
  } catch {
    return null;
  }
}

/** JSON with members in one order, so that equal data are equal texts. Lists keep theirs: the order of fields is signed. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (typeof value === 'object' && value !== null) {
    const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
    return `{${members.map(([name, inner]) => `${JSON.stringify(name)}:${canonical(inner)}`).join(',')}}`;
  }
  return JSON.stringify(value) ?? 'null';
}
