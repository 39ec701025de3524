import { sql } from 'kysely';
import { type Engine, lock, type Op, prepare, together } from '../engine.ts';
import type { Store } from '../store.ts';

/** As the index has it: a session ends once, by revocation or by time. */
const ENDED_AT = sql<number>`coalesce(revoked_at, expires_at)`;

export function sweepOn({ build, write }: Engine): Store['sweep'] {
  const tokens = prepare<{ before: number; limit: number }>()((v) =>
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
  const sessions = prepare<{ before: number; limit: number }>()((v) =>
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
    write(
      function* (): Op<{ sessions: number; refreshTokens: number }> {
        const before = now - keepMs;
        // Two that sweep at once would only wait for each other's rows.
        const [, swept] = yield* together(lock('sweep'), tokens.with({ before, limit }));
        const refreshTokens = swept?.changes ?? 0;
        const rest = limit - refreshTokens;
        return { refreshTokens, sessions: rest > 0 ? yield* sessions.run({ before, limit: rest }) : 0 };
      },
      { name: 'sweep' },
    );
}
