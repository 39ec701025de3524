/** `npm run check`: the repository's own rules, one file each in `tools/checks/`. Fails if any of them has a problem. */
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as arrows from './checks/arrows.mjs';
import * as docs from './checks/docs.mjs';
import * as lock from './checks/lock.mjs';
import * as sizes from './checks/sizes.mjs';
import { treeAt } from './checks/tree.mjs';
import * as words from './checks/words.mjs';

const tree = treeAt(dirname(dirname(fileURLToPath(import.meta.url))));
let failed = 0;
for (const { name, check } of [arrows, lock, sizes, docs, words]) {
  const { problems, warnings = [], facts } = check(tree);
  console.log(`${problems.length === 0 ? 'ok  ' : 'FAIL'} ${name} (${facts})`);
  for (const line of warnings) console.log(`     note: ${line}`);
  for (const line of problems) console.log(`     ${line}`);
  if (problems.length > 0) failed += 1;
}
process.exitCode = failed > 0 ? 1 : 0;
