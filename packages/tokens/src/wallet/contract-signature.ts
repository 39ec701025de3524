import { concatBytes, equalBytes, fromBigInt, fromHex, toBigInt } from '../encoding/bytes.ts';
import { TokenError } from '../errors.ts';
import type { Address } from './address.ts';
import { hexData } from './keccak.ts';

/** First four bytes of `keccak256("isValidSignature(bytes32,bytes)")`: both selector and answer (ERC-1271). */
const MAGIC = fromHex('1626ba7e') as Uint8Array;
/** What an ERC-6492 signature ends with: 32 bytes. */
const WRAPPER = fromHex('6492'.repeat(16)) as Uint8Array;
/** More than any wallet's signature with its deployment data; a bound on what one login can make us decode. */
const MAX_WRAPPED = 16_384;

const word = (value: number): Uint8Array => fromBigInt(BigInt(value), 32);
const padding = (length: number): number => (32 - (length % 32)) % 32;

const readHex = (data: string | Uint8Array, limit: number): Uint8Array | undefined => {
  if (typeof data !== 'string') return data.length <= limit ? data : undefined;
  return data.length <= limit * 2 + 2 ? fromHex(data) : undefined;
};

/** Call data of `isValidSignature(bytes32 hash, bytes signature)` as `0x` hex (ERC-1271, Solidity ABI). */
export function encodeIsValidSignature(digest: Uint8Array, signature: Uint8Array): string {
  if (digest.length !== 32) throw new TypeError('digest must be 32 bytes');
  const tail = new Uint8Array(padding(signature.length));
  return hexData(concatBytes(MAGIC, digest, word(64), word(signature.length), signature, tail));
}

/**
 * Whether the answer of `isValidSignature` says yes: exactly the magic value padded to 32 bytes. An empty answer (no
 * code there), an unpadded value, `true`, and anything longer all mean no.
 */
export function isValidSignatureResult(result: string | Uint8Array): boolean {
  const bytes = readHex(result, 32);
  return bytes?.length === 32 && equalBytes(bytes, concatBytes(MAGIC, new Uint8Array(28)));
}

/** An ERC-6492 signature: how to deploy the wallet, and the signature the deployed wallet accepts. */
export interface WrappedSignature {
  /** The contract to call for deployment. */
  readonly factory: Address;
  readonly factoryData: Uint8Array;
  readonly signature: Uint8Array;
}

const abiFault = (expected: string): never => {
  throw new TokenError('abi', `Not a canonical ERC-6492 signature: ${expected} expected`, { expected });
};

function readLength(bytes: Uint8Array, at: number): number {
  const value = at + 32 <= bytes.length ? toBigInt(bytes.subarray(at, at + 32)) : abiFault('a whole word');
  return value <= BigInt(MAX_WRAPPED) ? Number(value) : abiFault('a sensible length');
}

/** A `bytes` value at `at`: length, content, zero padding. Returns it and where the next one starts. */
function readBytes(bytes: Uint8Array, at: number): { value: Uint8Array; end: number } {
  const length = readLength(bytes, at);
  const start = at + 32;
  const end = start + length + padding(length);
  if (end > bytes.length) abiFault('content of the stated length');
  if (bytes.subarray(start + length, end).some((byte) => byte !== 0)) abiFault('zero padding');
  return { value: bytes.slice(start, start + length), end };
}

/**
 * Unwraps an ERC-6492 signature: `abi.encode(address factory, bytes factoryCalldata, bytes signature)` followed by 32
 * bytes of `0x6492…`. Only the encoding Solidity itself produces is accepted.
 *
 * @returns `undefined` when the signature does not end in the magic value, and so is not wrapped
 * @throws {TokenError} `abi` when it does but the content is not canonical
 */
export function unwrapErc6492(signature: string | Uint8Array): WrappedSignature | undefined {
  const all = readHex(signature, MAX_WRAPPED);
  if (!all || all.length < 32 || !equalBytes(all.subarray(-32), WRAPPER)) return undefined;
  const body = all.subarray(0, -32);
  if (body.length < 96) abiFault('three words of head');
  if (body.subarray(0, 12).some((byte) => byte !== 0)) abiFault('a padded address');
  if (readLength(body, 32) !== 96) abiFault('the first bytes value right after the head');
  const factoryData = readBytes(body, 96);
  if (readLength(body, 64) !== factoryData.end) abiFault('the second bytes value right after the first');
  const inner = readBytes(body, factoryData.end);
  if (inner.end !== body.length) abiFault('nothing after the signature');
  return {
    factory: hexData(body.subarray(12, 32)) as Address,
    factoryData: factoryData.value,
    signature: inner.value,
  };
}
