import ts from 'typescript';
import { sample, withSample } from './seed003.mjs';
import { runNode } from './seed003-runs.mjs';

// As the page's `tsc main.ts` would, without its check of types.
const compiled = ts.transpileModule(sample('typescript'), {
  compilerOptions: { module: ts.ModuleKind.CommonJS, target: ts.ScriptTarget.ES2022 },
});
await withSample(() => runNode(compiled.outputText));
