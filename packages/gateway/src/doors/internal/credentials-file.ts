/**
 * A bearer token that lives in a file of its own, made at the first start: whoever can read the file is the
 * operator (or the venue's backend). There is no default credential (R79).
 */
import { hash, randomInt, timingSafeEqual } from 'node:crypto';
import {
  closeSync,
  fchmodSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  statSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { crc32 } from 'node:zlib';

export interface TokenFile {
  path: string;
  /** True if this start made the file. */
  created: boolean;
  /** Compares in constant time. */
  matches(candidate: string): boolean;
}

const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
/** 30 of 62 characters: 178 bits. */
const RANDOM_LENGTH = 30;
const CHECK_LENGTH = 6;

/**
 * Reads the token, or makes one if there is no file.
 *
 * @param prefix such as `csa_`: lets secret scanners find a leaked token
 * @throws Error if others may read the file, or if what is in it is no token of this kind
 */
export function openTokenFile(path: string, prefix: string): TokenFile {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const created = create(path, prefix);
  const { mode } = statSync(path);
  if (process.platform !== 'win32' && (mode & 0o077) !== 0) {
    throw new Error(`${path}: others may read this file; run chmod 600 on it`);
  }
  const token = readFileSync(path, 'utf8').trim();
  if (!isToken(token, prefix))
    throw new Error(`${path}: does not hold a ${prefix} token; delete it to get a new one`);
  const digest = hash('sha256', token, 'buffer');
  return {
    path,
    created,
    matches: (candidate) => timingSafeEqual(hash('sha256', candidate, 'buffer'), digest),
  };
}

function create(path: string, prefix: string): boolean {
  let file: number;
  try {
    file = openSync(path, 'wx', 0o600);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
  try {
    // The process's umask may have taken bits away, never added any; an odd one must not lock the owner out.
    fchmodSync(file, 0o600);
    writeSync(file, `${newToken(prefix)}\n`);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  return true;
}

function newToken(prefix: string): string {
  const random = Array.from({ length: RANDOM_LENGTH }, () => ALPHABET[randomInt(ALPHABET.length)]).join('');
  return prefix + random + check(random);
}

/** Tells a mistyped or cut token from a wrong one, and lets scanners skip look-alikes. */
function check(random: string): string {
  let rest = crc32(random);
  let text = '';
  for (let i = 0; i < CHECK_LENGTH; i += 1) {
    text = ALPHABET[rest % 62] + text;
    rest = Math.floor(rest / 62);
  }
  return text;
}

function isToken(text: string, prefix: string): boolean {
  const body = text.slice(prefix.length);
  const random = body.slice(0, RANDOM_LENGTH);
  return (
    text.startsWith(prefix) && /^[0-9A-Za-z]{36}$/.test(body) && body.slice(RANDOM_LENGTH) === check(random)
  );
}
