import { describe, expect, test } from 'vitest';
import { check } from '../checks/docs.mjs';
import { treeOf } from '../checks/tree.mjs';

const run = (text: string, more: Record<string, string> = {}) =>
  check(
    treeOf({ 'package.json': '{"scripts":{"bench":"x"}}', 'docs/a.md': text, 'tools/x.mjs': '', ...more }),
  ).problems;

describe('a document', () => {
  test.each([
    ['a link to a file', '[x](../tools/x.mjs)'],
    ['a link to a folder', '[x](../tools/)'],
    ['a link to its own heading', '# One (two)\n[x](#one-two)'],
    ['a link to the web', '[x](https://example.com/y)'],
    ['a script', '`npm run bench`'],
    ['a path in code', 'see `tools/x.mjs`'],
    ['a built file', '`packages/cli/dist/main.js`'],
    ['a link inside a code block', '```\n[x](nowhere.md)\n```'],
  ])('with %s is accepted', (_, text) => {
    expect(run(text)).toEqual([]);
  });

  test.each([
    ['a link to nothing', '[x](gone.md)', 'does not exist'],
    ['a link to a missing heading', '# One\n[x](#two)', 'no such heading'],
    ['a script that is not there', '`npm run gone`', 'package.json does not have'],
    ['a command that npm does not have', '`npm launch`', 'no npm command'],
    ['a path that is not there', 'see `tools/gone.mjs`', 'tools/gone.mjs'],
    ['a path that is not there in a block', '```\nnode bench/gone.mjs\n```', 'bench/gone.mjs'],
  ])('with %s is refused', (_, text, problem) => {
    expect(run(text)).toEqual([expect.stringContaining(problem)]);
  });
});
