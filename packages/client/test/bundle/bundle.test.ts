/**
 * What a browser has to load. Ceilings are raised only by the change that needs it, and `docs/client.md` shows the
 * sizes that this test measures.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build, type OutputFile } from 'esbuild';
import { describe, expect, test } from 'vitest';

const client = fileURLToPath(new URL('../../src/index.ts', import.meta.url));
const page = fileURLToPath(new URL('../../../../docs/client.md', import.meta.url));

/** Things only a server has. None of them may reach a browser. */
const SERVER_WORDS = [
  'fastify',
  'kysely',
  'libsql',
  'prom-client',
  'drop table',
  'insert into',
  'node:',
  'process.env',
  'require(',
  'socket.io-client',
  'socket.io-parser',
  'engine.io',
  '@countersign/gateway',
  'set-cookie:',
  'x-forwarded-for',
];

interface Size {
  /** Bytes, gzipped, of what is loaded before anything runs. */
  first: number;
  /** Bytes, gzipped, of chunks that are loaded when they are needed. */
  later: number;
  /** All that may be loaded, and what is loaded first. */
  text: string;
  firstText: string;
}

async function bundle(names: string): Promise<Size> {
  const { outputFiles, metafile } = await build({
    stdin: {
      contents: `export { ${names} } from ${JSON.stringify(client)};`,
      resolveDir: fileURLToPath(new URL('.', import.meta.url)),
      loader: 'ts',
    },
    outdir: '/out',
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'browser',
    target: 'es2022',
    conditions: ['source'],
    minify: true,
    write: false,
    metafile: true,
    logLevel: 'silent',
  });
  const outputs = metafile.outputs;
  const entry = Object.keys(outputs).find((path) => outputs[path]?.entryPoint?.includes('stdin')) ?? '';
  const reach = (from: string, kinds: string[], found = new Set<string>()): Set<string> => {
    if (found.has(from)) return found;
    found.add(from);
    for (const { path, kind } of outputs[from]?.imports ?? []) {
      if (kinds.includes(kind)) reach(path, kinds, found);
    }
    return found;
  };
  const first = reach(entry, ['import-statement']);
  const all = reach(entry, ['import-statement', 'dynamic-import']);
  const contents = (path: string) =>
    outputFiles.find((file) => file.path.endsWith(path.slice(path.lastIndexOf('/')))) as OutputFile;
  const size = (paths: string[]) =>
    paths.reduce((sum, path) => sum + gzipSync(contents(path).contents, { level: 9 }).length, 0);
  return {
    first: size([...first]),
    later: size([...all].filter((path) => !first.has(path))),
    text: [...all].map((path) => contents(path).text).join('\n'),
    firstText: [...first].map((path) => contents(path).text).join('\n'),
  };
}

const hasWebAssembly = (text: string): boolean => text.includes('WebAssembly');
/** keccak-f has 24 rounds (FIPS 202 section 3.4), which noble counts. */
const hasKeccak = (text: string): boolean => /<\s*24\b/.test(text);

const kB = (bytes: number): string => (bytes / 1000).toFixed(1);

const cases: [string, string, number][] = [
  ['a wallet session', 'createWalletSession, localStorageStore', 12],
  ['an API key', 'createApiKey', 11],
  ['a handshake token', 'createHandshakeToken', 2],
  ['public streams', 'createFeed, coinbaseDialect', 16],
  ['a wallet session and a feed', 'createWalletSession, createFeed, ethgasDialect, presets', 25],
  ['an API key and a feed', 'createApiKey, createFeed, coinbaseDialect, presets', 25],
];

describe('the browser bundle', () => {
  test.each(cases)('of %s stays below its ceiling, without server words', async (title, names, ceiling) => {
    const { first, text } = await bundle(names);
    expect(first).toBeLessThan(ceiling * 1000);
    // Compared outside of expect, which would print the whole bundle.
    expect(SERVER_WORDS.filter((word) => text.toLowerCase().includes(word))).toEqual([]);
    // The page is written by hand: within a tenth it is still true.
    const row = readFileSync(page, 'utf8').match(new RegExp(`^\\| ${title} \\|[^|]*\\| ([\\d.]+) kB`, 'm'));
    expect(row, `docs/client.md has no row for "${title}", which is ${kB(first)} kB`).not.toBeNull();
    expect(Math.abs(Number(row?.[1]) * 1000 - first), `${title} is ${kB(first)} kB`).toBeLessThan(first / 10);
  });

  test('loads secp256k1 and Keccak only when a private key signs', async () => {
    const { first, later, text, firstText } = await bundle('createWalletSession');
    expect([hasWebAssembly(text), hasKeccak(text)]).toEqual([true, true]);
    expect([hasWebAssembly(firstText), hasKeccak(firstText)]).toEqual([false, false]);
    expect(later).toBeGreaterThan(100_000);
    expect(first).toBeLessThan(12_000);
  });

  test('with one dialect has nothing of the other', async () => {
    const words = { ethgasDialect: 'accountOrderUpdate', coinbaseDialect: 'market_trades' };
    for (const [dialect, word] of Object.entries(words)) {
      const { text } = await bundle(`createFeed, ${dialect}`);
      const others = Object.values(words).filter((other) => other !== word);
      expect([text.includes(word), others.some((other) => text.includes(other))]).toEqual([true, false]);
    }
  });

  test('without a wallet has no WebAssembly and no Keccak', async () => {
    const { text } = await bundle('createApiKey, createFeed, coinbaseDialect');
    expect([hasWebAssembly(text), hasKeccak(text)]).toEqual([false, false]);
  });
});
