/**
 * Sessions after the login: refresh, logout, list, revoke. A session lives for a fixed time from its login
 * and nothing moves that end (R45). Whatever is acknowledged here has been made durable before (R42).
 *
 * Rotation (R43, R44): every refresh answers with a successor of the token that was presented. The successor
 * is kept sealed under a key that only the parent's text gives, so the store can hand the same successor to
 * the same parent again without holding anything that could be used as a credential (R53).
 */
import { hash } from 'node:crypto';
import { Refusal } from '@countersign/protocol';
import type { Broker } from '../broker/broker.ts';
import type { Clock } from '../operations/clock.ts';
import type { Config } from '../operations/config.ts';
import type { Session, Store, User } from '../store/store.ts';
import type { AccessChanges } from './access-changes.ts';
import type { AccessToken, AccessTokens, RefreshClaims, RefreshToken } from './access-tokens.ts';
import type { ContractWallets } from './contract-wallet.ts';
import { deriveKey, seal, unseal } from './key-encryption.ts';
import { userAgentOf } from './login-parameters.ts';
import { requireClock } from './require-clock.ts';

/** What a login or a refresh gives. */
export interface SignedIn {
  user: User;
  session: Session;
  access: AccessToken;
  /** `expiresAt` in seconds since 1970. */
  refresh: RefreshToken;
}

export interface RefreshContext {
  /** Address prefix of the client. */
  source: string;
  userAgent: string | null;
  /** Makes the session strict from here on. */
  rotation?: 'strict';
}

/** Who ends a session, for the audit log. */
export interface Ending {
  /** Default: the session's own user. */
  actor?: string;
  source?: string | null;
  reason?: string;
}

export interface Sessions {
  /**
   * @param candidates every text of the request that could be a refresh token: body, query, cookies. Those that
   *   are none are skipped; of one family the newest is taken and the others do not count as reuse.
   * @throws Refusal `refresh_refused` for every failure that a new login cures; `unavailable` if a contract
   *   wallet cannot be asked just now, or while the clock of this node is off
   */
  refresh(candidates: readonly string[], context: RefreshContext): Promise<SignedIn>;
  /** False if the session had ended already. */
  logout(sid: string, ending?: Ending): Promise<boolean>;
  /** The session that a refresh token belongs to, for a logout that brings no access token; null if it is none. */
  sidOfRefreshToken(token: string): string | null;
  /** Number of sessions ended. */
  logoutAll(userId: number, exceptSid?: string, ending?: Ending): Promise<number>;
  /** Live sessions, newest first. */
  list(userId: number): Promise<Session[]>;
  /** False if there is no such live session of that user. */
  revoke(userId: number, sid: string, ending?: Ending): Promise<boolean>;
}

/** Clients send up to four (body, query, two cookies); more than a few is no client of ours. */
const MAX_CANDIDATES = 8;
const ACTIVE = 1;

export const newRefreshSecret = (random: (n: number) => Uint8Array): string =>
  Buffer.from(random(32)).toString('base64url');

/** SHA-256 in hex is enough for a secret of 256 random bits (ASVS 6.5.2). */
export const refreshDigest = (jti: string): string => hash('sha256', jti, 'hex');

const SEAL_LABEL = 'countersign/refresh-successor/v1';

