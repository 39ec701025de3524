/**
 * The key-encryption key: the one secret that lives outside the database, so that a copy of the database
 * alone signs nothing (R53, requirements 5.1). It wraps private signing keys and is never used directly:
 * each use has its own key, derived by HKDF.
 */
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import {
  closeSync,
  fstatSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readSync,
  type Stats,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';

export interface KeyEncryption {
  /**
   * Encrypts with AES-256-GCM.
   *
   * @param context what this is and whom it belongs to; the same text must be given to {@link unwrap}
   * @returns 12 bytes nonce, ciphertext, 16 bytes tag
   */
  wrap(plain: Uint8Array, context: string): Uint8Array;
  /** @throws Error if the bytes were changed, wrapped for another context, or wrapped under another key */
  unwrap(wrapped: Uint8Array, context: string): Uint8Array;
  /** A 32-byte key for the purpose that `label` names: the same for each process that has this file. */
  derive(label: string): Uint8Array;
}

const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/**
 * Encrypts under a 32-byte key with AES-256-GCM. The nonce is random: no key here is used anywhere near the
 * 2^32 times at which random nonces stop being safe (NIST SP 800-38D section 8.3).
 */
export function seal(
  key: Uint8Array,
  plain: Uint8Array,
  context: string,
  random: (n: number) => Uint8Array,
): Uint8Array {
  const nonce = random(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', key, nonce);
  cipher.setAAD(Buffer.from(context));
  return Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}

/** Undoes {@link seal}. @throws Error when anything is not as it was sealed */
export function unseal(key: Uint8Array, sealed: Uint8Array, context: string): Uint8Array {
  if (sealed.length < NONCE_BYTES + TAG_BYTES) throw new Error('sealed value is too short');
  const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, NONCE_BYTES), {
    authTagLength: TAG_BYTES,
  });
  decipher.setAAD(Buffer.from(context));
  decipher.setAuthTag(sealed.subarray(-TAG_BYTES));
  return Buffer.concat([decipher.update(sealed.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()]);
}

/** HKDF-SHA-256 (RFC 5869) without salt: the input is already uniform. */
export const deriveKey = (secret: Uint8Array, label: string): Uint8Array =>
  new Uint8Array(hkdfSync('sha256', secret, new Uint8Array(0), label, KEY_BYTES));

/**
 * Reads `<dataDir>/key-encryption.key`, making folder (mode 0700) and key (mode 0600) at the first start.
 *
 * @throws Error with one clear line if the file is readable by others, belongs to somebody else, or has the
 *   wrong length (R83). Mode and owner are not checked on Windows, which has neither.
 */
export function openKeyEncryption(
  dataDir: string,
  random: (n: number) => Uint8Array = randomBytes,
): KeyEncryption {
  const path = join(dataDir, 'key-encryption.key');
  const root = readKey(path) ?? createKey(dataDir, path, random);
  const wrapping = deriveKey(root, 'countersign/wrap/v1');
  return {
    wrap: (plain, context) => seal(wrapping, plain, context, random),
    unwrap: (wrapped, context) => unseal(wrapping, wrapped, context),
    derive: (label) => deriveKey(root, `countersign/derive/v1/${label}`),
  };
}

function readKey(path: string): Uint8Array | null {
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
  try {
    // The checks look at the open file: nobody can swap it between check and read.
    refuseUnsafe(fstatSync(file), path);
    const bytes = new Uint8Array(KEY_BYTES + 1);
    const length = readSync(file, bytes, 0, bytes.length, 0);
    if (length !== KEY_BYTES)
      throw new Error(`${path} must hold exactly ${KEY_BYTES} bytes; restore it from your backup`);
    return bytes.slice(0, KEY_BYTES);
  } finally {
    closeSync(file);
  }
}

function refuseUnsafe(stats: Stats, path: string): void {
  if (!stats.isFile()) throw new Error(`${path} must be a plain file`);
  if (process.getuid === undefined) return;
  if ((stats.mode & 0o077) !== 0)
    throw new Error(`${path} can be read by other users of this machine; run: chmod 600 ${path}`);
  const us = process.getuid();
  if (stats.uid !== us && stats.uid !== 0)
    throw new Error(`${path} belongs to user ${stats.uid}, and this process runs as user ${us}`);
}

function createKey(dataDir: string, path: string, random: (n: number) => Uint8Array): Uint8Array {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const temporary = `${path}.${process.pid}.new`;
  const file = openSync(temporary, 'wx', 0o600);
  try {
    writeSync(file, random(KEY_BYTES));
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  try {
    // A link appears whole and never replaces: of two processes that start at once, both read the first's key.
    linkSync(temporary, path);
    syncFolder(dataDir);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    unlinkSync(temporary);
  }
  const key = readKey(path);
  if (key === null) throw new Error(`${path} vanished while it was being made`);
  return key;
}

/** The name of a new file survives a power cut only once its folder is synced. */
function syncFolder(path: string): void {
  if (process.platform === 'win32') return;
  const folder = openSync(path, 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}
