import { keccak_256 } from '@noble/hashes/sha3.js';
import { toHex, utf8 } from '../encoding/bytes.ts';

/** Keccak-256 as Ethereum uses it (the original padding, not SHA3-256 of FIPS 202). */
export function keccak256(data: Uint8Array): Uint8Array {
  return keccak_256(data);
}

/** Keccak-256 of text in UTF-8. */
export function keccakText(text: string): Uint8Array {
  return keccak_256(utf8(text));
}

/** The digest a wallet signs for `personal_sign` (ERC-191 version 0x45): text is taken as UTF-8, bytes as they are. */
export function personalMessageHash(message: string | Uint8Array): Uint8Array {
  const body = typeof message === 'string' ? utf8(message) : message;
  const prefix = utf8(`\x19Ethereum Signed Message:\n${body.length}`);
  const whole = new Uint8Array(prefix.length + body.length);
  whole.set(prefix);
  whole.set(body, prefix.length);
  return keccak_256(whole);
}

/** `0x` and lower-case hex. */
export function hexData(bytes: Uint8Array): string {
  return `0x${toHex(bytes)}`;
}