export function createSessions({
  store,
  broker,
  clock,
  config,
  random,
  accessTokens,
  changes,
  contractWallets,
  clockAgrees,
  onProblem = () => {},
}: {
  store: Store;
  broker: Broker;
  clock: Clock;
  config: Pick<Config, 'tokens'>;
  random: (n: number) => Uint8Array;
  accessTokens: AccessTokens;
  changes: AccessChanges;
  contractWallets: ContractWallets;
  clockAgrees: () => boolean;
  onProblem?: (problem: unknown) => void;
}): Sessions {
  const { leeway, rotationGrace } = config.tokens;

  const audit = (action: string, target: string, ending: Required<Omit<Ending, 'reason'>>, detail: object) =>
    store.audit.append({
      at: clock.now(),
      actor: ending.actor,
      action,
      target,
      source: ending.source,
      detail: JSON.stringify(detail),
    });

  const refused = (reason: string): Refusal => new Refusal('refresh_refused', reason);

  /** Valid candidates that the store knows, the newest token of each family, the newest family first. */
  async function newestOfEachFamily(candidates: readonly string[]): Promise<Candidate[]> {
    const families = new Map<string, Candidate>();
    for (const token of new Set(candidates.slice(0, MAX_CANDIDATES))) {
      const claims = accessTokens.verifyRefresh(token);
      if (claims === null) continue;
      const digest = refreshDigest(claims.jti);
      const record = await store.sessions.findRefresh(digest);
      if (record === null || record.sid !== claims.sid) continue;
      const rival = families.get(claims.sid);
      if (rival === undefined || rival.generation < record.generation)
        families.set(claims.sid, { claims, digest, generation: record.generation });
    }
    return [...families.values()].sort((a, b) => b.claims.issuedAt - a.claims.issuedAt);
  }

  async function rotate(candidate: Candidate, context: RefreshContext): Promise<SignedIn | null> {
    const { claims, digest } = candidate;
    const session = await store.sessions.find(claims.sid);
    if (session === null || session.userId !== claims.userId || session.revokedAt !== null) return null;
    if (session.expiresAt <= clock.now()) return null;
    const user = await store.users.find(session.userId);
    if (user === null || user.status !== ACTIVE) throw refused('user is suspended');
    if (session.wallet === 'contract') await proveContract(session, user, claims);

    const jti = newRefreshSecret(random);
    const successor = accessTokens.issueRefresh(user, session, jti, claims.proof);
    const sealKey = deriveKey(Buffer.from(claims.jti), SEAL_LABEL);
    const strict = session.rotation === 'strict' || context.rotation === 'strict';
    const result = await store.sessions.rotate({
      digest,
      now: clock.now(),
      graceMs: (strict ? rotationGrace.strict : rotationGrace.adaptive) * 1000,
      successor: {
        digest: refreshDigest(jti),
        sealed: seal(sealKey, Buffer.from(successor.token), digest, random),
      },
      ...(strict ? { rotation: 'strict' as const } : {}),
    });
    switch (result.outcome) {
      case 'gone':
        return null;
      case 'reused':
        await changes.announce(result.change);
        await audit('session.refresh_reused', `session:${session.sid}`, systemFor(context.source), {
          userId: user.userId,
          generation: candidate.generation,
        });
        throw refused('a retired refresh token was presented: its family has been ended');
      case 'rotated': {
        await noteMove(session, user, context);
        const access = accessTokens.issueAccess(user, result.session);
        const token = Buffer.from(unseal(sealKey, result.sealed, digest)).toString('utf8');
        // Sockets of the session may go on (wire facts 3.4). Only a hint: without it they ask for a login.
        broker
          .signal({
            kind: 'session-extended',
            sid: session.sid,
            expiresAt: (access.expiresAt + leeway) * 1000,
          })
          .catch(onProblem);
        return {
          user,
          session: result.session,
          access,
          refresh: { token, expiresAt: successor.expiresAt },
        };
      }
    }
  }

  async function proveContract(session: Session, user: User, claims: RefreshClaims): Promise<void> {
    const verdict =
      claims.proof === null || user.address === null
        ? 'invalid'
        : await contractWallets.stillValid({
            address: user.address,
            chainId: session.chainId,
            ...claims.proof,
          });
    if (verdict === 'valid') return;
    if (verdict === 'unavailable')
      throw new Refusal('unavailable', 'the contract wallet cannot be asked', { retryAfter: 5 });
    await end(session.sid, session.userId, 'wallet no longer confirms', { actor: 'system' });
    throw refused('the contract wallet no longer confirms the login');
  }

  /** A token that turns up elsewhere than where the session began is worth a line for whoever investigates (R44). */
  async function noteMove(session: Session, user: User, context: RefreshContext): Promise<void> {
    const source = context.source !== session.source;
    const userAgent = userAgentOf(context.userAgent) !== session.userAgent;
    if (!source && !userAgent) return;
    await audit('session.moved', `session:${session.sid}`, systemFor(context.source), {
      userId: user.userId,
      source,
      userAgent,
      from: session.source,
    });
  }

  async function end(sid: string, userId: number, reason: string, ending: Ending): Promise<boolean> {
    const change = await store.sessions.revoke(sid, clock.now(), reason);
    if (change === null) return false;
    await changes.announce(change);
    await audit(
      'session.end',
      `session:${sid}`,
      { actor: ending.actor ?? `user:${userId}`, source: ending.source ?? null },
      { reason },
    );
    return true;
  }

  return {
    async refresh(candidates, context) {
      requireClock(clockAgrees);
      for (const candidate of await newestOfEachFamily(candidates)) {
        const signedIn = await rotate(candidate, context);
        if (signedIn !== null) return signedIn;
      }
      throw refused('no valid refresh token among the candidates');
    },

    async logout(sid, ending = {}) {
      const session = await store.sessions.find(sid);
      return session !== null && end(sid, session.userId, ending.reason ?? 'logout', ending);
    },

    sidOfRefreshToken: (token) => accessTokens.verifyRefresh(token)?.sid ?? null,

    async logoutAll(userId, exceptSid, ending = {}) {
      const reason = ending.reason ?? 'logout of all sessions';
      const ended = await store.sessions.revokeAll(userId, clock.now(), reason, exceptSid);
      const last = ended.at(-1);
      if (last === undefined) return 0;
      await changes.announce(last);
      await audit(
        'session.end_all',
        `user:${userId}`,
        { actor: ending.actor ?? `user:${userId}`, source: ending.source ?? null },
        { reason, sessions: ended.length },
      );
      return ended.length;
    },

    list: (userId) => store.sessions.listByUser(userId, clock.now()),

    async revoke(userId, sid, ending = {}) {
      const session = await store.sessions.find(sid);
      if (session === null || session.userId !== userId) return false;
      return end(sid, userId, ending.reason ?? 'revoked', ending);
    },
  };
}

interface Candidate {
  claims: RefreshClaims;
  digest: string;
  generation: number;
}

const systemFor = (source: string) => ({ actor: 'system', source });
