/** Catches a file that has grown past what one can read in a sitting, before it needs a plan to be split. */
export const name = 'sizes';

const warnAbove = 350;
const failAbove = 500;
const code = /^(?:packages\/[^/]+\/(?:src|test)|tools|bench|conformance|drills)\/.*\.(?:ts|tsx|mjs|js|py)$/;
const generated = /\/(?:vectors|generated|fixtures)\//;

/** @param {import('./tree.mjs').Tree} tree @returns {import('./tree.mjs').Report} */
export function check(tree) {
  const problems = [];
  const warnings = [];
  const files = tree.files.filter((file) => code.test(file) && !generated.test(file));
  for (const file of files) {
    const lines = tree.read(file).split('\n').length - 1;
    if (lines > failAbove) problems.push(`${file}: ${lines} lines, more than ${failAbove}: split it`);
    else if (lines > warnAbove) warnings.push(`${file}: ${lines} lines, more than ${warnAbove}`);
  }
  return { problems, warnings, facts: `${files.length} files` };
}
