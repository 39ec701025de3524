/** What an operator does to users: each change is durable, announced to all nodes, and in the audit log. */
import { Refusal } from '@countersign/protocol';
import { parseAddress } from '@countersign/tokens';
import type { Clock } from '../operations/clock.ts';
import type { Config } from '../operations/config.ts';
import type { AccessChanges } from '../session/access-changes.ts';
import type { Sessions } from '../session/sessions.ts';
import type { AuditReport } from '../store/audit-check.ts';
import type { AuditEntry, Session, Store, User } from '../store/store.ts';

export interface AccessPatch {
  /** 1 = active, 2 = suspended. */
  status?: number;
  roles?: string[];
  permissions?: string[];
  tier?: string;
}

/** Who does it, for the audit log. */
export interface By {
  /** `operator:admin` and the like. */
  actor: string;
  source: string | null;
}

export interface Administration {
  users(page: { limit: number; before?: number }): Promise<User[]>;
  user(userId: number): Promise<User | null>;
  /**
   * Makes the user of a wallet before its first login, with the access that a first login gives; the user that
   * there is already, as it is. Without an address, a user that only keys and tokens belong to.
   *
   * @throws Refusal `invalid_request` for an address whose upper and lower case are no EIP-55 checksum
   */
  createUser(user: { address: string | null; displayName: string | null }, by: By): Promise<User>;
  /** Null if there is no such user. When it resolves, this node applies the change already. */
  setAccess(userId: number, patch: AccessPatch, by: By): Promise<User | null>;
  sessions(userId: number): Promise<Session[]>;
  /** False if there is no such live session. */
  endSession(sid: string, by: By): Promise<boolean>;
  /** Number of sessions ended. */
  endSessions(userId: number, by: By): Promise<number>;
  audit(page: { limit: number; before?: number }): Promise<(AuditEntry & { n: number; hash: string })[]>;
  /** Oldest first, behind row `after`. */
  auditSince(page: { after: number; limit: number }): Promise<(AuditEntry & { n: number; hash: string })[]>;
  verifyAudit(): Promise<AuditReport>;
  note(action: string, target: string, detail: object, by: By): Promise<void>;
  /** Where the change log ends, and how far this node has applied it. */
  changes(): Promise<{ head: number; applied: number; fresh: boolean }>;
}

export function createAdministration({
  store,
  sessions,
  changes,
  clock,
  config,
}: {
  store: Pick<Store, 'users' | 'audit' | 'changes'>;
  sessions: Pick<Sessions, 'list' | 'logout' | 'logoutAll'>;
  changes: Pick<AccessChanges, 'announce' | 'position' | 'fresh'>;
  clock: Clock;
  config: Pick<Config, 'wallet'>;
}): Administration {
  const note = (action: string, target: string, detail: object, by: By) =>
    store.audit.append({ at: clock.now(), ...by, action, target, detail: JSON.stringify(detail) });

  const access = ({ status, roles, permissions, tier }: User) => ({ status, roles, permissions, tier });

  return {
    users: (page) => store.users.list(page),
    user: (userId) => store.users.find(userId),
    async createUser({ address, displayName }, by) {
      let lower: string | null = null;
      try {
        if (address !== null) lower = parseAddress(address);
      } catch {
        throw new Refusal('invalid_request', 'address', { message: 'address: is not an address' });
      }
      const known = lower === null ? null : await store.users.findByAddress(lower);
      if (known !== null) return known;
      const createdAt = clock.now();
      const user = await store.users.create({
        address: lower,
        displayName,
        ...config.wallet.newUser,
        createdAt,
      });
      await note('user.create', `user:${user.userId}`, { address: lower }, by);
      return user;
    },
    async setAccess(userId, patch, by) {
      const before = await store.users.find(userId);
      if (before === null) return null;
      const updated = await store.users.updateAccess(userId, patch, clock.now());
      if (updated === null) return null;
      await changes.announce(updated.change);
      await note(
        'user.access',
        `user:${userId}`,
        { before: access(before), after: access(updated.user) },
        by,
      );
      return updated.user;
    },
    sessions: (userId) => sessions.list(userId),
    endSession: (sid, by) => sessions.logout(sid, { ...by, reason: 'ended by an operator' }),
    endSessions: (userId, by) =>
      sessions.logoutAll(userId, undefined, { ...by, reason: 'ended by an operator' }),
    audit: (page) => store.audit.list(page),
    auditSince: (page) => store.audit.since(page),
    verifyAudit: () => store.audit.verify(),
    note,
    changes: async () => ({
      head: await store.changes.head(),
      applied: changes.position(),
      fresh: changes.fresh(),
    }),
  };
}
