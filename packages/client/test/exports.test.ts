/** The public surface: it changes on purpose, or not at all. Types count as much as values. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { describe, expect, test } from 'vitest';

const entries = ['index', 'node', 'socketio'] as const;

/** Names that a module exports, types marked. */
function namesOf(entry: string): string[] {
  const file = fileURLToPath(new URL(`../src/${entry}.ts`, import.meta.url));
  const source = ts.createSourceFile(file, readFileSync(file, 'utf8'), ts.ScriptTarget.ES2022);
  return source.statements
    .flatMap((statement) => {
      if (!ts.isExportDeclaration(statement) || statement.exportClause === undefined) {
        throw new Error(`${entry}.ts does more than to name what it exports`);
      }
      const { exportClause, isTypeOnly } = statement;
      if (!ts.isNamedExports(exportClause)) throw new Error(`${entry}.ts exports a namespace`);
      return exportClause.elements.map(
        (one) => `${isTypeOnly || one.isTypeOnly ? 'type ' : ''}${one.name.text}`,
      );
    })
    .sort();
}

describe('@countersign/client', () => {
  test.each(entries)('exports from %s these names and no others', async (entry) => {
    await expect(`${namesOf(entry).join('\n')}\n`).toMatchFileSnapshot(`exports/${entry}.txt`);
  });

  test.each(entries)('has in %s what its source names', async (entry) => {
    const values = namesOf(entry).filter((name) => !name.startsWith('type '));
    const module = (await import(`../src/${entry}.ts`)) as Record<string, unknown>;
    expect(Object.keys(module).sort()).toEqual(values);
  });
});
