/**
 * The truth: what must survive the death of every process. A call that resolves has been made durable
 * (requirement R42); a call that rejects has changed nothing, and does so with a `StoreError` (store-error.ts,
 * which names one exception).
 * All times are wall-clock milliseconds, whole numbers, and come from the caller: the store reads no clock.
 * Reads see every write that has been acknowledged. Text must not hold NUL (`invalid`).
 *
 * Nothing kept here can be replayed as a credential (R53): secrets arrive as digests, or sealed under a key
 * that lives elsewhere. One contract suite (`test/store/contract.ts`) runs on every implementation.
 */
import type { Account } from '../session/principal.ts';
import type { ApiKeyStore } from './api-keys.ts';
import type { AuditAnchor, AuditReport } from './audit-check.ts';
import type { HandshakeTokenStore } from './handshake-tokens.ts';
import type { LeaseStore } from './leases.ts';
import type { NodeStore } from './nodes.ts';

export interface Store {
  readonly challenges: ChallengeStore;
  readonly users: UserStore;
  readonly sessions: SessionStore;
  readonly changes: ChangeLog;
  readonly signingKeys: SigningKeyStore;
  readonly apiKeys: ApiKeyStore;
  readonly handshakeTokens: HandshakeTokenStore;
  readonly audit: AuditLog;
  readonly nodes: NodeStore;
  readonly leases: LeaseStore;
  /**
   * Forgets sessions that ended, by revocation or by time, more than `keepMs` before `now`, with their refresh
   * tokens; challenges, changes and the audit log stay. One bounded step: removes at most `limit` rows. Call it
   * again while it removes as many.
   */
  sweep(now: number, keepMs: number, limit: number): Promise<{ sessions: number; refreshTokens: number }>;
  /** Proves that a write becomes durable; resolves to how long that took in milliseconds. Rejects when it does not. */
  probe(): Promise<number>;
  /** How many connections to the database there may be, are taken, and are waited for; null where there is no pool. */
  pool(): { size: number; taken: number; waiting: number } | null;
  /** Flushes what is queued and closes. Idempotent. */
  close(): Promise<void>;
}

// ---------------------------------------------------------------------------------------------- challenges

export interface Challenge {
  /** Lower-case `0x` address that asked. */
  address: string;
  /** Lower-case hex without `0x`. */
  nonce: string;
  chainId: number;
  /** Which message text was offered: the seeds' EIP-712 data, or an EIP-4361 message. */
  profile: 'eip712' | 'eip4361';
  /** What the client chose at issue and the message depends on (EIP-4361 text fields, display name), as JSON. */
  context: string | null;
  /** Address of the client, shortened to its prefix; bounds how many are live at once. */
  source: string;
  issuedAt: number;
  expiresAt: number;
}

export interface ChallengeStore {
  /**
   * Stores a challenge. The pair (address, nonce) is unique for all time, spent or not: a nonce is never
   * issued twice to one address.
   *
   * Live means not spent and `expiresAt` after this challenge's `issuedAt`.
   *
   * @returns `nonce-used` if this address ever had this nonce; `too-many` if as many as `limits` allow are
   *   live already; neither stores anything
   */
  issue(
    challenge: Challenge,
    limits: { perAddressAndSource: number; perSource: number },
  ): Promise<'issued' | 'nonce-used' | 'too-many'>;
  /**
   * Spends a live challenge: one atomic statement, so that of any number of concurrent calls exactly one gets
   * it (R30). It stays spent whatever the signature turns out to be.
   *
   * @returns the challenge, or null if there is none, it was spent, or it expired (`now` >= `expiresAt`)
   */
  spend(address: string, nonce: string, now: number): Promise<Challenge | null>;
}

// ---------------------------------------------------------------------------------------------- users

export interface User {
  userId: number;
  /** Lower-case `0x` address, unique; null for a user that an operator made without a wallet. */
  address: string | null;
  displayName: string | null;
  /** 1 = active, 2 = suspended. */
  status: number;
  userType: number;
  userClass: number;
  roles: string[];
  /** Names from `PERMISSIONS`. */
  permissions: string[];
  tier: string;
  payoutAddress: string | null;
  createdAt: number;
  accounts: Account[];
}

