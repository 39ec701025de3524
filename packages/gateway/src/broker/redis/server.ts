/** What a server says about itself, and whether a broker may be built on it. */
export interface ServerFacts {
  /** `6.2.0` or the like: the version of Redis whose commands it has. */
  version: string;
  /** New with every start of the process. */
  runId: string;
  /** New with every promotion. */
  replicationId: string;
  role: string;
  evicts: string;
}

/** @param info answer to INFO */
export function serverFacts(info: string): ServerFacts {
  const field = (name: string) => new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(info)?.[1] ?? '';
  return {
    version: field('redis_version'),
    runId: field('run_id'),
    replicationId: field('master_replid'),
    role: field('role'),
    evicts: field('maxmemory_policy'),
  };
}

/** Why this server cannot be used, in one line; null if it can. */
export function unfit(facts: ServerFacts, mustBeMaster: boolean): string | null {
  const [major = 0, minor = 0] = facts.version.split('.').map(Number);
  if (!(major > 6 || (major === 6 && minor >= 2))) return `version ${facts.version} is older than 6.2`;
  // Evicting half of a stream would look like a stream that was never longer.
  if (facts.evicts !== 'noeviction') {
    return `maxmemory-policy is ${facts.evicts}, but must be noeviction: what is evicted would be missing from streams`;
  }
  if (mustBeMaster && facts.role !== 'master') return `it is a ${facts.role}, not the master`;
  return null;
}
