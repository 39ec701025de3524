/** Refresh tokens of sessions: `decideRotation` says what a presented one means, this reads and writes. */
import { type Engine, type Op, prepare, rowsOf, type Step, together } from '../engine.ts';
import { decideRotation } from '../rotation.ts';
import { toSession } from '../rows.ts';
import type { RefreshTokenRow, SessionRow } from '../schema.ts';
import type { RotationOutcome, SessionStore } from '../store.ts';
import type { EndSession } from './sessions.ts';

const REUSE = 'refresh-token-reuse';

export interface Rotation {
  find(digest: string): Op<RefreshTokenRow | undefined>;
  /** Records the first refresh token of a session. */
  begin(token: { digest: string; sid: string; issuedAt: number }): Step;
  present(input: Parameters<SessionStore['rotate']>[0]): Op<RotationOutcome>;
}

/** All of these run inside the transaction of whoever calls. */
export function rotationOn({ build, locking }: Engine, endSession: EndSession): Rotation {
  const byDigest = prepare<{ digest: string }>()((v) =>
    build.selectFrom('refresh_tokens').selectAll().where('digest', '=', v.digest),
  );
  // The session is what presentations of all its tokens meet at: whoever holds it sees them one after the other.
  const sessionOf = prepare<{ digest: string }>()((v) =>
    locking(
      build
        .selectFrom('sessions')
        .selectAll()
        .where('sid', '=', (q) =>
          q.selectFrom('refresh_tokens').select('sid').where('digest', '=', v.digest),
        ),
    ),
  );
  const withSuccessor = prepare<{ digest: string }>()((v) =>
    build
      .selectFrom('refresh_tokens as token')
      .leftJoin('refresh_tokens as next', 'next.digest', 'token.successor')
      .selectAll('token')
      .select('next.retired_at as next_retired_at')
      .where('token.digest', '=', v.digest),
  );
  const insert = prepare<Pick<RefreshTokenRow, 'digest' | 'sid' | 'generation' | 'issued_at' | 'parent'>>()(
    (v) =>
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
  const setSuccessor = prepare<{ digest: string; successor: string; sealed: Uint8Array }>()((v) =>
    build
      .updateTable('refresh_tokens')
      .set({ successor: v.successor, successor_sealed: v.sealed })
      .where('digest', '=', v.digest),
  );
  const retire = prepare<{ digest: string; now: number }>()((v) =>
    build
      .updateTable('refresh_tokens')
      .set({ retired_at: v.now })
      .where('digest', '=', v.digest)
      .where('retired_at', 'is', null),
  );
  // Nobody can be given a retired token any more: its parent need not keep it.
  const forgetSealed = prepare<{ digest: string }>()((v) =>
    build
      .updateTable('refresh_tokens')
      .set({ successor_sealed: null })
      .where('digest', '=', (q) =>
        q
          .selectFrom('refresh_tokens as retired')
          .select('retired.parent')
          .where('retired.digest', '=', v.digest),
      )
      .where('successor_sealed', 'is not', null),
  );
  const noteRefresh = prepare<{ sid: string; now: number; rotation: SessionRow['rotation'] }>()((v) =>
    build
      .updateTable('sessions')
      .set({ last_refresh_at: v.now, rotation: v.rotation })
      .where('sid', '=', v.sid)
      .returningAll(),
  );

  const retireAndTidy = (digest: string, now: number): Step[] => [
    retire.with({ digest, now }),
    forgetSealed.with({ digest }),
  ];

  function* present(input: Parameters<SessionStore['rotate']>[0]): Op<RotationOutcome> {
    const { digest, now, graceMs } = input;
    const session = yield* sessionOf.get({ digest });
    // Read once the session is held: only then does it stay as it was read.
    const token = session && (yield* withSuccessor.get({ digest }));
    if (!token || !session) return { outcome: 'gone' };

    const rotation = input.rotation ?? session.rotation;
    const decision = decideRotation(
      { successor: token.successor, retiredAt: token.retired_at },
      token.next_retired_at !== null,
      { expiresAt: session.expires_at, revokedAt: session.revoked_at },
      { now, graceMs, strict: rotation === 'strict' },
    );
    if (decision.meaning === 'gone') return { outcome: 'gone' };
    if (decision.meaning === 'reuse') {
      const ended = yield* endSession(session.sid, now, REUSE);
      if (!ended) return { outcome: 'gone' };
      return { outcome: 'reused', session: toSession(ended.session), change: ended.change };
    }

    const generation = token.generation + 1;
    const steps: Step[] = [];
    if (decision.adopt) {
      const { digest: successor, sealed } = input.successor;
      steps.push(
        insert.with({ digest: successor, sid: token.sid, generation, issued_at: now, parent: digest }),
        setSuccessor.with({ digest, successor, sealed }),
      );
    }
    if (decision.retireParent && token.parent) steps.push(...retireAndTidy(token.parent, now));
    if (decision.retireToken) steps.push(...retireAndTidy(digest, now));
    const results = yield* together(...steps, noteRefresh.with({ sid: session.sid, now, rotation }));
    return {
      outcome: 'rotated',
      session: toSession(rowsOf<SessionRow>(results.at(-1))[0]!),
      generation,
      sealed: decision.adopt ? input.successor.sealed : new Uint8Array(token.successor_sealed!),
      fresh: decision.adopt,
    };
  }

  return {
    find: (digest) => byDigest.get({ digest }),
    begin: ({ digest, sid, issuedAt }) =>
      insert.with({ digest, sid, generation: 0, issued_at: issuedAt, parent: null }),
    present,
  };
}
