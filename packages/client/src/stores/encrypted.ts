/** Encrypts what another store keeps: AES-256-GCM (NIST SP 800-38D), key from a passphrase or given. */
import { decodeBase64url, encodeBase64url } from '@countersign/tokens/web';
import { StoreError } from '../errors.ts';
import { isObject } from '../http/caller.ts';
import type { SessionStore } from './store.ts';

/** The platform's `CryptoKey`. */
export type EncryptionKey =
  Awaited<ReturnType<typeof globalThis.crypto.subtle.generateKey>> extends infer Key
    ? Exclude<Key, { privateKey: unknown }>
    : never;

export interface EncryptionOptions {
  /** A secret text, or a function that asks for it: called once. */
  passphrase?: string | (() => string | Promise<string>);
  /** An AES-GCM key with usages `encrypt` and `decrypt`; may be one that cannot be extracted. */
  key?: EncryptionKey;
  /** PBKDF2 rounds for a passphrase; what is read says its own. Default 600,000. */
  iterations?: number;
}

const SALT = 16;
/** NIST SP 800-38D section 8.2.2: a random 96-bit value is good for 2^32 writes under one key. */
const IV = 12;
/** OWASP's figure for PBKDF2 with SHA-256. */
const ITERATIONS = 600_000;
const MAX_ITERATIONS = 10_000_000;
/** Ties a text to this use of the key. */
const LABEL = new TextEncoder().encode('countersign/session-store/v1');

interface Sealed {
  version: 1;
  iv: string;
  data: string;
  /** Absent where a key was given. */
  salt?: string;
  iterations?: number;
}

const unreadable = (why: string): StoreError =>
  new StoreError('store_unreadable', `The kept session cannot be read: ${why}`);

/**
 * Wraps a store so that it holds ciphertext only. Protects a file or `localStorage` that is copied away; not against
 * who can run code beside the program.
 *
 * @throws TypeError unless exactly one of `passphrase` and `key` is given
 */
export function encryptedStore(inner: SessionStore, options: EncryptionOptions): SessionStore {
  const { passphrase, key, iterations = ITERATIONS } = options;
  if ((passphrase === undefined) === (key === undefined)) {
    throw new TypeError('encryptedStore needs a passphrase or a key, and not both');
  }
  const { crypto } = globalThis;
  let secret: Promise<string> | null = null;
  let derived: { salt: string; iterations: number; key: Promise<EncryptionKey> } | null = null;

  const askSecret = (): Promise<string> => {
    secret ??= Promise.resolve(typeof passphrase === 'function' ? passphrase() : (passphrase ?? ''));
    return secret;
  };

  async function derive(salt: string, rounds: number): Promise<EncryptionKey> {
    const text = await askSecret();
    if (text === '') throw unreadable('the passphrase is empty');
    const base = await crypto.subtle.importKey('raw', new TextEncoder().encode(text), 'PBKDF2', false, [
      'deriveKey',
    ]);
    return crypto.subtle.deriveKey(
      {
        name: 'PBKDF2',
        hash: 'SHA-256',
        salt: new Uint8Array(decodeBase64url(salt) ?? []),
        iterations: rounds,
      },
      base,
      { name: 'AES-GCM', length: 256 },
      false,
      ['encrypt', 'decrypt'],
    );
  }

  function keyFor(salt: string, rounds: number): Promise<EncryptionKey> {
    if (derived?.salt !== salt || derived.iterations !== rounds) {
      derived = { salt, iterations: rounds, key: derive(salt, rounds) };
    }
    return derived.key;
  }

  async function open(text: string): Promise<string> {
    const sealed = parse(text);
    if (sealed === null) throw unreadable('it is not encrypted, or not by this version');
    const iv = decodeBase64url(sealed.iv);
    const data = decodeBase64url(sealed.data);
    if (iv?.length !== IV || data === undefined) throw unreadable('it is damaged');
    const { salt, iterations: rounds } = sealed;
    if (key === undefined && (salt === undefined || rounds === undefined)) {
      throw unreadable('it was encrypted with a key, not with a passphrase');
    }
    const opener = key ?? (await keyFor(salt ?? '', rounds ?? 0));
    try {
      const clear = await crypto.subtle.decrypt(
        { name: 'AES-GCM', iv: new Uint8Array(iv), additionalData: LABEL },
        opener,
        new Uint8Array(data),
      );
      return new TextDecoder().decode(clear);
    } catch {
      throw unreadable('the passphrase or key is another one, or it was changed');
    }
  }

  return {
    ...(inner.watch === undefined ? {} : { watch: inner.watch }),
    exclusive: (task) => inner.exclusive(task),
    clear: () => inner.clear(),
    async read() {
      const text = await inner.read();
      return text === null ? null : open(text);
    },
    async write(text) {
      const iv = crypto.getRandomValues(new Uint8Array(IV));
      const salt = derived?.salt ?? encodeBase64url(crypto.getRandomValues(new Uint8Array(SALT)));
      const rounds = derived?.iterations ?? iterations;
      const data = await crypto.subtle.encrypt(
        { name: 'AES-GCM', iv, additionalData: LABEL },
        key ?? (await keyFor(salt, rounds)),
        new TextEncoder().encode(text),
      );
      const sealed: Sealed = {
        version: 1,
        iv: encodeBase64url(iv),
        data: encodeBase64url(new Uint8Array(data)),
        ...(key === undefined ? { salt, iterations: rounds } : {}),
      };
      await inner.write(JSON.stringify(sealed));
    },
  };
}

function parse(text: string): Sealed | null {
  try {
    const value: unknown = JSON.parse(text);
    if (!isObject(value) || value.version !== 1) return null;
    if (typeof value.iv !== 'string' || typeof value.data !== 'string') return null;
    const { salt, iterations } = value;
    const hasSalt = typeof salt === 'string' && typeof iterations === 'number';
    // A text from elsewhere must not make this machine count for hours.
    if (hasSalt && !(Number.isInteger(iterations) && iterations > 0 && iterations <= MAX_ITERATIONS))
      return null;
    return value as unknown as Sealed;
  } catch {
    return null;
  }
}
