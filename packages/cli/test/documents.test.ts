/** The pages and the program name the same commands and flags. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { root } from '../src/command-tree.ts';
import { nodesOf } from '../src/completion/tree.ts';

const read = (name: string) => readFileSync(new URL(`../../../docs/${name}`, import.meta.url), 'utf8');
const pages = ['cli.md', 'guides/first-bot.md', 'guides/operators-cheatsheet.md'];
const nodes = nodesOf(root);
const leaves = nodes.filter(({ commands }) => commands.length === 0).map(({ path }) => path.join(' '));

test('docs/cli.md has every command in its table, and no other', () => {
  const page = read('cli.md');
  const table = page.slice(page.indexOf('| command |'), page.indexOf('## Profiles'));
  const named = [...table.matchAll(/^\| (.+?) \|/gm)].flatMap(([, cell = '']) =>
    [...cell.matchAll(/`([^`]+)`/g)].map(([, name]) => name),
  );
  expect(named.sort()).toEqual([...leaves].sort());
});

test.each(pages)('every command line in %s is one that the program understands', (name) => {
  const lines = [...read(name).matchAll(/(?:countersign|dist\/main\.js) ([a-z][^`\n]*)/g)].map(
    ([, line]) => line ?? '',
  );
  expect(lines.length).toBeGreaterThan(0);
  for (const line of lines) {
    const words = line.replace(/'[^']*'|"[^"]*"/g, 'text').split(/[\s)]+/);
    const path = words.slice(0, 2).filter((word) => /^[a-z-]+$/.test(word) && !word.startsWith('-'));
    const node =
      nodes.find((one) => one.path.join(' ') === path.join(' ')) ??
      nodes.find((one) => one.path.join(' ') === path[0]);
    expect(node, line).toBeDefined();
    for (const flag of words.filter((word) => word.startsWith('--')))
      expect(
        node?.flags.map(({ word }) => word),
        line,
      ).toContain(flag);
  }
});
