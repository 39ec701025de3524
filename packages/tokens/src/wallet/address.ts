import { fromHex, toHex } from '../encoding/bytes.ts';
import { TokenError } from '../errors.ts';
import { hexData, keccak256, keccakText } from './keccak.ts';

/** 20 bytes as `0x` and 40 lower-case hex digits. */
export type Address = `0x${string}`;

const ADDRESS = /^0[xX][0-9a-fA-F]{40}$/;
const ZERO = `0x${'0'.repeat(40)}`;

const addressError = (expected: string): TokenError =>
  new TokenError('address', 'Not an acceptable address', { name: 'address', expected });

/** The mixed-case spelling of 20 bytes or of an address text of any case (EIP-55). */
export function checksumAddress(address: string | Uint8Array): Address {
  const lower = typeof address === 'string' ? address.slice(2).toLowerCase() : toHex(address);
  const hash = toHex(keccakText(lower));
  let out = '';
  for (let i = 0; i < lower.length; i++) {
    out += Number.parseInt(hash[i]!, 16) >= 8 ? lower[i]!.toUpperCase() : lower[i];
  }
  return `0x${out}`;
}

/** 20 bytes of an address text; mixed case must be a correct EIP-55 checksum. The zero address is allowed here. */
export function addressBytes(text: unknown): Uint8Array {
  if (typeof text !== 'string' || !ADDRESS.test(text)) throw addressError('0x and 40 hex digits');
  const digits = text.slice(2);
  const mixed = digits !== digits.toLowerCase() && digits !== digits.toUpperCase();
  if (mixed && checksumAddress(text).slice(2) !== digits) throw addressError('a correct EIP-55 checksum');
  return fromHex(digits) as Uint8Array;
}

/**
 * Reads an account's address: `0x` and 40 hex digits, all of one case or with a correct EIP-55 checksum. A wrong
 * checksum is a typing error and is refused; so is the zero address, which nobody holds.
 *
 * @returns the address in lower case, the form to store and compare
 * @throws {TokenError} `address`
 */
export function parseAddress(text: string): Address {
  const address = hexData(addressBytes(text)) as Address;
  if (address === ZERO) throw addressError('not the zero address');
  return address;
}

/** The address of an uncompressed secp256k1 public key of 65 bytes (Yellow Paper, appendix F). */
export function addressOfPublicKey(publicKey: Uint8Array): Uint8Array {
  return keccak256(publicKey.subarray(1)).subarray(12);
}
