import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openKeyEncryption } from '../../src/session/key-encryption.ts';

let parent: string;
let dataDir: string;
const path = () => join(dataDir, 'key-encryption.key');

beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'countersign-kek-'));
  dataDir = join(parent, 'data');
});
afterEach(() => rmSync(parent, { recursive: true, force: true }));

describe('the key-encryption key', () => {
  it('is made at the first start, in a folder and a file that only the owner can read', () => {
    openKeyEncryption(dataDir);
    expect(statSync(dataDir).mode & 0o777).toBe(0o700);
    expect(statSync(path()).mode & 0o777).toBe(0o600);
    expect(readFileSync(path())).toHaveLength(32);
    expect(readdirSync(dataDir)).toEqual(['key-encryption.key']);
  });

  it('is the same at the second start, so that what was wrapped can be unwrapped', () => {
    const wrapped = openKeyEncryption(dataDir).wrap(Buffer.from('a private key'), 'signing-key/1');
    const again = openKeyEncryption(dataDir);
    expect(Buffer.from(again.unwrap(wrapped, 'signing-key/1')).toString()).toBe('a private key');
  });

  it.each([0o640, 0o604, 0o620, 0o666])('is refused with mode %o', (mode) => {
    openKeyEncryption(dataDir);
    chmodSync(path(), mode);
    expect(() => openKeyEncryption(dataDir)).toThrow(/can be read by other users.*chmod 600/);
  });

  it.each([0, 31, 33])('is refused with %i bytes', (length) => {
    openKeyEncryption(dataDir);
    writeFileSync(path(), Buffer.alloc(length, 1));
    expect(() => openKeyEncryption(dataDir)).toThrow(/exactly 32 bytes/);
  });

  it('refuses in one line that holds nothing of the key', () => {
    openKeyEncryption(dataDir);
    const key = readFileSync(path());
    chmodSync(path(), 0o644);
    let message = '';
    try {
      openKeyEncryption(dataDir);
    } catch (error) {
      message = (error as Error).message;
    }
    expect(message).not.toContain('\n');
    expect(message).not.toContain(key.toString('hex'));
  });
});

describe('wrapping', () => {
  it('hides the text and never gives the same bytes twice', () => {
    const kek = openKeyEncryption(dataDir);
    const one = kek.wrap(Buffer.from('a private key'), 'c');
    const two = kek.wrap(Buffer.from('a private key'), 'c');
    expect(Buffer.from(one).includes('private')).toBe(false);
    expect(one).not.toEqual(two);
  });

  it('refuses another context, another key, and every changed byte', () => {
    const kek = openKeyEncryption(dataDir);
    const wrapped = kek.wrap(Buffer.from('secret'), 'signing-key/1');
    expect(() => kek.unwrap(wrapped, 'signing-key/2')).toThrow();
    expect(() => openKeyEncryption(join(parent, 'other')).unwrap(wrapped, 'signing-key/1')).toThrow();
    expect(() => kek.unwrap(wrapped.subarray(0, 20), 'signing-key/1')).toThrow();
    for (let i = 0; i < wrapped.length; i += 1) {
      const changed = Uint8Array.from(wrapped);
      changed[i]! ^= 1;
      expect(() => kek.unwrap(changed, 'signing-key/1')).toThrow();
    }
  });

  it('derives one key per label, the same after a restart', () => {
    const kek = openKeyEncryption(dataDir);
    expect(kek.derive('a')).toHaveLength(32);
    expect(kek.derive('a')).not.toEqual(kek.derive('b'));
    expect(openKeyEncryption(dataDir).derive('a')).toEqual(kek.derive('a'));
  });
});