export interface UserStore {
  find(userId: number): Promise<User | null>;
  findByAddress(address: string): Promise<User | null>;
  /** Newest first; `before` is the user id that the page before ended with. */
  list(page: { limit: number; before?: number }): Promise<User[]>;
  /**
   * Makes an active user with the two standard accounts (type 1 `Current`, type 2 `Trading`), or returns the one
   * that has the address, unchanged. User ids count up from 1000.
   */
  create(user: NewUser): Promise<User>;
  /** Changes what its owner may change; does not touch access. Null if there is no such user. */
  updateProfile(
    userId: number,
    profile: { displayName?: string; payoutAddress?: string },
  ): Promise<User | null>;
  /**
   * Changes what the user may do and records it in the change log in the same transaction: as `user-ended` if
   * the user is not active afterwards, else as `user-changed`. Null if there is no such user.
   */
  updateAccess(
    userId: number,
    access: { status?: number; roles?: string[]; permissions?: string[]; tier?: string },
    at: number,
  ): Promise<{ user: User; change: Change } | null>;
}

export interface NewUser {
  address: string | null;
  displayName: string | null;
  roles: string[];
  permissions: string[];
  tier: string;
  createdAt: number;
}

// ---------------------------------------------------------------------------------------------- sessions

export interface Session {
  sid: string;
  userId: number;
  chainId: number;
  /** `contract` sessions are checked again on chain at each refresh (R35). */
  wallet: 'eoa' | 'contract';
  rotation: 'adaptive' | 'strict';
  createdAt: number;
  /** Absolute end: never moved (R45). */
  expiresAt: number;
  revokedAt: number | null;
  revokeReason: string | null;
  lastRefreshAt: number | null;
  /** For the owner's list of sessions. */
  source: string;
  userAgent: string | null;
}

/** A refresh token as the store knows it: never its text. */
export interface RefreshTokenRecord {
  /** SHA-256 of the token's `jti`, hex. */
  digest: string;
  sid: string;
  /** 0 for the one a login gave; a successor has its parent's generation + 1. */
  generation: number;
  issuedAt: number;
}

export interface NewSuccessor {
  digest: string;
  /** The successor's compact text, encrypted under a key derived from the parent's secret `jti`, so that only a holder of the parent can be given it again. */
  sealed: Uint8Array;
}

/**
 * What a presented refresh token meant.
 *
 * - `rotated`: it was good; `sealed` is its one successor (the one given in the call if it had none yet)
 * - `reused`: it was retired before; the whole session has been revoked by this call and `change` says so
 * - `gone`: no such token, or its session has ended (revoked, or `now` >= `expiresAt`)
 */
export type RotationOutcome =
  /** `session` as it is after the call, `generation` of the successor, `fresh` if it is the one given in the call. */
  | { outcome: 'rotated'; session: Session; generation: number; sealed: Uint8Array; fresh: boolean }
  | { outcome: 'reused'; session: Session; change: Change }
  | { outcome: 'gone' };

export interface SessionStore {
  /**
   * Makes the session and its first refresh token durable in one transaction, creating the user if the address
   * is new.
   *
   * @param input.accepted the line about it for the audit log, durable when this resolves
   * @param input.most live sessions that the user may have, this one included (null: any number): the oldest beyond it end in the
   *   same transaction (reason `session-limit`), and `ended` are their records in the change log
   * @returns null, and makes nothing, if the user is suspended
   * @throws StoreError (rejects) `invalid` if the sid or the digest is taken
   */
  open(input: {
    user: NewUser & { address: string };
    session: Omit<Session, 'userId' | 'revokedAt' | 'revokeReason' | 'lastRefreshAt'>;
    refreshDigest: string;
    most: number | null;
    accepted?: (user: User) => AuditEntry;
  }): Promise<{ user: User; session: Session; ended: Change[] } | null>;
  find(sid: string): Promise<Session | null>;
  /** Live sessions of a user, newest first. */
  listByUser(userId: number, now: number): Promise<Session[]>;
  findRefresh(digest: string): Promise<RefreshTokenRecord | null>;
  /**
   * Presents a refresh token (requirements R43, R44), in one transaction:
   *
   * - Every token has at most one successor. The first presentation records the given one; later ones return it.
   * - `strict`: the token retires as soon as it has a successor. `adaptive`: it retires when its successor is
   *   first presented, and works until then.
   * - A retired token whose successor is not itself retired gets that successor again within `graceMs` of its
   *   retirement: a lost reply is survivable. Outside the grace, or further up the family, it is reuse.
   * - Reuse revokes the session (reason `refresh-token-reuse`) and appends to the change log.
   * - `rotation: 'strict'` makes the session strict for good, from this presentation on, if it is a good one.
   * - The grace is a distance in either direction: a clock set back by more than `graceMs` does not stretch it.
   */
  rotate(input: {
    digest: string;
    now: number;
    graceMs: number;
    successor: NewSuccessor;
    rotation?: 'strict';
  }): Promise<RotationOutcome>;
  /** Ends a session and appends to the change log. Null if it had ended already or never was. */
  revoke(sid: string, at: number, reason: string): Promise<Change | null>;
  /** Ends all live sessions of a user, optionally all but one. One change per session. */
  revokeAll(userId: number, at: number, reason: string, except?: string): Promise<Change[]>;
}

