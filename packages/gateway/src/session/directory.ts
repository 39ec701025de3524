/**
 * Who a user is right now. Tokens say which user and session; what that user may do comes from here, so that
 * a change of role, tier or permission applies to tokens that are already out (R54).
 */
import type { Store, User } from '../store/store.ts';
import type { AccessChanges } from './access-changes.ts';
import type { MaybePromise } from './maybe-promise.ts';
import { type Credential, PERMISSIONS, type Permission, type Principal } from './principal.ts';

export interface Directory {
  /**
   * The principal that a credential of a user stands for. Answers from memory without a promise when it can:
   * that is the hot path of every request.
   *
   * @returns null if there is no such user, the user is suspended, or the credential is a session that is
   *   unknown, ended, or somebody else's. API keys and handshake tokens are checked by their own services.
   */
  principal(userId: number, credential: Credential): MaybePromise<Principal | null>;
}

const ACTIVE = 1;
/** A load that changes keep overtaking is answered from its last read, which is still newer than the request. */
const MAX_LOADS = 3;

interface Entry {
  principal: Principal;
  /** Wall-clock milliseconds from which nobody can stand on it any more. Infinity where its own service decides. */
  endsAt: number;
}

interface Load {
  userId: number;
  /** Set by a change that arrived while the store was being read: the result may be from before it. */
  overtaken: boolean;
  promise: Promise<Principal | null>;
}

/**
 * @param maxEntries principals kept in memory; the one loaded longest ago is dropped first. Those of sessions that are
 *   over are dropped as others come
 */
export function createDirectory({
  store,
  changes,
  now,
  maxEntries = 20_000,
}: {
  store: Store;
  changes: AccessChanges;
  /** Wall-clock milliseconds. */
  now: () => number;
  maxEntries?: number;
}): Directory {
  const cache = new Map<string, Entry>();
  /** Goes round and round: a map's own iterator bears with what comes and goes. */
  let hand = cache.entries();
  const keysOfUser = new Map<number, Set<string>>();
  const loads = new Map<string, Load>();

  function forget(key: string): void {
    const load = loads.get(key);
    if (load !== undefined) load.overtaken = true;
    const entry = cache.get(key);
    if (entry === undefined) return;
    cache.delete(key);
    const { userId } = entry.principal;
    const keys = keysOfUser.get(userId);
    keys?.delete(key);
    if (keys?.size === 0) keysOfUser.delete(userId);
  }

  function forgetUser(userId: number): void {
    for (const key of [...(keysOfUser.get(userId) ?? [])]) forget(key);
    for (const load of loads.values()) if (load.userId === userId) load.overtaken = true;
  }

  function remember(key: string, entry: Entry): void {
    forget(key);
    cache.set(key, entry);
    const { userId } = entry.principal;
    const keys = keysOfUser.get(userId);
    if (keys === undefined) keysOfUser.set(userId, new Set([key]));
    else keys.add(key);
    dropOver();
    if (cache.size <= maxEntries) return;
    const oldest = cache.keys().next();
    if (!oldest.done) forget(oldest.value);
  }

  /** Two looks for each that comes: one round takes half as many as there are, and no turn is long. */
  function dropOver(): void {
    for (let looks = 2; looks > 0; looks -= 1) {
      const next = hand.next();
      if (next.done) {
        hand = cache.entries();
        return;
      }
      const [key, { endsAt }] = next.value;
      if (endsAt <= now()) forget(key);
    }
  }

  changes.onChange((change) => {
    switch (change.kind) {
      case 'session-ended':
        return forget(`session/${change.subject}`);
      case 'api-key-changed':
      case 'api-key-ended':
        return forget(`api-key/${change.subject}`);
      case 'handshake-token-changed':
      case 'handshake-token-ended':
        return forget(`handshake-token/${change.subject}`);
      case 'user-changed':
      case 'user-ended':
        return forgetUser(Number(change.subject));
      case 'signing-keys-changed':
        return;
    }
  });

  async function read(userId: number, credential: Credential): Promise<Entry | null> {
    const [user, session] = await Promise.all([
      store.users.find(userId),
      credential.kind === 'session' ? store.sessions.find(credential.sid) : null,
    ]);
    if (user === null || user.status !== ACTIVE) return null;
    const principal = principalOf(user, credential);
    if (credential.kind !== 'session') return { principal, endsAt: Number.POSITIVE_INFINITY };
    if (session === null || session.userId !== userId) return null;
    if (session.revokedAt !== null || session.expiresAt <= now()) return null;
    return { principal, endsAt: session.expiresAt };
  }

  async function load(key: string, entry: Load, credential: Credential): Promise<Principal | null> {
    try {
      for (let attempt = 1; ; attempt += 1) {
        entry.overtaken = false;
        const found = await read(entry.userId, credential);
        if (entry.overtaken && attempt < MAX_LOADS) continue;
        // Unknown users and sessions are not remembered: random ids would fill the cache (R10).
        if (found !== null && !entry.overtaken) remember(key, found);
        return found?.principal ?? null;
      }
    } finally {
      if (loads.get(key) === entry) loads.delete(key);
    }
  }

  return {
    principal(userId, credential) {
      const key = keyOf(credential);
      const known = cache.get(key)?.principal;
      if (known !== undefined) return known.userId === userId ? known : null;
      const running = loads.get(key);
      if (running !== undefined && running.userId === userId) return running.promise;
      const entry: Load = { userId, overtaken: false, promise: Promise.resolve(null) };
      loads.set(key, entry);
      entry.promise = load(key, entry, credential);
      return entry.promise;
    },
  };
}

function keyOf(credential: Credential): string {
  switch (credential.kind) {
    case 'session':
      return `session/${credential.sid}`;
    case 'api-key':
      return `api-key/${credential.keyId}`;
    case 'handshake-token':
      return `handshake-token/${credential.tokenId}`;
  }
}

const isPermission = (name: string): name is Permission => (PERMISSIONS as readonly string[]).includes(name);

/** What a user may do with nothing taken away. Keys with narrower scopes are cut down by their own service. */
export function principalOf(user: User, credential: Credential): Principal {
  return Object.freeze({
    userId: user.userId,
    address: user.address,
    displayName: user.displayName,
    roles: Object.freeze([...user.roles]),
    permissions: new Set(user.permissions.filter(isPermission)),
    tier: user.tier,
    accounts: Object.freeze(user.accounts.map((account) => Object.freeze({ ...account }))),
    credential: Object.freeze({ ...credential }),
  });
}
