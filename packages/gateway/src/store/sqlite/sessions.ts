import type Database from 'libsql';
import { toRefreshToken, toSession } from '../rows.ts';
import type { SessionRow } from '../schema.ts';
import type { Change, SessionStore } from '../store.ts';
import type { AppendChange } from './changes.ts';
import type { GroupCommit } from './group-commit.ts';
import { sqliteRotation } from './rotation.ts';
import { build, prepare } from './statement.ts';
import type { SqliteUsers } from './users.ts';

const SESSION_LIMIT = 'session-limit';

/** Ends a live session inside the transaction of whoever calls; null if it had ended or never was. */
export type EndSession = (
  sid: string,
  at: number,
  reason: string,
) => { session: SessionRow; change: Change } | null;

export function sqliteSessions(
  db: Database.Database,
  commits: GroupCommit,
  append: AppendChange,
  users: SqliteUsers,
): SessionStore {
  const bySid = prepare(db)<{ sid: string }>()((v) =>
    build.selectFrom('sessions').selectAll().where('sid', '=', v.sid),
  );
  const liveOfUser = prepare(db)<{ userId: number; now: number }>()((v) =>
    build
      .selectFrom('sessions')
      .selectAll()
      .where('user_id', '=', v.userId)
      .where('revoked_at', 'is', null)
      .where('expires_at', '>', v.now)
      .orderBy('created_at', 'desc')
      .orderBy('sid'),
  );
  const countLive = prepare(db)<{ userId: number; now: number }>()((v) =>
    build
      .selectFrom('sessions')
      .select(({ fn }) => fn.countAll<number>().as('live'))
      .where('user_id', '=', v.userId)
      .where('revoked_at', 'is', null)
      .where('expires_at', '>', v.now),
  );
  const oldestOfUser = prepare(db)<{ userId: number; now: number; except: string; limit: number }>()((v) =>
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
  const insert = prepare(db)<Omit<SessionRow, 'revoked_at' | 'revoke_reason' | 'last_refresh_at'>>()((v) =>
    build
      .insertInto('sessions')
      .values({
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
      })
      .returningAll(),
  );
  const end = prepare(db)<{ sid: string; at: number; reason: string }>()((v) =>
    build
      .updateTable('sessions')
      .set({ revoked_at: v.at, revoke_reason: v.reason })
      .where('sid', '=', v.sid)
      .where('revoked_at', 'is', null)
      .where('expires_at', '>', v.at)
      .returningAll(),
  );

  const endSession: EndSession = (sid, at, reason) => {
    const session = end.get({ sid, at, reason });
    return session ? { session, change: append({ at, kind: 'session-ended', subject: sid, reason }) } : null;
  };
  function endOldest(userId: number, now: number, most: number, except: string): Change[] {
    const beyond = countLive.get({ userId, now })!.live - most;
    if (beyond <= 0) return [];
    return oldestOfUser
      .all({ userId, now, except, limit: beyond })
      .map(({ sid }) => endSession(sid, now, SESSION_LIMIT)!.change);
  }
  const rotation = sqliteRotation(db, bySid, endSession);

  return {
    open: ({ user: newUser, session, refreshDigest, most }) =>
      commits.write(() => {
        const user = users.create(newUser);
        const row = insert.get({
          sid: session.sid,
          user_id: user.userId,
          chain_id: session.chainId,
          wallet: session.wallet,
          rotation: session.rotation,
          created_at: session.createdAt,
          expires_at: session.expiresAt,
          source: session.source,
          user_agent: session.userAgent,
        })!;
        rotation.begin({ digest: refreshDigest, sid: session.sid, issuedAt: session.createdAt });
        const ended = endOldest(user.userId, session.createdAt, most, session.sid);
        return { user, session: toSession(row), ended };
      }),
    find: (sid) =>
      commits.read(() => {
        const row = bySid.get({ sid });
        return row ? toSession(row) : null;
      }),
    listByUser: (userId, now) => commits.read(() => liveOfUser.all({ userId, now }).map(toSession)),
    findRefresh: (digest) =>
      commits.read(() => {
        const row = rotation.find(digest);
        return row ? toRefreshToken(row) : null;
      }),
    rotate: (input) => commits.write(() => rotation.present(input)),
    revoke: (sid, at, reason) => commits.write(() => endSession(sid, at, reason)?.change ?? null),
    revokeAll: (userId, at, reason, except) =>
      commits.write(() =>
        liveOfUser
          .all({ userId, now: at })
          .filter(({ sid }) => sid !== except)
          .map(({ sid }) => endSession(sid, at, reason)!.change),
      ),
  };
}
