/**
 * Where settings come from: the file, then `COUNTERSIGN_*` variables, then flags; later ones win. Only the
 * sources are dealt with here: what is valid is for the gateway's schema to say, and the names of the
 * variables are derived from that schema.
 */
import { readFileSync } from 'node:fs';
import { type ConfigInput, configSchema } from '@countersign/gateway';
import { parse as parseYaml } from 'yaml';
import { CliError } from './cli-error.ts';

/** One setting, as far as reading it from a text goes. */
export interface Leaf {
  /** `['tokens', 'accessTtl']` */
  path: string[];
  kind: 'number' | 'boolean' | 'text' | 'list' | 'json';
  /** An empty text means null. */
  nullable: boolean;
}

/** The little that is read of a zod schema's inside. */
interface SchemaNode {
  def: { type: string; shape?: Record<string, SchemaNode>; innerType?: SchemaNode };
}

const wrappers = new Set(['default', 'prefault', 'optional', 'nullable', 'readonly', 'nonoptional', 'catch']);

function leavesOf(node: SchemaNode, path: string[], nullable = false): Leaf[] {
  const { type, shape, innerType } = node.def;
  if (wrappers.has(type) && innerType) return leavesOf(innerType, path, nullable || type === 'nullable');
  if (type === 'object' && shape) {
    return Object.entries(shape).flatMap(([key, inner]) => leavesOf(inner, [...path, key]));
  }
  const kinds: Record<string, Leaf['kind']> = {
    number: 'number',
    int: 'number',
    boolean: 'boolean',
    string: 'text',
    enum: 'text',
    literal: 'text',
    array: 'list',
  };
  return [{ path, kind: kinds[type] ?? 'json', nullable }];
}

const snake = (key: string) => key.replace(/([a-z0-9])([A-Z])/g, '$1_$2').toUpperCase();

/** `COUNTERSIGN_TOKENS_ACCESS_TTL` for `tokens.accessTtl`. */
export const variableOf = (path: readonly string[]): string => `COUNTERSIGN_${path.map(snake).join('_')}`;

/** Shorter names for what operators and checks set most. */
const shortNames: Record<string, string[]> = {
  COUNTERSIGN_ACCESS_TTL: ['tokens', 'accessTtl'],
  COUNTERSIGN_REFRESH_TTL: ['tokens', 'refreshTtl'],
  COUNTERSIGN_NONCE_TTL: ['tokens', 'nonceTtl'],
  COUNTERSIGN_LEEWAY: ['tokens', 'leeway'],
};

/** Variables of the program itself; they are no settings of the gateway. */
const programVariables = new Set([
  'COUNTERSIGN_CONFIG',
  'COUNTERSIGN_HOME',
  'COUNTERSIGN_WALLET_KEY',
  'COUNTERSIGN_URL',
  'COUNTERSIGN_WEBSOCKET_URL',
  'COUNTERSIGN_INTERNAL_URL',
  'COUNTERSIGN_CHAIN_ID',
  'COUNTERSIGN_KEY_FILE',
  'COUNTERSIGN_WALLET_KEY_FILE',
  'COUNTERSIGN_TOKEN_FILE',
  'COUNTERSIGN_PROFILE',
]);

/** Every variable that is read, with the setting it means. The long name wins where both are set. */
export function variables(): Map<string, Leaf> {
  const leaves = leavesOf(configSchema as unknown as SchemaNode, []);
  const byPath = new Map(leaves.map((leaf) => [leaf.path.join('.'), leaf]));
  const table = new Map<string, Leaf>();
  for (const [name, path] of Object.entries(shortNames)) {
    const leaf = byPath.get(path.join('.'));
    if (leaf) table.set(name, leaf);
  }
  for (const leaf of leaves) table.set(variableOf(leaf.path), leaf);
  return table;
}

