import { describe, expect, test } from 'vitest';
import { check, isBelow } from '../checks/lock.mjs';
import { treeOf } from '../checks/tree.mjs';

const today = new Date('2026-11-21');
const floors = {
  reviewed: '2026-11-01',
  floors: [{ package: 'ws', minimum: '8.21.0', advisory: 'GHSA-x' }],
  banned: [{ package: 'elliptic', reason: 'bad', allowedInTests: true }],
};

const run = (packages: Record<string, object>, reviewed = floors.reviewed) =>
  check(
    treeOf({
      'package.json': JSON.stringify({ allowScripts: { esbuild: false } }),
      'package-lock.json': JSON.stringify({ packages }),
      'security/floors.json': JSON.stringify({ ...floors, reviewed }),
    }),
    today,
  );
const good = { version: '1.0.0', integrity: 'sha512-x' };

describe('the lockfile', () => {
  test('a sound entry is accepted', () => {
    expect(run({ 'node_modules/a': good }).problems).toEqual([]);
  });

  test.each([
    ['no integrity', { 'node_modules/a': { version: '1.0.0' } }, 'no integrity'],
    ['git', { 'node_modules/a': { ...good, resolved: 'git+ssh://host/a' } }, 'comes from git'],
    ['plain http', { 'node_modules/a': { ...good, resolved: 'http://host/a.tgz' } }, 'comes from http'],
    [
      'an undecided install script',
      { 'node_modules/a': { ...good, hasInstallScript: true } },
      'install script',
    ],
    [
      'a lost platform package',
      { 'node_modules/a': { ...good, optionalDependencies: { b: '1' } } },
      'missing',
    ],
    ['a version range', { '': { dependencies: { a: '^1.0.0' } } }, 'exact version'],
    ['a version below an advisory', { 'node_modules/ws': { ...good, version: '8.20.9' } }, 'GHSA-x'],
    [
      'a nested version below an advisory',
      { 'node_modules/b/node_modules/ws': { ...good, version: '7.5.0' } },
      'GHSA-x',
    ],
    ['a banned package', { 'node_modules/elliptic': good }, 'banned'],
  ])('%s is refused', (_, packages, problem) => {
    expect(run(packages).problems).toEqual([expect.stringContaining(problem)]);
  });

  test('a decided install script and a banned package that only tests use are accepted', () => {
    const packages = {
      'node_modules/esbuild': { ...good, hasInstallScript: true },
      'node_modules/elliptic': { ...good, dev: true },
    };
    expect(run(packages).problems).toEqual([]);
  });

  test('a list of floors that nobody has looked at for long is noted', () => {
    expect(run({}, '2026-09-01').warnings).toEqual([expect.stringContaining('81 days ago')]);
  });
});

test.each([
  ['8.20.1', '8.21.0', true],
  ['8.21.0', '8.21.0', false],
  ['10.0.0', '9.9.9', false],
  ['1.0.0-rc.1', '1.0.0', true],
])('%s is below %s: %s', (a, b, expected) => {
  expect(isBelow(a, b)).toBe(expected);
});
