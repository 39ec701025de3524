/** Lua scripts, kept as files beside the module that runs them. */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';

export interface Script {
  /** File name, for messages. */
  readonly name: string;
  readonly text: string;
  /** SHA-1 of the text, by which Redis keeps it. */
  readonly sha: string;
}

/**
 * Reads a script. The compiler leaves `.lua` files where they are, and the package carries them there: a
 * module in `dist` finds its own in the same place under `src`.
 *
 * @param base `import.meta.url` of the module that runs it
 * @param names files beside that module, joined in this order: what the last one needs comes before it
 * @throws Error if one is missing
 */
export function readScript(base: string, ...names: string[]): Script {
  const text = names.map((name) => readFileSync(place(base, name), 'utf8')).join('\n');
  return {
    name: names.at(-1) ?? '',
    text,
    sha: createHash('sha1').update(text).digest('hex'),
  };
}

function place(base: string, name: string): URL {
  const beside = new URL(name, base);
  if (existsSync(beside)) return beside;
  const at = base.lastIndexOf('/dist/');
  return new URL(name, at < 0 ? base : `${base.slice(0, at)}/src/${base.slice(at + '/dist/'.length)}`);
}