// ---------------------------------------------------------------------------------------------- change log

/**
 * The log that every node follows to learn that access changed. Sequence numbers are dense enough to catch
 * up by (`since`), and the push through the broker is only a hint to read it (R47).
 */
export interface Change {
  /** Strictly increasing. */
  sequence: number;
  at: number;
  kind:
    | 'session-ended'
    | 'user-changed'
    | 'user-ended'
    | 'api-key-changed'
    | 'api-key-ended'
    | 'handshake-token-changed'
    | 'handshake-token-ended'
    | 'signing-keys-changed';
  /** The sid, user id, key id or token id that changed, as text. */
  subject: string;
  reason: string;
}

export interface ChangeLog {
  /** Sequence of the newest change, 0 if there is none. */
  head(): Promise<number>;
  /** Changes after `sequence`, oldest first. */
  since(sequence: number, limit: number): Promise<Change[]>;
  append(change: Omit<Change, 'sequence'>): Promise<Change>;
}

// ---------------------------------------------------------------------------------------------- signing keys

export interface SigningKeyRecord {
  kid: string;
  alg: 'ES256';
  /** Public JWK as JSON. */
  publicJwk: string;
  /** PKCS#8 wrapped with AES-256-GCM under the key-encryption key. */
  wrapped: Uint8Array;
  /** `next` is published and not yet used; one is `active`; `retired` ones only verify. */
  state: 'next' | 'active' | 'retired' | 'revoked';
  createdAt: number;
  activatedAt: number | null;
  retiredAt: number | null;
}

export interface SigningKeyStore {
  list(): Promise<SigningKeyRecord[]>;
  /**
   * Replaces the whole set if it still is at `revision`, and appends `signing-keys-changed`: two nodes that
   * rotate at once cannot both win. Revisions begin at 0, with an empty set.
   *
   * @throws StoreError (rejects) `invalid` if more than one key is active, or a kid occurs twice
   */
  replace(keys: SigningKeyRecord[], revision: number, at: number): Promise<{ revision: number } | 'stale'>;
  revision(): Promise<number>;
}

export interface AuditEntry {
  at: number;
  /** `user:78`, `operator:admin`, `system`. */
  actor: string;
  /** Dotted verb such as `session.revoke`, `login.refused`. */
  action: string;
  target: string;
  source: string | null;
  /** JSON without secrets. */
  detail: string;
}

/**
 * Append-only and hash-chained: each row's hash covers the row and the hash before it. That shows a row that was
 * changed, moved, put in or taken out; to see that the newest were cut off, or all rewritten, keep the last hash
 * somewhere else and give it to `verify`.
 */
export interface AuditLog {
  /** NUL, and text that is not Unicode, is kept as U+FFFD: an entry is not refused for its content. */
  append(entry: AuditEntry): Promise<void>;
  /** Newest first; `before` is the `n` that the page before ended with. `n` counts up from 1. */
  list(page: { limit: number; before?: number }): Promise<(AuditEntry & { n: number; hash: string })[]>;
  /** Oldest first, behind row `after`; 0 for the beginning. */
  since(page: { after: number; limit: number }): Promise<(AuditEntry & { n: number; hash: string })[]>;
  /** Walks the whole chain. `anchor`: what an earlier walk ended with, so that what was cut off is noticed too. */
  verify(anchor?: AuditAnchor): Promise<AuditReport>;
}
