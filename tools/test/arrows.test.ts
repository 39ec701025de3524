import { describe, expect, test } from 'vitest';
import { check } from '../checks/arrows.mjs';
import { importsOf } from '../checks/imports.mjs';
import { treeOf } from '../checks/tree.mjs';

const manifest = (...names: string[]) =>
  JSON.stringify({ dependencies: Object.fromEntries(names.map((name) => [name, '1.0.0'])) });

/** Problems of a gateway that consists of these files. */
const gateway = (files: Record<string, string>, dependencies: string[] = []) =>
  check(
    treeOf({
      'packages/gateway/package.json': manifest(...dependencies),
      ...Object.fromEntries(
        Object.entries(files).map(([path, text]) => [`packages/gateway/src/${path}`, text]),
      ),
    }),
  ).problems;

describe('between packages', () => {
  test('an arrow of the design is accepted', () => {
    expect(
      gateway({ 'gateway.ts': "import { x } from '@countersign/tokens';" }, ['@countersign/tokens']),
    ).toEqual([]);
  });

  test('a package that must not know another is named', () => {
    const tree = treeOf({
      'packages/tokens/package.json': manifest('@countersign/gateway'),
      'packages/tokens/src/a.ts': "import type { X } from '@countersign/gateway';",
    });
    expect(check(tree).problems).toEqual(['packages/tokens/src/a.ts: tokens may not import gateway']);
  });

  test('reaching around the front door is refused', () => {
    const problems = gateway({ 'gateway.ts': "import '@countersign/tokens/src/x.ts';" }, [
      '@countersign/tokens',
    ]);
    expect(problems).toEqual([expect.stringContaining('use the doors')]);
  });

  test('a second door that the other package exports is accepted', () => {
    const tree = treeOf({
      'packages/tokens/package.json': JSON.stringify({ exports: { './node': {} } }),
      'packages/gateway/package.json': manifest('@countersign/tokens'),
      'packages/gateway/src/gateway.ts': "import '@countersign/tokens/node';",
    });
    expect(check(tree).problems).toEqual([]);
  });

  test('an import that the manifest does not list is refused', () => {
    expect(gateway({ 'gateway.ts': "import pino from 'pino';" })).toEqual([
      expect.stringContaining('does not list'),
    ]);
  });

  test('a relative import that leaves the package is refused', () => {
    const problems = gateway({ 'gateway.ts': "import '../../tokens/src/index.ts';" });
    expect(problems).toEqual([expect.stringContaining("outside its package's src")]);
  });
});

describe('inside the gateway', () => {
  test('imports may point down', () => {
    const files = { 'session/a.ts': "import { b } from '../store/b.ts';", 'store/b.ts': '' };
    expect(gateway(files)).toEqual([]);
  });

  test('a lower floor may not reach for a higher one', () => {
    const files = { 'store/b.ts': "import { a } from '../session/a.ts';", 'session/a.ts': '' };
    expect(gateway(files)).toEqual([expect.stringContaining('higher floor')]);
  });

  test('shared words may be imported upward as types', () => {
    const up = {
      'session/principal.ts': '',
      'store/b.ts': "import type { A } from '../session/principal.ts';",
    };
    expect(gateway(up)).toEqual([]);
    const value = { ...up, 'store/b.ts': "import { A } from '../session/principal.ts';" };
    expect(gateway(value)).toEqual([expect.stringContaining('not as a type')]);
  });

  test('a door may not ask the store', () => {
    const files = { 'doors/http/a.ts': "import { s } from '../../store/s.ts';", 'store/s.ts': '' };
    expect(gateway(files)).toEqual([expect.stringContaining('never asks the store')]);
  });

  test('only doors may import a socket library', () => {
    expect(gateway({ 'session/a.ts': "import { WebSocket } from 'ws';" }, ['ws'])).toEqual([
      expect.stringContaining('only doors see sockets'),
    ]);
  });

  test('a file on no floor is refused', () => {
    expect(gateway({ 'helpers/a.ts': '' })).toEqual([expect.stringContaining('on no floor')]);
  });

  test('files whose types name each other are accepted', () => {
    const files = {
      'streams/a.ts': "import type { B } from './b.ts';",
      'streams/b.ts': "import { a } from './a.ts';",
    };
    expect(gateway(files)).toEqual([]);
  });

  test('files that load each other are refused, over any distance', () => {
    const files = {
      'streams/a.ts': "import './b.ts';",
      'streams/b.ts': "export * from './c.ts';",
      'streams/c.ts': "const a = await import('./a.ts');",
    };
    expect(gateway(files)).toEqual([
      expect.stringMatching(/circle: .*a\.ts -> .*b\.ts -> .*c\.ts -> .*a\.ts$/),
    ]);
  });
});

describe('reading imports', () => {
  test('comments and strings are not imports', () => {
    const text = `// import 'a';\n/* import 'b'; */\nconst s = "import 'c'";\nconst u = 'http://x'; import 'd';`;
    expect(importsOf(text)).toEqual([{ target: 'd', typeOnly: false }]);
  });

  test('types, several lines, star and re-exports are read', () => {
    const text = `import type { A } from 'a';\nimport {\n  b,\n  type C,\n} from 'b';\nimport * as d from "d";\nexport type { E } from 'e';`;
    expect(importsOf(text)).toEqual([
      { target: 'a', typeOnly: true },
      { target: 'b', typeOnly: false },
      { target: 'd', typeOnly: false },
      { target: 'e', typeOnly: true },
    ]);
  });
});
