/** docs/operations/logs.md and the program name the same events. */
import { readdirSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';

const root = new URL('../../../../', import.meta.url);
const read = (path: string) => readFileSync(new URL(path, root), 'utf8');

const sources = [
  ...readdirSync(new URL('packages/gateway/src/', root), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts') && !path.startsWith('dialects/'))
    .map((path) => `packages/gateway/src/${path}`),
  'packages/cli/src/serve/serve.ts',
];
const written = new Set(
  sources.flatMap((path) =>
    [...read(path).matchAll(/(?:[{\s]event: |\bfault\()'([a-z]+(?:[.-][a-z]+)*)'/g)].map(
      ([, event]) => event,
    ),
  ),
);
const page = read('docs/operations/logs.md');
const documented = [...page.matchAll(/^\| `([a-z.-]+)` \| (?:info|warn|error|fatal)/gm)].map(
  ([, event]) => event,
);

it('the page lists every event that the program can write, once, and no other', () => {
  expect(documented.length).toBeGreaterThan(20);
  expect([...documented].sort()).toEqual([...written].sort());
});
