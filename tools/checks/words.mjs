/**
 * Catches text that must not be committed: hosts of package registries (they differ from site to site),
 * absolute paths of one machine, notes to oneself instead of issues; and in product code, random numbers
 * that can be guessed, code made from text, and child processes.
 */
export const name = 'words';

/** @type {{ pattern: RegExp; where: RegExp; why: string }[]} */
const rules = [
  { pattern: /\bregistry\.[\w-]+\.\w+|\bregistry\.npm/, where: /./, why: 'names a package registry' },
  {
    pattern: /(?:^|[\s"'`(=:])\/(?:work|root|Users)\/[\w.-]/m,
    where: /./,
    why: 'holds a path of one machine',
  },
  { pattern: /(?:^|[\s"'`(=:])\/home\/[\w.-]/m, where: /./, why: 'holds a path of one machine' },
  {
    pattern: /\b(?:TODO|FIXME|XXX|HACK)\b/,
    where: /\.(?:ts|tsx|mjs|js|py|md|yaml|yml)$/,
    why: 'holds a note to oneself: open an issue',
  },
  {
    pattern: /\bMath\.random\b/,
    where: /^packages\/[^/]+\/src\//,
    why: 'uses Math.random: randomness is a parameter, secrets come from node:crypto',
  },
  {
    pattern: /\beval\s*\(|\bnew Function\s*\(/,
    where: /^packages\/[^/]+\/src\//,
    why: 'makes code from text',
  },
  {
    pattern: /['"](?:node:)?child_process['"]/,
    where: /^packages\/(?!testkit\/)[^/]+\/src\//,
    why: 'starts child processes',
  },
];

/** These hold the words that they look for. */
const exempt = /^tools\/checks\/words\.mjs$|^tools\/test\/words\.test\.ts$|^LICENSE$|^package-lock\.json$/;
const binary = /\.(?:png|jpg|gif|ico|woff2?|db|gz)$/;

/** @param {import('./tree.mjs').Tree} tree @returns {import('./tree.mjs').Report} */
export function check(tree) {
  const problems = [];
  const files = tree.files.filter((file) => !exempt.test(file) && !binary.test(file));
  for (const file of files) {
    const applicable = rules.filter((rule) => rule.where.test(file));
    const text = tree.read(file);
    for (const { pattern, why } of applicable) {
      const match = pattern.exec(text);
      if (!match) continue;
      const line = text.slice(0, match.index + match[0].length).split('\n').length;
      problems.push(`${file}:${line}: ${why}`);
    }
  }
  return { problems, facts: `${files.length} files` };
}
