/** The files that the checks read: what git would commit, or a plain walk where there is no git. */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * @typedef {object} Tree
 * @property {readonly string[]} files paths with forward slashes, relative to the root, sorted
 * @property {(path: string) => string} read text of one of `files`
 * @property {(path: string) => boolean} exists whether a file or folder of the tree has this path
 */

/**
 * @typedef {object} Report
 * @property {string[]} problems each makes the check fail
 * @property {string[]} [warnings] printed, and nothing more
 * @property {string} facts what was looked at, in a few words
 */

const skipped = new Set(['node_modules', 'dist', '.git', '.countersign', 'coverage', '.venv']);

/** @param {string} root @param {string} folder @returns {string[]} */
function walk(root, folder) {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    if (skipped.has(entry.name)) return [];
    const path = folder === '' ? entry.name : `${folder}/${entry.name}`;
    return entry.isDirectory() ? walk(root, path) : [path];
  });
}

/** @param {string} root @returns {string[]} */
function list(root) {
  try {
    const args = ['ls-files', '-z', '--cached', '--others', '--exclude-standard'];
    const out = execFileSync('git', args, {
      cwd: root,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    // A file deleted but not yet committed is still in the index.
    return out.split('\0').filter((path) => path !== '' && existsSync(join(root, path)));
  } catch {
    return walk(root, '');
  }
}

/** @param {string} root @returns {Tree} */
export function treeAt(root) {
  return treeFrom(list(root), (path) => readFileSync(join(root, path), 'utf8'));
}

/**
 * A tree of files that exist only here, for the tests of the checks.
 *
 * @param {Record<string, string>} texts
 * @returns {Tree}
 */
export function treeOf(texts) {
  return treeFrom(Object.keys(texts), (path) => texts[path] ?? '');
}

/** @param {string[]} paths @param {(path: string) => string} read @returns {Tree} */
function treeFrom(paths, read) {
  const files = [...new Set(paths)].sort();
  const known = new Set(files);
  for (const file of files) {
    for (let at = file.lastIndexOf('/'); at > 0; at = file.lastIndexOf('/', at - 1))
      known.add(file.slice(0, at));
  }
  return { files, read, exists: (path) => path === '' || known.has(path.replace(/\/$/, '')) };
}
