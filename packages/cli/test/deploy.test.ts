/** The files in deploy/ say nothing that the program does not understand. */
import { readFileSync } from 'node:fs';
import { configSchema } from '@countersign/gateway';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { root } from '../src/command-tree.ts';
import { nodesOf } from '../src/completion/tree.ts';
import { composeConfig } from '../src/config-sources.ts';

const read = (path: string) => readFileSync(new URL(`../../../deploy/${path}`, import.meta.url), 'utf8');
const serve = nodesOf(root).find(({ path }) => path.join(' ') === 'serve');
const flagsOf = (words: readonly string[]) =>
  words.filter((word) => word.startsWith('--')).map((word) => word.split('=')[0]);
const known = serve?.flags.map(({ word }) => word) ?? [];

interface Service {
  command?: string[];
  environment?: Record<string, string>;
}
const compose = parse(read('containers/compose.yml'), { merge: true }) as {
  services: Record<string, Service>;
};

test.each(['gateway-a', 'gateway-b'])(
  'compose.yml gives %s settings that there are, and valid ones',
  (name) => {
    const { command = [], environment = {} } = compose.services[name] ?? {};
    expect(command[0]).toBe('serve');
    expect(known).toEqual(expect.arrayContaining(flagsOf(command)));
    const { input, warnings } = composeConfig({ file: undefined, env: environment, flags: {} });
    expect(warnings).toEqual([]);
    expect(
      Object.keys(environment).filter((variable) => variable.startsWith('COUNTERSIGN_')).length,
    ).toBeGreaterThan(2);
    expect(configSchema.safeParse(input).error).toBeUndefined();
  },
);

test('the image begins with the program itself, so that it hears SIGTERM', () => {
  const entry = /^ENTRYPOINT (\[.*\])$/m.exec(read('containers/Containerfile'))?.[1] ?? '[]';
  expect(JSON.parse(entry)).toEqual(['node', 'packages/cli/dist/main.js']);
  const command = /^CMD (\[.*\])$/m.exec(read('containers/Containerfile'))?.[1] ?? '[]';
  expect(known).toEqual(expect.arrayContaining(flagsOf(JSON.parse(command) as string[])));
});

test('the unit starts with flags that there are, and waits for longer than a drain may take', () => {
  const unit = read('systemd/countersign.service');
  const start = /^ExecStart=(.*)$/m.exec(unit)?.[1]?.split(' ') ?? [];
  expect(known).toEqual(expect.arrayContaining(flagsOf(start.slice(start.indexOf('serve')))));
  const { drain } = configSchema.parse({});
  expect(Number(/^TimeoutStopSec=(\d+)$/m.exec(unit)?.[1])).toBeGreaterThan(drain.limit + drain.notice);
});
