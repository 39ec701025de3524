/** Refresh tokens of sessions: `decideRotation` says what a presented one means, this reads and writes. */
import type Database from 'libsql';
import { decideRotation } from '../rotation.ts';
import { toSession } from '../rows.ts';
import type { RefreshTokenRow, SessionRow } from '../schema.ts';
import type { RotationOutcome, SessionStore } from '../store.ts';
import type { EndSession } from './sessions.ts';
import { build, prepare, type Statement } from './statement.ts';

const REUSE = 'refresh-token-reuse';

export interface SqliteRotation {
  find(digest: string): RefreshTokenRow | undefined;
  /** Records the first refresh token of a session. */
  begin(token: { digest: string; sid: string; issuedAt: number }): void;
  present(input: Parameters<SessionStore['rotate']>[0]): RotationOutcome;
}

/** All functions run inside the transaction of whoever calls. */
export function sqliteRotation(
  db: Database.Database,
  sessionBySid: Statement<{ sid: string }, SessionRow>,
  endSession: EndSession,
): SqliteRotation {
  const byDigest = prepare(db)<{ digest: string }>()((v) =>
    build.selectFrom('refresh_tokens').selectAll().where('digest', '=', v.digest),
  );
  const insert = prepare(db)<
    Pick<RefreshTokenRow, 'digest' | 'sid' | 'generation' | 'issued_at' | 'parent'>
  >()((v) =>
    build.insertInto('refresh_tokens').values({
      digest: v.digest,
      sid: v.sid,
      generation: v.generation,
      issued_at: v.issued_at,
      parent: v.parent,
      successor: null,
      successor_sealed: null,
      retired_at: null,
    }),
  );
  const setSuccessor = prepare(db)<{ digest: string; successor: string; sealed: Uint8Array }>()((v) =>
    build
      .updateTable('refresh_tokens')
      .set({ successor: v.successor, successor_sealed: v.sealed })
      .where('digest', '=', v.digest),
  );
  const retire = prepare(db)<{ digest: string; now: number }>()((v) =>
    build
      .updateTable('refresh_tokens')
      .set({ retired_at: v.now })
      .where('digest', '=', v.digest)
      .where('retired_at', 'is', null)
      .returning('parent'),
  );
  const forgetSealed = prepare(db)<{ digest: string }>()((v) =>
    build.updateTable('refresh_tokens').set({ successor_sealed: null }).where('digest', '=', v.digest),
  );
  const noteRefresh = prepare(db)<{ sid: string; now: number; rotation: SessionRow['rotation'] }>()((v) =>
    build
      .updateTable('sessions')
      .set({ last_refresh_at: v.now, rotation: v.rotation })
      .where('sid', '=', v.sid)
      .returningAll(),
  );

  function retireAndTidy(digest: string, now: number): void {
    const parent = retire.get({ digest, now })?.parent;
    // Nobody can be given the retired token any more: its parent need not keep it.
    if (parent) forgetSealed.run({ digest: parent });
  }

  function present(input: Parameters<SessionStore['rotate']>[0]): RotationOutcome {
    const { digest, now, graceMs } = input;
    const token = byDigest.get({ digest });
    const session = token && sessionBySid.get({ sid: token.sid });
    if (!token || !session) return { outcome: 'gone' };

    const rotation = input.rotation ?? session.rotation;
    const recorded = token.successor === null ? undefined : byDigest.get({ digest: token.successor });
    const decision = decideRotation(
      { successor: token.successor, retiredAt: token.retired_at },
      recorded?.retired_at != null,
      { expiresAt: session.expires_at, revokedAt: session.revoked_at },
      { now, graceMs, strict: rotation === 'strict' },
    );
    if (decision.meaning === 'gone') return { outcome: 'gone' };
    if (decision.meaning === 'reuse') {
      const ended = endSession(session.sid, now, REUSE)!;
      return { outcome: 'reused', session: toSession(ended.session), change: ended.change };
    }

    const generation = token.generation + 1;
    if (decision.adopt) {
      const { digest: successor, sealed } = input.successor;
      insert.run({ digest: successor, sid: token.sid, generation, issued_at: now, parent: digest });
      setSuccessor.run({ digest, successor, sealed });
    }
    if (decision.retireParent && token.parent) retireAndTidy(token.parent, now);
    if (decision.retireToken) retireAndTidy(digest, now);
    const noted = noteRefresh.get({ sid: session.sid, now, rotation })!;
    return {
      outcome: 'rotated',
      session: toSession(noted),
      generation,
      sealed: decision.adopt ? input.successor.sealed : new Uint8Array(token.successor_sealed!),
      fresh: decision.adopt,
    };
  }

  return {
    find: (digest) => byDigest.get({ digest }),
    begin: ({ digest, sid, issuedAt }) =>
      void insert.run({ digest, sid, generation: 0, issued_at: issuedAt, parent: null }),
    present,
  };
}
