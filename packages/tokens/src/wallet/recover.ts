import type { Secp256k1 } from '@bitauth/libauth';
import { equalBytes, fromHex } from '../encoding/bytes.ts';
import { TokenError } from '../errors.ts';
import { type Address, addressBytes, addressOfPublicKey } from './address.ts';
import { hexData } from './keccak.ts';

let engine: Secp256k1 | undefined;
let loading: Promise<void> | undefined;

/**
 * Loads the secp256k1 engine (WebAssembly). Await it once before the first recovery; later calls are free. Takes the
 * engine's own module and not the package's entry: that one is four times the size in a browser and awaits at its top
 * level, which not every bundler target allows.
 */
export function ready(): Promise<void> {
  loading ??= import('@bitauth/libauth/build/lib/crypto/secp256k1.js')
    .then(({ instantiateSecp256k1 }) => instantiateSecp256k1())
    .then((instance) => {
      engine = instance;
    })
    .catch((error: unknown) => {
      // A chunk that failed to download may be there the next time.
      loading = undefined;
      throw error;
    });
  return loading;
}

function secp256k1(): Secp256k1 {
  if (!engine) throw new Error('Await ready() before recovering or signing');
  return engine;
}

const hex = (text: string): Uint8Array => fromHex(text) as Uint8Array;
/** The order of secp256k1 (SEC 2 §2.4.1). */
const N = hex('fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141');
const HALF_N = hex('7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0');

/** Big-endian comparison of public values of one length. */
function compare(a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < a.length; i++) {
    if (a[i] !== b[i]) return a[i]! - b[i]!;
  }
  return 0;
}

const refuse = (expected: string): TokenError =>
  new TokenError('signature', 'Not an acceptable wallet signature', { name: 'signature', expected });

interface WalletSignature {
  readonly compact: Uint8Array;
  readonly recoveryId: 0 | 1;
}

function readSignature(signature: string | Uint8Array): WalletSignature {
  // The length first: the text may be of any size.
  if (typeof signature === 'string' && signature.length !== 130 && signature.length !== 132)
    throw refuse('65 bytes');
  const bytes = typeof signature === 'string' ? fromHex(signature) : signature;
  if (bytes?.length !== 65) throw refuse('65 bytes');
  const r = bytes.subarray(0, 32);
  const s = bytes.subarray(32, 64);
  const v = bytes[64]!;
  const recoveryId = v >= 27 ? v - 27 : v;
  if (recoveryId !== 0 && recoveryId !== 1) throw refuse('v of 0, 1, 27 or 28');
  const isZero = (value: Uint8Array): boolean => value.every((byte) => byte === 0);
  if (isZero(r) || compare(r, N) >= 0) throw refuse('r in [1, n)');
  // EIP-2: of the two valid values of s only the lower, or every signature would have a twin.
  if (isZero(s) || compare(s, HALF_N) > 0) throw refuse('s in [1, n/2]');
  return { compact: bytes.subarray(0, 64), recoveryId };
}

function recoverBytes(digest: Uint8Array, signature: string | Uint8Array): Uint8Array {
  if (digest.length !== 32) throw new TypeError('digest must be 32 bytes');
  const { compact, recoveryId } = readSignature(signature);
  const publicKey = secp256k1().recoverPublicKeyUncompressed(compact, recoveryId, digest);
  if (typeof publicKey === 'string') throw refuse('a recoverable r');
  const address = addressOfPublicKey(publicKey);
  if (address.every((byte) => byte === 0)) throw refuse('a signer');
  return address;
}

/**
 * Recovers who signed a 32-byte digest. The signature is exactly 65 bytes `r‖s‖v`, as bytes or hex of either case with
 * or without `0x`; `v` is 0, 1, 27 or 28; `1 ≤ r < n`, `1 ≤ s ≤ n/2`. EIP-2098 short forms are refused.
 *
 * A recovered address proves nothing by itself: any well-formed signature recovers to some address.
 * Use {@link verifyWalletSignature} to check a claim.
 *
 * @throws {TokenError} `signature`
 */
export function recoverAddress(digest: Uint8Array, signature: string | Uint8Array): Address {
  return hexData(recoverBytes(digest, signature)) as Address;
}

export interface WalletSignatureCheck {
  /** The claimed signer. */
  readonly address: string;
  /** 32 bytes. */
  readonly digest: Uint8Array;
  readonly signature: string | Uint8Array;
}

/**
 * Whether an externally owned account signed a digest; compares 20 bytes. `false` for anything malformed. Contract
 * wallets need ERC-1271 and a node; see `encodeIsValidSignature`. Test seam for wallet signatures.
 */
export function verifyWalletSignature(check: WalletSignatureCheck): boolean {
  try {
    return equalBytes(recoverBytes(check.digest, check.signature), addressBytes(check.address));
  } catch (error) {
    if (error instanceof TokenError) return false;
    throw error;
  }
}

/**
 * Signs a digest as a wallet does: low s, deterministic (RFC 6979), `v` of 27 or 28, as `0x` hex.
 *
 * @throws {TokenError} `key` when the private key is not 32 bytes in `[1, n)`
 */
export function signDigest(digest: Uint8Array, privateKey: Uint8Array): string {
  if (digest.length !== 32) throw new TypeError('digest must be 32 bytes');
  checkPrivateKey(privateKey);
  const signed = secp256k1().signMessageHashRecoverableCompact(privateKey, digest);
  if (typeof signed === 'string') throw refuse('a signable digest');
  return `${hexData(signed.signature)}${signed.recoveryId === 0 ? '1b' : '1c'}`;
}

/** The address of a private key of 32 bytes. @throws {TokenError} `key` */
export function addressOfPrivateKey(privateKey: Uint8Array): Address {
  checkPrivateKey(privateKey);
  const publicKey = secp256k1().derivePublicKeyUncompressed(privateKey);
  if (typeof publicKey === 'string') throw new TokenError('key', 'Not a wallet key');
  return hexData(addressOfPublicKey(publicKey)) as Address;
}

function checkPrivateKey(privateKey: Uint8Array): void {
  if (privateKey.length !== 32 || !secp256k1().validatePrivateKey(privateKey)) {
    throw new TokenError('key', 'Not a wallet key', { expected: '32 bytes in [1, n)' });
  }
}
