/** Reads import statements out of source text, well enough for code that Biome has formatted. */

/**
 * @typedef {object} Import
 * @property {string} target what stands between the quotes
 * @property {boolean} typeOnly true for `import type` and `export type`: nothing of it is left at run time
 */

// A comment, or a string or template, or an import. Strings are matched so that one holding `//` or the word
// import is stepped over as a whole.
const token =
  /\/\*[\s\S]*?\*\/|\/\/[^\n]*|\b(?:import|export)\s+(type\s+)?(?:[\w*\s{},$]+?\s+from\s*)?(['"])([^'"\n]+)\2|\bimport\(\s*(['"])([^'"\n]+)\4\s*\)|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`/g;

/** @param {string} text @returns {Import[]} */
export function importsOf(text) {
  /** @type {Import[]} */
  const found = [];
  for (const match of text.matchAll(token)) {
    const target = match[3] ?? match[5];
    if (target !== undefined) found.push({ target, typeOnly: match[1] !== undefined });
  }
  return found;
}

/**
 * The path that a relative import means.
 *
 * @param {string} from path of the importing file
 * @param {string} target
 */
export function resolveImport(from, target) {
  const parts = from.split('/').slice(0, -1);
  for (const part of target.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '.') parts.push(part);
  }
  return parts.join('/');
}
