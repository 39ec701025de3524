import { sql } from 'kysely';
import type Database from 'libsql';
import type { Store } from '../store.ts';
import type { GroupCommit } from './group-commit.ts';
import { build, prepare } from './statement.ts';

/** As the index has it: a session ends once, by revocation or by time. */
const ENDED_AT = sql<number>`coalesce(revoked_at, expires_at)`;

export function sqliteSweep(db: Database.Database, commits: GroupCommit): Store['sweep'] {
  const tokens = prepare(db)<{ before: number; limit: number }>()((v) =>
    build
      .deleteFrom('refresh_tokens')
      .where('digest', 'in', (q) =>
        q
          .selectFrom('sessions')
          .innerJoin('refresh_tokens as token', 'token.sid', 'sessions.sid')
          .select('token.digest')
          .where(ENDED_AT, '<', v.before)
          .limit(v.limit),
      ),
  );
  const sessions = prepare(db)<{ before: number; limit: number }>()((v) =>
    build.deleteFrom('sessions').where('sid', 'in', (q) =>
      q
        .selectFrom('sessions as ended')
        .select('ended.sid')
        .where(ENDED_AT, '<', v.before)
        .where(({ not, exists, selectFrom }) =>
          not(
            exists(
              selectFrom('refresh_tokens')
                .select('refresh_tokens.digest')
                .whereRef('refresh_tokens.sid', '=', 'ended.sid'),
            ),
          ),
        )
        .limit(v.limit),
    ),
  );
  return (now, keepMs, limit) =>
    commits.write(() => {
      const before = now - keepMs;
      const refreshTokens = tokens.run({ before, limit });
      const rest = limit - refreshTokens;
      return { refreshTokens, sessions: rest > 0 ? sessions.run({ before, limit: rest }) : 0 };
    });
}
