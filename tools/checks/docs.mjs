/**
 * Catches a document that sends its reader to something that is not there: a relative link, a heading, an
 * `npm run` script or a file path that was renamed or never made.
 */
import { resolveImport } from './imports.mjs';

export const name = 'docs';

/** Folders whose paths are recognised when a document names them in code. */
const pathInCode = /(?<![\w./-])(?:packages|tools|docs|bench|conformance|drills|security|\.ci)\/[\w./-]*\w/g;
const builtOrRun = /\/(?:dist|node_modules|results)(?:\/|$)/;
const npmBuiltIn = new Set([
  'ci',
  'install',
  'start',
  'test',
  'pack',
  'run',
  'exec',
  'sbom',
  'audit',
  'publish',
  'view',
  'link',
]);

/** @param {string} heading @returns {string} the anchor that a heading gets */
const slug = (heading) =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .trim()
    .replace(/\s/g, '-');

/** @param {string} text */
const headings = (text) =>
  new Set([...text.matchAll(/^#{1,6}\s+(.+)$/gm)].map((match) => slug(match[1] ?? '')));

/** @param {import('./tree.mjs').Tree} tree @returns {import('./tree.mjs').Report} */
export function check(tree) {
  /** @type {string[]} */
  const problems = [];
  const { scripts = {} } = JSON.parse(tree.read('package.json'));
  const documents = tree.files.filter((file) => file.endsWith('.md') && !file.startsWith('.changeset/'));
  let references = 0;
  for (const file of documents) {
    const text = tree.read(file);
    const prose = text.replace(/^```[\s\S]*?^```/gm, '');
    for (const [, link = ''] of prose.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(link)) continue;
      references += 1;
      const [path = '', anchor] = link.split('#');
      const target = path === '' ? file : resolveImport(file, path);
      if (!tree.exists(target)) problems.push(`${file}: links to ${link}, which does not exist`);
      else if (anchor && target.endsWith('.md') && !headings(tree.read(target)).has(anchor)) {
        problems.push(`${file}: links to ${link}, but there is no such heading`);
      }
    }
    for (const [, script = ''] of text.matchAll(/\bnpm run ([\w:-]+)/g)) {
      references += 1;
      if (!(script in scripts))
        problems.push(`${file}: names "npm run ${script}", which package.json does not have`);
    }
    for (const [, word = ''] of text.matchAll(/`npm ([a-z-]+)/g)) {
      if (!npmBuiltIn.has(word)) problems.push(`${file}: names "npm ${word}", which is no npm command`);
    }
    const inCode = [...text.matchAll(/`[^`\n]+`|^```[\s\S]*?^```/gm)].map((match) => match[0]);
    for (const [path] of inCode.flatMap((span) => [...span.matchAll(pathInCode)])) {
      if (builtOrRun.test(path)) continue;
      references += 1;
      if (!tree.exists(path)) problems.push(`${file}: names ${path}, which does not exist`);
    }
  }
  return { problems, facts: `${documents.length} documents, ${references} references` };
}