function fromText(name: string, text: string, leaf: Leaf): unknown {
  if (leaf.nullable && (text === '' || text === 'null')) return null;
  if (leaf.kind === 'text') return text;
  if (leaf.kind === 'number') {
    // Number('') is 0, and Number('0x10') is 16: neither is what was meant.
    if (/^-?\d+(?:\.\d+)?$/.test(text.trim())) return Number(text);
    throw new CliError('config', `${name}: a number is needed`);
  }
  if (leaf.kind === 'boolean') {
    if (/^(?:1|true|yes|on)$/i.test(text)) return true;
    if (/^(?:0|false|no|off)$/i.test(text)) return false;
    throw new CliError('config', `${name}: true or false is needed`);
  }
  if (leaf.kind === 'list' && !text.trimStart().startsWith('[')) {
    const items = text.split(',').map((item) => item.trim());
    const given = items.filter((item) => item !== '');
    return given.map((item) => (/^\d{1,15}$/.test(item) ? Number(item) : item));
  }
  try {
    return JSON.parse(text);
  } catch {
    throw new CliError('config', `${name}: JSON is needed`);
  }
}

type Tree = { [key: string]: unknown };
const isTree = (value: unknown): value is Tree =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Sections are merged key by key; everything else, lists included, is replaced. */
export function merge(below: Tree, above: Tree): Tree {
  const merged: Tree = { ...below };
  for (const [key, value] of Object.entries(above)) {
    const old = merged[key];
    merged[key] = isTree(value) && isTree(old) ? merge(old, value) : value;
  }
  return merged;
}

const nest = (path: readonly string[], value: unknown): Tree =>
  path.reduceRight<unknown>((inner, key) => ({ [key]: inner }), value) as Tree;

function readFile(path: string): Tree {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    const why =
      code === 'ENOENT' ? 'there is no such file' : code === 'EACCES' ? 'permission denied' : String(code);
    throw new CliError('config', `cannot read the config file ${path}: ${why}`);
  }
  let parsed: unknown;
  try {
    parsed = parseYaml(text, { maxAliasCount: 0 });
  } catch (error) {
    const [first] = String((error as Error).message).split('\n');
    throw new CliError('config', `the config file ${path} is not valid YAML: ${first}`);
  }
  if (parsed === null || parsed === undefined) return {};
  if (!isTree(parsed)) throw new CliError('config', `the config file ${path} must hold settings by name`);
  return parsed;
}

export interface Sources {
  /** A file that was asked for must exist. */
  file?: string | undefined;
  env: Readonly<Record<string, string | undefined>>;
  flags: Tree;
}

export interface Composed {
  /** Not validated. */
  input: ConfigInput;
  /** Lines about variables that nothing reads. */
  warnings: string[];
}

/**
 * Puts the sources on top of each other.
 *
 * @throws CliError `config` when the file cannot be read or a variable is not of its setting's type
 */
export function composeConfig({ file, env, flags }: Sources): Composed {
  const path = file ?? (env.COUNTERSIGN_CONFIG || undefined);
  let tree: Tree = path === undefined ? {} : readFile(path);
  const table = variables();
  for (const [name, leaf] of table) {
    const text = env[name];
    if (text !== undefined) tree = merge(tree, nest(leaf.path, fromText(name, text, leaf)));
  }
  const warnings = Object.keys(env)
    .filter((name) => name.startsWith('COUNTERSIGN_') && !table.has(name) && !programVariables.has(name))
    .sort()
    .map((name) => `${name} is set, but there is no such setting`);
  return { input: merge(tree, flags) as ConfigInput, warnings };
}

const secretName = /secret|password|token$|apiKey|privateKey/i;

/** A copy to show: secrets and what an address may carry of them are masked. */
export function masked(value: unknown, name = ''): unknown {
  if (Array.isArray(value)) return value.map((item) => masked(item, name));
  if (isTree(value)) {
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, masked(inner, key)]));
  }
  if (typeof value !== 'string') return value;
  if (secretName.test(name)) return '***';
  if (!/^[a-z][a-z0-9+.-]*:\/\//i.test(value)) return value;
  // Providers of RPC endpoints and databases put keys into the path, the query or the userinfo.
  if (!URL.canParse(value)) return '***';
  const url = new URL(value);
  const hidden = url.username !== '' || url.search !== '' || url.pathname.length > 1;
  return hidden ? `${url.protocol}//${url.host}/***` : value;
}
