/**
 * The shape of the bearer tokens that we make: a prefix by which scanners find a leaked one, 178 random bits,
 * and a checksum by which a mistyped one is told from a wrong one without asking anybody (R28).
 */
import { crc32 } from 'node:zlib';

const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
/** 30 of 62 characters: 178 bits. */
const RANDOM_LENGTH = 30;
const CHECK_LENGTH = 6;
/** The largest multiple of 62 in a byte: what is above would make some characters likelier. */
const FAIR = 248;

/**
 * @param prefix such as `cst_`
 * @param random gives `n` random bytes of a secure source
 */
export function newPrefixedToken(prefix: string, random: (n: number) => Uint8Array): string {
  let text = '';
  while (text.length < RANDOM_LENGTH) {
    for (const byte of random(RANDOM_LENGTH)) {
      if (byte < FAIR && text.length < RANDOM_LENGTH) text += ALPHABET[byte % 62];
    }
  }
  return prefix + text + checksum(text);
}

/** True if `text` has the prefix and the shape, and its checksum fits. Says nothing about whether it was ever issued. */
export function isPrefixedToken(text: string, prefix: string): boolean {
  if (text.length !== prefix.length + RANDOM_LENGTH + CHECK_LENGTH || !text.startsWith(prefix)) return false;
  const body = text.slice(prefix.length);
  const random = body.slice(0, RANDOM_LENGTH);
  return /^[0-9A-Za-z]+$/.test(body) && body.slice(RANDOM_LENGTH) === checksum(random);
}

function checksum(random: string): string {
  let rest = crc32(random);
  let text = '';
  for (let i = 0; i < CHECK_LENGTH; i += 1) {
    text = ALPHABET[rest % 62] + text;
    rest = Math.floor(rest / 62);
  }
  return text;
}
