/**
 * Catches an import that points up: a package that uses one it must not know, a lower floor of the gateway
 * that reaches for a higher one, a door that asks the store, two files that load each other. Any of these
 * compiles and works, and makes the next change harder.
 */
import { importsOf, resolveImport } from './imports.mjs';

export const name = 'arrows';

/** Which of our packages each package may import (DESIGN "The house"). */
const packageArrows = {
  tokens: [],
  protocol: [],
  gateway: ['tokens', 'protocol'],
  client: ['tokens', 'protocol'],
  sandbox: ['client', 'protocol'],
  cli: ['client', 'gateway', 'protocol', 'sandbox', 'tokens'],
  console: ['client'],
  testkit: ['client', 'gateway', 'protocol', 'sandbox', 'tokens'],
};

/** The gateway's floors from the top; folders in one row are neighbours. */
const floors = [
  ['index.ts'],
  ['gateway.ts'],
  ['composition'],
  ['doors'],
  ['connection'],
  ['access', 'backend', 'dialects'],
  ['session'],
  ['streams'],
  ['operations'],
  ['store', 'broker'],
];

/**
 * Words that lower floors need too. They may be imported upward as types only: a type leaves nothing behind
 * at run time, so no floor comes to depend on a higher one's code.
 */
const sharedWords = {
  'session/principal.ts': 'who is acting: the store keeps accounts, channels name permissions',
  'streams/publication.ts': 'what a backend publishes: brokers carry it',
  'streams/channel.ts': 'the table of channels: what a broker keeps of a stream depends on it',
  'operations/clock.ts': 'time is a parameter of everything, the store and the broker included',
  'operations/config.ts': 'settings are handed down by gateway.ts',
  'operations/log.ts': 'the log is handed down by gateway.ts',
};

/** Packages that only some folders of the gateway may import, and why. */
const outside = [
  {
    packages: ['fastify', 'ws', 'socket.io'],
    allowed: ['doors', 'gateway.ts'],
    why: 'only doors see sockets',
  },
  {
    packages: ['node:http', 'node:https'],
    allowed: ['doors', 'backend', 'gateway.ts'],
    why: 'only doors and what calls the venue speak HTTP',
  },
  { packages: ['kysely', 'libsql'], allowed: ['store'], why: 'only the store speaks SQL' },
];

const gatewaySource = 'packages/gateway/src/';

/** @param {string} path inside the gateway's src */
function folderOf(path) {
  const first = path.split('/')[0] ?? '';
  return /^connection[.-]/.test(first) ? 'connection' : first;
}

/** @param {string} path inside the gateway's src @returns {number} 0 is the top, -1 unknown */
const floorOf = (path) => floors.findIndex((row) => row.includes(folderOf(path)));

/** @param {string} from @param {string} to both inside the gateway's src @param {boolean} typeOnly */
function gatewayProblem(from, to, typeOnly) {
  if (floorOf(to) === -1) return `imports ${to}, which is on no floor`;
  if (folderOf(from) === 'doors' && folderOf(to) === 'store' && !typeOnly) {
    return `asks ${to}: a door never asks the store`;
  }
  if (floorOf(to) >= floorOf(from)) return null;
  if (typeOnly && to in sharedWords) return null;
  return `imports ${to}, which is on a higher floor${typeOnly ? '' : ' (and not as a type)'}`;
}

/** @param {import('./tree.mjs').Tree} tree @returns {import('./tree.mjs').Report} */
export function check(tree) {
  const problems = [];
  /** @type {Map<string, string[]>} */
  const edges = new Map();
  const sources = tree.files.filter((file) => /^packages\/[^/]+\/src\/.*\.tsx?$/.test(file));
  for (const file of sources) {
    const [, own = ''] = file.split('/');
    const packageFile = `packages/${own}/package.json`;
    const listed = tree.exists(packageFile) ? JSON.parse(tree.read(packageFile)) : {};
    // What a peer brings along is listed too: whoever uses that entry has it.
    const dependencies = { ...listed.dependencies, ...listed.peerDependencies };
    const allowed = packageArrows[/** @type {keyof typeof packageArrows} */ (own)];
    if (!allowed) problems.push(`${file}: package ${own} is not in the table of arrows`);
    const inGateway = file.startsWith(gatewaySource) ? file.slice(gatewaySource.length) : null;
    if (inGateway && floorOf(inGateway) === -1) problems.push(`${file}: is on no floor of the gateway`);

    for (const { target, typeOnly } of importsOf(tree.read(file))) {
      if (target.startsWith('.')) {
        const path = resolveImport(file, target);
        if (!path.startsWith(`packages/${own}/src/`)) {
          problems.push(`${file}: imports ${target}, which is outside its package's src`);
          continue;
        }
        if (!tree.exists(path)) problems.push(`${file}: imports ${target}, which does not exist`);
        const problem = inGateway && gatewayProblem(inGateway, path.slice(gatewaySource.length), typeOnly);
        if (problem) problems.push(`${file}: ${problem}`);
        // Types leave nothing behind: two files whose types name each other load in any order.
        if (!typeOnly) edges.set(file, [...(edges.get(file) ?? []), path]);
        continue;
      }
      const named = target.startsWith('@')
        ? target.split('/').slice(0, 2).join('/')
        : (target.split('/')[0] ?? '');
      if (named.startsWith('@countersign/')) {
        const other = named.slice('@countersign/'.length);
        if (allowed && !allowed.includes(/** @type {never} */ (other))) {
          problems.push(`${file}: ${own} may not import ${other}`);
        }
        const door = `.${target.slice(named.length)}`;
        const theirs = `packages/${other}/package.json`;
        if (door !== '.' && !(tree.exists(theirs) && door in (JSON.parse(tree.read(theirs)).exports ?? {}))) {
          problems.push(`${file}: imports ${target}; siblings use the doors that ${other} exports`);
        }
      }
      if (!target.startsWith('node:') && !(named in dependencies)) {
        problems.push(`${file}: imports ${named}, which packages/${own}/package.json does not list`);
      }
      for (const rule of inGateway && !typeOnly ? outside : []) {
        const folder = folderOf(inGateway ?? '');
        if (rule.packages.includes(named) && !rule.allowed.includes(folder)) {
          problems.push(`${file}: imports ${named}, but ${rule.why}`);
        }
      }
    }
  }
  for (const loop of loops(edges)) problems.push(`files load each other in a circle: ${loop.join(' -> ')}`);
  return { problems, facts: `${sources.length} source files` };
}

/**
 * One loop per group of files that can reach each other, found by depth-first search.
 *
 * @param {Map<string, string[]>} edges
 * @returns {string[][]}
 */
function loops(edges) {
  /** @type {string[][]} */
  const found = [];
  const done = new Set();
  /** @type {string[]} */
  const path = [];
  /** @param {string} file */
  const visit = (file) => {
    const at = path.indexOf(file);
    if (at !== -1) {
      found.push([...path.slice(at), file]);
      return;
    }
    if (done.has(file)) return;
    path.push(file);
    for (const next of edges.get(file) ?? []) visit(next);
    path.pop();
    done.add(file);
  };
  for (const file of edges.keys()) visit(file);
  return found;
}
