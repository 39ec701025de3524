/** All live connections of this node, and the way from a change of access to the connections that it concerns. */
import { CLOSE } from '@countersign/protocol';
import type { Clock } from '../operations/clock.ts';
import type { Account, Credential, Principal } from '../session/principal.ts';
import type { Change } from '../store/store.ts';
import type { Connection } from './connection.ts';
import { Presence } from './presence.ts';

const credentialId = (credential: Credential): string => {
  if (credential.kind === 'session') return `session:${credential.sid}`;
  return credential.kind === 'api-key'
    ? `api-key:${credential.keyId}`
    : `handshake-token:${credential.tokenId}`;
};

/** How often expiry and idleness are looked at, in milliseconds: well inside the one second of R49. */
const TICK = 250;

export interface ConnectionInfo {
  id: string;
  door: string;
  dialect: string | null;
  /** Nobody has signed in; somebody has, and may act; the proof has expired. */
  state: 'anonymous' | 'signed-in' | 'expired';
  source: string;
  /** Wall-clock milliseconds. */
  openedAt: number;
  /** Whose it is, expired or not; null while nobody has signed in. */
  userId: number | null;
  address: string | null;
  /** Empty once the proof has expired. */
  accounts: readonly Account[];
  subscriptions: number;
}

export class ConnectionRegistry {
  /** Users and sessions with a live proof: those whose proof has expired are not present. */
  readonly presence = new Presence();
  readonly #all = new Set<Connection>();
  readonly #byCredential = new Map<string, Set<Connection>>();
  readonly #byUser = new Map<string, Set<Connection>>();
  /** Under which names a connection is filed now, so that it can be taken out again. */
  readonly #filed = new Map<Connection, { credential: string; user: string }>();
  readonly #stop: () => void;

  constructor(clock: Clock) {
    this.#stop = clock.every(TICK, () => {
      const monotonic = clock.monotonic();
      for (const connection of this.#all) connection.tick(monotonic);
    });
  }

  get size(): number {
    return this.#all.size;
  }

  add(connection: Connection): void {
    this.#all.add(connection);
  }

  /** Files a connection under its present identity, or takes it out when it is closed. */
  identityChanged(connection: Connection): void {
    this.presence.set(connection, connection.closed ? null : connection.present);
    const before = this.#filed.get(connection);
    if (before !== undefined) {
      unfile(this.#byCredential, before.credential, connection);
      unfile(this.#byUser, before.user, connection);
      this.#filed.delete(connection);
    }
    if (connection.closed) {
      this.#all.delete(connection);
      return;
    }
    if (connection.credential === null || connection.userId === null) return;
    const filed = { credential: credentialId(connection.credential), user: String(connection.userId) };
    file(this.#byCredential, filed.credential, connection);
    file(this.#byUser, filed.user, connection);
    this.#filed.set(connection, filed);
  }

  /** A session got a newer access token somewhere: its connections live on with it. */
  extend(sid: string, expiresAt: number): void {
    for (const connection of this.#byCredential.get(`session:${sid}`) ?? [])
      connection.extend(sid, expiresAt);
  }

  /**
   * Carries out a change of access.
   *
   * @param resolve gives the principal of a connection as it is after the change; null when no access is left
   * @returns how many connections were ended
   * @throws what `resolve` threw last, after all connections were seen to: those that it concerned are closed,
   *   since nobody knows what they may still do (R11)
   */
  async apply(
    change: Change,
    resolve: (connection: Connection) => Promise<Principal | null>,
  ): Promise<number> {
    const concerned = [...this.#concerned(change)];
    if (change.kind.endsWith('-ended')) {
      for (const connection of concerned) connection.end();
      return concerned.length;
    }
    let ended = 0;
    let failure: { cause: unknown } | null = null;
    for (const connection of concerned) {
      const filed = this.#filed.get(connection)?.credential;
      try {
        const principal = await resolve(connection);
        // A login that took effect meanwhile has asked for itself.
        if (this.#filed.get(connection)?.credential !== filed) continue;
        if (principal !== null) connection.reconsider(principal);
        else {
          connection.end();
          ended += 1;
        }
      } catch (cause) {
        failure = { cause };
        connection.close(CLOSE.overload);
      }
    }
    if (failure !== null) throw failure.cause;
    return ended;
  }

  /** What a user holds on this node, over all doors. */
  heldBy(userId: number): { connections: number; subscriptions: number } {
    const own = this.#byUser.get(String(userId));
    let subscriptions = 0;
    for (const connection of own ?? []) subscriptions += connection.subscriptions;
    return { connections: own?.size ?? 0, subscriptions };
  }

  /** Each live connection as operators and the backend see it. */
  *list(): Iterable<ConnectionInfo> {
    for (const { peer, dialect, userId, principal, subscriptions } of this.#all) {
      const { id, door, source, since: openedAt } = peer;
      const { address = null, accounts = [] } = principal ?? {};
      const state = userId === null ? 'anonymous' : principal === null ? 'expired' : 'signed-in';
      yield { id, state, door, dialect, source, openedAt, userId, address, accounts, subscriptions };
    }
  }

  close(): void {
    this.#stop();
  }

  #concerned(change: Change): Iterable<Connection> {
    if (change.kind.startsWith('session')) return this.#byCredential.get(`session:${change.subject}`) ?? [];
    if (change.kind.startsWith('user')) return this.#byUser.get(change.subject) ?? [];
    if (change.kind.startsWith('api-key')) return this.#byCredential.get(`api-key:${change.subject}`) ?? [];
    return this.#byCredential.get(`handshake-token:${change.subject}`) ?? [];
  }
}

function file(index: Map<string, Set<Connection>>, name: string, connection: Connection): void {
  const set = index.get(name) ?? new Set();
  set.add(connection);
  index.set(name, set);
}

function unfile(index: Map<string, Set<Connection>>, name: string, connection: Connection): void {
  const set = index.get(name);
  set?.delete(connection);
  if (set?.size === 0) index.delete(name);
}
