import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { variables } from '../src/config-sources.ts';
import { EXIT } from '../src/exit-codes.ts';
import { PRESETS, takeProfile, withProfile } from '../src/profiles.ts';
import { run } from '../src/run.ts';
import { sessionPath } from '../src/session/session-file.ts';
import { testIo } from './test-io.ts';

let home: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'countersign-profiles-'));
});
afterEach(() => rmSync(home, { recursive: true }));
const file = () => join(home, 'profiles.yaml');

async function profile(...argv: string[]) {
  const io = testIo({ env: { COUNTERSIGN_HOME: home } });
  const code = await run(['profile', ...argv], io);
  return { code, out: io.outLines, err: io.errLines.join('\n') };
}

test('the built-in profiles name both ETHGas networks, Coinbase and this machine', async () => {
  const { out } = await profile('list', '--json');
  expect(out.map((line) => JSON.parse(line))).toEqual(
    Object.entries(PRESETS).map(([name, preset]) => ({ name, builtIn: true, ...preset })),
  );
  expect(PRESETS['ethgas-hoodi']).toEqual({
    url: 'https://hoodi.app.ethgas.com/api',
    webSocketUrl: 'wss://hoodi.app.ethgas.com/ws',
    chainId: 560048,
  });
  expect(Object.keys(PRESETS)).toEqual(['ethgas-mainnet', 'ethgas-hoodi', 'coinbase', 'local']);
});

test('a profile is made, changed member by member, shown and removed, in a file for its owner only', async () => {
  expect((await profile('set', 'desk', '--url', 'https://gw.test', '--key-file', 'k.json')).code).toBe(0);
  await profile('set', 'desk', '--internal-url', 'http://10.0.0.1:4401', '--chain-id', '1');
  const { out } = await profile('list', '--json');
  expect(JSON.parse(out.at(-1) ?? '')).toEqual({
    name: 'desk',
    builtIn: false,
    url: 'https://gw.test',
    keyFile: 'k.json',
    internalUrl: 'http://10.0.0.1:4401',
    chainId: 1,
  });
  expect(statSync(file()).mode & 0o777).toBe(0o600);
  expect((await profile('remove', 'desk')).code).toBe(0);
  expect(readFileSync(file(), 'utf8').trim()).toBe('{}');
});

test('a built-in profile can be changed, and comes back when the change is removed', async () => {
  await profile('set', 'local', '--url', 'http://127.0.0.1:5500');
  expect((await profile('list')).out.join('\n')).toContain('http://127.0.0.1:5500');
  await profile('remove', 'local');
  expect((await profile('list')).out.join('\n')).toContain('http://127.0.0.1:4400');
});

test.each([
  ['a new one without an address', ['set', 'desk']],
  ['a name with a path in it', ['set', '../desk', '--url', 'http://x.test']],
  ['an address with a password', ['set', 'desk', '--url', 'http://a:b@x.test']],
  ['a chain that is no number', ['set', 'desk', '--url', 'http://x.test', '--chain-id', 'main']],
  ['removing what is not there', ['remove', 'desk']],
])('%s is refused', async (_, argv) => {
  expect((await profile(...argv)).code).toBe(EXIT.usage.code);
});

test('a file with something else in it is refused, naming what', async () => {
  writeFileSync(file(), 'desk: {url: http://x.test, secret: 1}');
  const { code, err } = await profile('list');
  expect(code).toBe(EXIT.config.code);
  expect(err).toContain('"desk" is no profile');
});

test('--profile works anywhere on a command line, beats variables, and has a session of its own', () => {
  expect(takeProfile(['whoami', '--profile', 'local', '--json'], {})).toEqual({
    words: ['whoami', '--json'],
    profile: 'local',
  });
  expect(takeProfile(['--profile=local', 'whoami'], { COUNTERSIGN_PROFILE: 'coinbase' }).profile).toBe(
    'local',
  );
  const io = withProfile(
    testIo({ env: { COUNTERSIGN_URL: 'http://x.test', COUNTERSIGN_HOME: home } }),
    'ethgas-hoodi',
  );
  expect(io.env).toMatchObject({
    COUNTERSIGN_URL: 'https://hoodi.app.ethgas.com/api',
    COUNTERSIGN_CHAIN_ID: '560048',
  });
  expect(sessionPath(io.env)).toBe(join(home, 'session-ethgas-hoodi.json'));
});

test('an unknown profile is refused with the names that there are', async () => {
  const io = testIo({ env: { COUNTERSIGN_HOME: home } });
  expect(await run(['whoami', '--profile', 'nowhere'], io)).toBe(EXIT.usage.code);
  expect(io.errLines.join('\n')).toContain('ethgas-mainnet, ethgas-hoodi, coinbase, local');
});

test('no variable of a profile means a setting of the gateway', () => {
  const { env } = withProfile(testIo({ env: { COUNTERSIGN_HOME: home } }), 'ethgas-hoodi');
  const settings = variables();
  expect(Object.keys(env).filter((name) => settings.has(name))).toEqual([]);
});
