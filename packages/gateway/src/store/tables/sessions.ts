import { append, type Engine, type Op, prepare, rowsOf, together } from '../engine.ts';
import { toRefreshToken, toSession } from '../rows.ts';
import type { AccountRow, SessionRow } from '../schema.ts';
import type { Change, Session, SessionStore, User } from '../store.ts';
import type { Audit } from './audit.ts';
import { rotationOn } from './rotation.ts';
import { ACTIVE, type Users } from './users.ts';

const SESSION_LIMIT = 'session-limit';

interface Opened {
  user: User;
  session: Session;
  ended: Change[];
}

/** Ends a live session inside the transaction of whoever calls; null if it had ended or never was. */
export type EndSession = (
  sid: string,
  at: number,
  reason: string,
) => Op<{ session: SessionRow; change: Change } | null>;

export function sessionsOn(engine: Engine, users: Users, audit: Audit): SessionStore {
  const { build, read, write } = engine;
  const bySid = prepare<{ sid: string }>()((v) =>
    build.selectFrom('sessions').selectAll().where('sid', '=', v.sid),
  );
  const liveOfUser = prepare<{ userId: number; now: number }>()((v) =>
    build
      .selectFrom('sessions')
      .selectAll()
      .where('user_id', '=', v.userId)
      .where('revoked_at', 'is', null)
      .where('expires_at', '>', v.now)
      .orderBy('created_at', 'desc')
      .orderBy('sid'),
  );
  const countLive = prepare<{ userId: number; now: number }>()((v) =>
    build
      .selectFrom('sessions')
      .select(({ fn }) => fn.countAll<number>().as('live'))
      .where('user_id', '=', v.userId)
      .where('revoked_at', 'is', null)
      .where('expires_at', '>', v.now),
  );
  const oldestOfUser = prepare<{ userId: number; now: number; except: string; limit: number }>()((v) =>
    build
      .selectFrom('sessions')
      .select('sid')
      .where('user_id', '=', v.userId)
      .where('revoked_at', 'is', null)
      .where('expires_at', '>', v.now)
      .where('sid', '!=', v.except)
      .orderBy('created_at')
      .orderBy('sid')
      .limit(v.limit),
  );
  const insert = prepare<Omit<SessionRow, 'revoked_at' | 'revoke_reason' | 'last_refresh_at'>>()((v) =>
    build.insertInto('sessions').values({
      sid: v.sid,
      user_id: v.user_id,
      chain_id: v.chain_id,
      wallet: v.wallet,
      rotation: v.rotation,
      created_at: v.created_at,
      expires_at: v.expires_at,
      revoked_at: null,
      revoke_reason: null,
      last_refresh_at: null,
      source: v.source,
      user_agent: v.user_agent,
    }),
  );
  const end = prepare<{ sid: string; at: number; reason: string }>()((v) =>
    build
      .updateTable('sessions')
      .set({ revoked_at: v.at, revoke_reason: v.reason })
      .where('sid', '=', v.sid)
      .where('revoked_at', 'is', null)
      .where('expires_at', '>', v.at)
      .returningAll(),
  );

  const record = (sid: string, at: number, reason: string): Op<Change> =>
    append({ at, kind: 'session-ended', subject: sid, reason });
  const endSession: EndSession = function* (sid, at, reason) {
    const session = yield* end.get({ sid, at, reason });
    return session ? { session, change: yield* record(sid, at, reason) } : null;
  };
  /** Passes over those that have ended meanwhile: who ended them has recorded it. */
  function* endAll(sids: readonly string[], at: number, reason: string): Op<Change[]> {
    const changes: Change[] = [];
    if (sids.length === 0) return changes;
    const results = yield* together(...sids.map((sid) => end.with({ sid, at, reason })));
    for (const [i, { rows }] of results.entries()) {
      if (rows.length > 0) changes.push(yield* record(sids[i] as string, at, reason));
    }
    return changes;
  }
  /** Ends the oldest sessions of a user who has more than `most`. */
  function* endBeyond(most: number, userId: number, except: string, now: number): Op<Change[]> {
    const beyond = ((yield* countLive.get({ userId, now }))?.live ?? 0) - most;
    if (beyond <= 0) return [];
    const oldest = yield* oldestOfUser.all({ userId, now, except, limit: beyond });
    return yield* endAll(
      oldest.map((row) => row.sid),
      now,
      SESSION_LIMIT,
    );
  }
  const rotation = rotationOn(engine, endSession);

  return {
    open: ({ user: newUser, session, refreshDigest, most, accepted }) =>
      write(
        function* (): Op<Opened | null> {
          // Holds the user, so that of many at once each counts the sessions of the others.
          const user = yield* users.claim(newUser);
          if (user.status !== ACTIVE) return null;
          const { sid, createdAt: now } = session;
          const userId = user.user_id;
          const [accounts] = yield* together(
            users.accounts(userId),
            insert.with({
              sid,
              user_id: userId,
              chain_id: session.chainId,
              wallet: session.wallet,
              rotation: session.rotation,
              created_at: now,
              expires_at: session.expiresAt,
              source: session.source,
              user_agent: session.userAgent,
            }),
            rotation.begin({ digest: refreshDigest, sid, issuedAt: now }),
          );
          const ended = most === null ? [] : yield* endBeyond(most, userId, sid, now);
          return {
            user: users.whole(user, rowsOf<AccountRow>(accounts)),
            session: { ...session, userId, revokedAt: null, revokeReason: null, lastRefreshAt: null },
            ended,
          };
        },
        { name: `user ${newUser.address}` },
        (opened) => (opened === null || accepted === undefined ? null : audit.line(accepted(opened.user))),
      ),
    find: (sid) =>
      read(function* () {
        const row = yield* bySid.get({ sid });
        return row ? toSession(row) : null;
      }),
    listByUser: (userId, now) =>
      read(function* () {
        return (yield* liveOfUser.all({ userId, now })).map(toSession);
      }),
    findRefresh: (digest) =>
      read(function* () {
        const row = yield* rotation.find(digest);
        return row ? toRefreshToken(row) : null;
      }),
    rotate: (input) => write(() => rotation.present(input), { name: `refresh ${input.digest}` }),
    revoke: (sid, at, reason) =>
      write(
        function* (): Op<Change | null> {
          return (yield* endSession(sid, at, reason))?.change ?? null;
        },
        { name: `session ${sid}` },
      ),
    revokeAll: (userId, at, reason, except) =>
      write(
        function* (): Op<Change[]> {
          yield* users.hold(userId);
          const live = yield* liveOfUser.all({ userId, now: at });
          const sids = live.map(({ sid }) => sid).filter((sid) => sid !== except);
          return yield* endAll(sids, at, reason);
        },
        { name: `sessions of ${userId}` },
      ),
  };
}
