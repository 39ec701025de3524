import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { EXIT } from '../src/exit-codes.ts';

const page = readFileSync(new URL('../../../docs/cli.md', import.meta.url), 'utf8');
const section = page.slice(page.indexOf('## Exit codes'));
const rows = [...section.matchAll(/^\| (\d+) \| `(\w+)` \| (.+?) \|$/gm)].map(([, code, name, meaning]) => ({
  code: Number(code),
  name,
  meaning,
}));

test('docs/cli.md and the table of exit codes say the same, in both directions', () => {
  expect(rows).toEqual(Object.entries(EXIT).map(([name, { code, meaning }]) => ({ code, name, meaning })));
});

test('no two outcomes share a code', () => {
  const codes = Object.values(EXIT).map(({ code }) => code);
  expect(new Set(codes).size).toBe(codes.length);
});
