import { describe, expect, test } from 'vitest';
import { check as sizes } from '../checks/sizes.mjs';
import { treeOf } from '../checks/tree.mjs';
import { check } from '../checks/words.mjs';

const run = (path: string, text: string) => check(treeOf({ [path]: text })).problems;

describe('text that must not be committed', () => {
  test.each([
    ['the host of a registry', '.npmrc', `registry=https://${['registry', 'npmjs', 'org'].join('.')}/`],
    ['a path of one machine', 'docs/a.md', `cd ${['', 'work', 'main'].join('/')}`],
    ['a home folder', 'tools/a.mjs', "read('/home/jo/x')"],
    ['a note to oneself', 'packages/a/src/a.ts', '// TODO later'],
    ['randomness that can be guessed', 'packages/a/src/a.ts', 'Math.random()'],
    ['code made from text', 'packages/a/src/a.ts', 'eval(text)'],
    ['a child process', 'packages/a/src/a.ts', "import 'node:child_process';"],
  ])('%s is found', (_, path, text) => {
    expect(run(path, `first line\n${text}\n`)).toEqual([expect.stringMatching(/:2: /)]);
  });

  test('what product code may not do, tests and tools may', () => {
    expect(run('tools/a.mjs', "import 'node:child_process'; Math.random();")).toEqual([]);
    expect(run('packages/testkit/src/a.ts', "import 'node:child_process';")).toEqual([]);
  });

  test('a path in a URL is no path of a machine', () => {
    expect(run('docs/a.md', `https://example.com/${'work'}/x and app/home/x`)).toEqual([]);
  });
});

describe('file sizes', () => {
  test('a long file is noted, a very long one refused, vectors are exempt', () => {
    const report = sizes(
      treeOf({
        'packages/a/src/long.ts': '\n'.repeat(400),
        'packages/a/src/huge.ts': '\n'.repeat(501),
        'packages/a/test/vectors/data.ts': '\n'.repeat(900),
      }),
    );
    expect(report.warnings).toEqual([expect.stringContaining('long.ts')]);
    expect(report.problems).toEqual([expect.stringContaining('huge.ts')]);
  });
});
