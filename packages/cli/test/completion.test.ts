import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { root } from '../src/command-tree.ts';
import { nodesOf } from '../src/completion/tree.ts';
import { EXIT } from '../src/exit-codes.ts';
import { run } from '../src/run.ts';
import { testIo } from './test-io.ts';

async function script(shell: string) {
  const io = testIo();
  expect(await run(['completion', shell], io)).toBe(EXIT.ok.code);
  return io.outLines.join('\n');
}

/** What bash offers for the last word. */
async function offered(...words: string[]): Promise<string[]> {
  const program = `${await script('bash')}
COMP_WORDS=(countersign "$@"); COMP_CWORD=$#
_countersign; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const out = execFileSync('bash', ['-c', program, 'bash', ...words], { encoding: 'utf8' });
  return out.trim().split('\n');
}

test('bash completes commands, their commands, and flags that begin like the word', async () => {
  expect(await offered('lis')).toEqual(['listen']);
  expect(await offered('signing-keys', 'r')).toEqual(['rotate', 'revoke']);
  expect(await offered('key', 'create', '--nick')).toEqual(['--nickname']);
  expect(await offered('token', '')).toContain('ws');
});

test('bash is not misled by the value of a flag', async () => {
  expect(await offered('--profile', 'key', 'whoa')).toEqual(['whoami']);
  expect(await offered('listen', '--channel', '')).toEqual(['']);
});

test('every command and flag is in every script', async () => {
  const nodes = nodesOf(root);
  expect(nodes.length).toBeGreaterThan(30);
  for (const shell of ['bash', 'zsh', 'fish']) {
    const text = await script(shell);
    for (const { path, flags } of nodes) {
      if (path.length > 0) expect(text).toContain(`'${path.join(' ')}'`);
      for (const { word } of flags) expect(text).toContain(word.slice(2));
    }
  }
});

test('every command and flag says what it is for, because completion shows it', () => {
  for (const { path, commands, flags } of nodesOf(root)) {
    for (const { word, description } of [...commands, ...flags])
      expect(description, `${path.join(' ')} ${word}`).not.toBe('');
  }
});

test('an unknown shell is refused', async () => {
  expect(await run(['completion', 'tcsh'], testIo())).toBe(EXIT.usage.code);
});
