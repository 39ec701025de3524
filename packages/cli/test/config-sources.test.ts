import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { configSchema, parseConfig } from '@countersign/gateway';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { composeConfig, masked, variables } from '../src/config-sources.ts';
import { run } from '../src/run.ts';
import { testIo } from './test-io.ts';

const composed = (env: Record<string, string>, flags: Record<string, unknown> = {}, file?: string) =>
  composeConfig({ env, flags, file });

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-config-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('settings', () => {
  test('come from the file, then the environment, then flags', () => {
    const file = join(folder, 'c.yaml');
    writeFileSync(file, 'host: 0.0.0.0\nport: 1\ninternalPort: 2\ntokens: { accessTtl: 10, leeway: 5 }\n');
    const { input } = composed({ COUNTERSIGN_PORT: '3', COUNTERSIGN_ACCESS_TTL: '20' }, { port: 4 }, file);
    expect(input).toEqual({
      host: '0.0.0.0',
      port: 4,
      internalPort: 2,
      tokens: { accessTtl: 20, leeway: 5 },
    });
  });

  test('come from the file that the environment names', () => {
    const file = join(folder, 'c.yaml');
    writeFileSync(file, 'port: 7');
    expect(composed({ COUNTERSIGN_CONFIG: file }).input).toEqual({ port: 7 });
  });

  test('are all defaults when there are none', () => {
    expect(composed({}).input).toEqual({});
  });
});

describe('a variable', () => {
  test.each([
    ['COUNTERSIGN_PORT', '0', { port: 0 }],
    ['COUNTERSIGN_INTERNAL_PORT', '5', { internalPort: 5 }],
    ['COUNTERSIGN_HOST', '::1', { host: '::1' }],
    ['COUNTERSIGN_INTERNAL_HOST', '::1', { internalHost: '::1' }],
    ['COUNTERSIGN_DATA_DIR', '/d', { dataDir: '/d' }],
    ['COUNTERSIGN_LOG_LEVEL', 'debug', { logLevel: 'debug' }],
    ['COUNTERSIGN_ACCESS_TTL', '2.5', { tokens: { accessTtl: 2.5 } }],
    ['COUNTERSIGN_REFRESH_TTL', '9', { tokens: { refreshTtl: 9 } }],
    ['COUNTERSIGN_NONCE_TTL', '9', { tokens: { nonceTtl: 9 } }],
    ['COUNTERSIGN_LEEWAY', '0', { tokens: { leeway: 0 } }],
    ['COUNTERSIGN_TOKENS_ROTATION_GRACE_STRICT', '3', { tokens: { rotationGrace: { strict: 3 } } }],
    ['COUNTERSIGN_WALLET_CHAIN_IDS', '1, 560048', { wallet: { chainIds: [1, 560048] } }],
    [
      'COUNTERSIGN_WALLET_RPC',
      '{"1":"http://127.0.0.1:8545"}',
      { wallet: { rpc: { '1': 'http://127.0.0.1:8545' } } },
    ],
    [
      'COUNTERSIGN_HTTP_ORIGINS',
      'https://a.example,https://b.example',
      { http: { origins: ['https://a.example', 'https://b.example'] } },
    ],
    ['COUNTERSIGN_HTTP_ORIGINS', '', { http: { origins: [] } }],
    ['COUNTERSIGN_VENUE_URL', '', { venue: { url: null } }],
    ['COUNTERSIGN_COINBASE_SEQUENCE', 'connection', { coinbase: { sequence: 'connection' } }],
  ])('%s=%s is the setting %j', (name, text, setting) => {
    const { input, warnings } = composed({ [name]: text });
    expect(input).toEqual(setting);
    expect(warnings).toEqual([]);
    expect(() => parseConfig(input)).not.toThrow();
  });

  test.each([
    ['COUNTERSIGN_PORT', ''],
    ['COUNTERSIGN_PORT', '0x10'],
    ['COUNTERSIGN_LEEWAY', '5 s'],
    ['COUNTERSIGN_WALLET_RPC', '{'],
  ])('%s=%j is refused by its name', (name, text) => {
    expect(() => composed({ [name]: text })).toThrow(name);
  });

  test('that means nothing is named in a warning; those of the program itself are not', () => {
    const env = { COUNTERSIGN_PROT: '1', COUNTERSIGN_HOME: '/h', COUNTERSIGN_WALLET_KEY: 'x', OTHER: '1' };
    expect(composed(env).warnings).toEqual(['COUNTERSIGN_PROT is set, but there is no such setting']);
  });

  test('exists for every setting of the schema, under its default or any other value', () => {
    const leaves = (value: unknown, path: string[] = []): string[] =>
      typeof value === 'object' && value !== null && !Array.isArray(value) && Object.keys(value).length > 0
        ? Object.entries(value).flatMap(([key, inner]) => leaves(inner, [...path, key]))
        : [path.join('.')];
    const known = new Set([...variables().values()].map((leaf) => leaf.path.join('.')));
    const inSchema = leaves(configSchema.parse({}));
    expect(
      inSchema.filter((path) => ![...known].some((leaf) => path === leaf || path.startsWith(`${leaf}.`))),
    ).toEqual([]);
    expect(inSchema.length).toBeGreaterThan(30);
  });
});

describe('config print', () => {
  test('shows every setting, with its default or its value, and masks what may be secret', async () => {
    const env = {
      COUNTERSIGN_PORT: '4500',
      COUNTERSIGN_WALLET_RPC: '{"1":"https://rpc.example/v2/secret-key"}',
      COUNTERSIGN_VENUE_URL: 'http://user:secret-pass@venue.example',
    };
    const io = testIo({ env });
    expect(await run(['config', 'print', '--json'], io)).toBe(0);
    const shown = JSON.parse(io.outLines[0] ?? '') as Record<string, unknown>;
    expect(shown).toMatchObject({
      port: 4500,
      internalPort: 4401,
      wallet: { rpc: { '1': 'https://rpc.example/***' } },
    });
    expect(io.outLines.join()).not.toContain('secret-');
    expect(masked({ db: { password: 'x', apiToken: 'y' }, tokens: { accessTtl: 1 } })).toEqual({
      db: { password: '***', apiToken: '***' },
      tokens: { accessTtl: 1 },
    });
  });
});
