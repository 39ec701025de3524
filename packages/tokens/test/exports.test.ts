import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import * as web from '../src/index.ts';
import * as node from '../src/node.ts';

/** Every module a file needs at run time: own files followed, type-only imports left out. */
function importsOf(file: URL, seen = new Map<string, string[]>()): Map<string, string[]> {
  if (seen.has(file.href)) return seen;
  const text = readFileSync(file, 'utf8').replace(/\/\*[\s\S]*?\*\//g, '');
  const found = [...text.matchAll(/^(?:import|export) (?!type )[^;]*?from '([^']+)'|import\('([^']+)'\)/gm)];
  const names = found.map((match) => match[1] ?? match[2] ?? '');
  seen.set(file.href, names);
  for (const name of names.filter((one) => one.startsWith('.'))) importsOf(new URL(name, file), seen);
  return seen;
}

describe('the entries of the package', () => {
  it('keep node: modules out of the main one, so that it loads in browsers', () => {
    const graph = importsOf(new URL('../src/index.ts', import.meta.url));
    const outside = new Set([...graph.values()].flat().filter((name) => !name.startsWith('.')));
    expect(graph.size).toBeGreaterThan(15);
    expect([...outside].sort()).toEqual([
      '@bitauth/libauth/build/lib/crypto/secp256k1.js',
      '@noble/hashes/sha2.js',
      '@noble/hashes/sha3.js',
    ]);
  });

  it('use no Node global in the main one', () => {
    for (const href of importsOf(new URL('../src/index.ts', import.meta.url)).keys()) {
      expect(readFileSync(new URL(href), 'utf8')).not.toMatch(/\b(Buffer|process|require)\b[.(]/);
    }
  });

  it('offer the same functions under the same names', () => {
    const functions = Object.entries(node).filter(([, value]) => typeof value === 'function');
    const missing = functions.map(([name]) => name).filter((name) => !(name in web));
    // `KeyObject` exists in Node only, and webhooks are sent to servers.
    expect(missing).toEqual(['publicKeyObject', 'verifyWebhook']);
  });
});
