/**
 * Catches a dependency that could change under us or that is known to be bad: a lockfile entry without
 * integrity, one that comes from git or plain http, a package with an install script that nobody decided
 * about, a platform package that the lockfile lost (`npm ci` then fails elsewhere), a version below a known
 * advisory, a banned package in what we ship.
 */
export const name = 'lock';

/** @param {string} a @param {string} b @returns {boolean} whether dotted version `a` is lower than `b` */
export function isBelow(a, b) {
  const [left, right] = [a, b].map((version) => version.split('-')[0]?.split('.').map(Number) ?? []);
  for (let at = 0; at < 3; at++) {
    const difference = (left?.[at] ?? 0) - (right?.[at] ?? 0);
    if (difference !== 0) return difference < 0;
  }
  // 1.0.0-rc.1 comes before 1.0.0.
  return a.includes('-') && !b.includes('-');
}

const remote = /^(?:git|github|http:|file:)/;
const exact = /^(?:npm:(?:@[^@]+|[^@]+)@)?\d+\.\d+\.\d+(?:-[\w.]+)?$/;
const staleAfterDays = 45;

/** @param {import('./tree.mjs').Tree} tree @param {Date} [today] @returns {import('./tree.mjs').Report} */
export function check(tree, today = new Date()) {
  const problems = [];
  const warnings = [];
  const lock = JSON.parse(tree.read('package-lock.json')).packages;
  const { allowScripts = {} } = JSON.parse(tree.read('package.json'));
  const floors = JSON.parse(tree.read('security/floors.json'));
  let shipped = 0;
  let total = 0;

  for (const [path, entry] of Object.entries(lock)) {
    if (!path.includes('node_modules/')) {
      const fields = ['dependencies', 'devDependencies', 'optionalDependencies'];
      for (const [dependency, range] of fields.flatMap((field) => Object.entries(entry[field] ?? {}))) {
        if (!exact.test(range))
          problems.push(
            `${path || 'root'}: ${dependency} is asked for as "${range}", not as an exact version`,
          );
      }
      continue;
    }
    if (entry.link) continue;
    total += 1;
    const installedAs = path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length);
    const packageName = entry.name ?? installedAs;
    const ships = !entry.dev && !entry.devOptional;
    if (ships && !entry.optional) shipped += 1;
    if (!entry.integrity) problems.push(`${path}: has no integrity`);
    if (remote.test(entry.resolved ?? ''))
      problems.push(`${path}: comes from ${entry.resolved.split(':')[0]}`);
    if (entry.hasInstallScript && !(packageName in allowScripts)) {
      problems.push(`${path}: has an install script; decide in "allowScripts" of package.json`);
    }
    for (const optional of Object.keys(entry.optionalDependencies ?? {})) {
      if (!(`node_modules/${optional}` in lock) && !(`${path}/node_modules/${optional}` in lock)) {
        problems.push(`${path}: its optional package ${optional} is missing from the lockfile`);
      }
    }
    for (const ban of floors.banned) {
      if (ban.package === packageName && (ships || !ban.allowedInTests)) {
        problems.push(`${path}: ${packageName} is banned: ${ban.reason}`);
      }
    }
    for (const floor of floors.floors) {
      if (floor.package === packageName && ships && isBelow(entry.version, floor.minimum)) {
        problems.push(`${path}: ${entry.version} is below ${floor.minimum} (${floor.advisory})`);
      }
    }
  }
  const age = Math.floor((today.getTime() - Date.parse(floors.reviewed)) / 86_400_000);
  if (age > staleAfterDays) warnings.push(`security/floors.json was last reviewed ${age} days ago`);
  return { problems, warnings, facts: `${total} packages, ${shipped} of them shipped` };
}
