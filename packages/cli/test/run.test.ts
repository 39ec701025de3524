import { describe, expect, test } from 'vitest';
import { EXIT } from '../src/exit-codes.ts';
import { run } from '../src/run.ts';
import { testIo } from './test-io.ts';

async function said(...argv: string[]) {
  const io = testIo();
  const code = await run(argv, io);
  return { code, out: io.outLines.join('\n'), err: io.errLines.join('\n') };
}

describe('help', () => {
  test.each([
    ['countersign', []],
    ['countersign', ['--help']],
    ['countersign login', ['login', '--help']],
    ['countersign whoami', ['whoami', '--help']],
    ['countersign logout', ['logout', '--help']],
    ['countersign listen', ['listen', '-h']],
    ['countersign serve', ['serve', '--help']],
    ['countersign key', ['key', '--help']],
    ['countersign signing-keys revoke', ['signing-keys', 'revoke', '--help']],
    ['countersign config print', ['config', 'print', '--help']],
  ])('of %s goes to standard output and is a success', async (name, argv) => {
    const { code, out, err } = await said(...argv);
    expect(code).toBe(EXIT.ok.code);
    expect(out).toContain(name);
    expect(err).toBe('');
  });
});

describe('a command line that is not understood', () => {
  test.each([
    ['an unknown command', ['launch'], 'no command "launch"'],
    ['a group without its command', ['key'], 'rename'],
    ['an unknown flag', ['serve', '--no-sandbx'], 'no flag --no-sandbx'],
    ['a flag that cannot be negated', ['serve', '--no-port'], 'no flag --no-port'],
    ['a flag without its value', ['login', '--url'], '--url needs a value'],
    ['a stray word', ['whoami', 'now'], 'what should "now" be?'],
    ['a port that is no number', ['serve', '--port', 'http'], '--port needs a number'],
    ['a chain that is no number', ['login', '--chain-id', 'mainnet'], '--chain-id needs a number'],
    ['a missing channel', ['listen'], '--channel'],
    ['a count of nothing', ['listen', '--channel', 'blockBuilderUpdate', '--count', '0'], '--count needs'],
    ['an address of another kind', ['login', '--url', 'ftp://x'], 'no http or https address'],
    ['an address with a password', ['login', '--url', 'http://a:b@x'], 'must not carry a user'],
  ])('%s is refused with a line that names it', async (_, argv, line) => {
    const { code, out, err } = await said(...argv);
    expect(code).toBe(EXIT.usage.code);
    expect(err).toContain(line);
    expect(out).toBe('');
  });

  test('is reported as JSON where that was asked for', async () => {
    const { err } = await said('whoami', '--json', '--tour');
    expect(JSON.parse(err)).toMatchObject({ event: 'error', error: 'usage' });
  });
});

describe('a private key on the command line', () => {
  test.each(['--key', '--private-key', '--privateKey', '--wallet-key', '--pk'])(
    'as %s is refused unused and unshown',
    async (flag) => {
      const key = 'ab'.repeat(32);
      for (const argv of [[flag, key], [`${flag}=${key}`]]) {
        const { code, err } = await said('login', ...argv);
        expect(code).toBe(EXIT.usage.code);
        expect(err).not.toContain(key);
      }
      expect((await said('login', '--key', key)).err).toContain('does not belong on a command line');
    },
  );
});

test('control characters of the command line do not reach the terminal', async () => {
  expect((await said('\u001b[2Jx')).err).not.toContain('\u001b');
});
