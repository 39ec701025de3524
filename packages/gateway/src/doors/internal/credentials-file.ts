/**
 * A bearer token that lives in a file of its own, made at the first start: whoever can read the file is the
 * operator (or the venue's backend). There is no default credential (R79).
 */
import { hash, randomBytes, timingSafeEqual } from 'node:crypto';
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
import { isPrefixedToken, newPrefixedToken } from '../../operations/prefixed-token.ts';

export interface TokenFile {
  path: string;
  /** True if this start made the file. */
  created: boolean;
  /** Compares in constant time. */
  matches(candidate: string): boolean;
}

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
  if (!isPrefixedToken(token, prefix))
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
    writeSync(file, `${newPrefixedToken(prefix, randomBytes)}\n`);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  return true;
}
