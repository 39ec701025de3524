import { sql } from 'kysely';
import { type Engine, lock, type Op, prepare, together } from '../engine.ts';
import { toChallenge } from '../rows.ts';
import type { ChallengeRow } from '../schema.ts';
import type { Challenge, ChallengeStore } from '../store.ts';

/** Spent challenges stay for ever: their primary key is the record that a nonce was issued to an address. */
export function challengesOn({ build, write }: Engine): ChallengeStore {
  const known = prepare<{ address: string; nonce: string }>()((v) =>
    build
      .selectFrom('challenges')
      .select('address')
      .where('address', '=', v.address)
      .where('nonce', '=', v.nonce),
  );
  // Both ask for the row that would be the last one allowed, rather than count: the walk ends at the limit.
  const fullForAddress = prepare<{ address: string; source: string; now: number; skip: number }>()((v) =>
    build
      .selectFrom('challenges')
      .select('expires_at')
      .where('spent', '=', sql.lit(0))
      .where('address', '=', v.address)
      .where('source', '=', v.source)
      .where('expires_at', '>', v.now)
      .limit(1)
      .offset(v.skip),
  );
  const fullForSource = prepare<{ source: string; now: number; skip: number }>()((v) =>
    build
      .selectFrom('challenges')
      .select('expires_at')
      .where('spent', '=', sql.lit(0))
      .where('source', '=', v.source)
      .where('expires_at', '>', v.now)
      .limit(1)
      .offset(v.skip),
  );
  const insert = prepare<Omit<ChallengeRow, 'spent'>>()((v) =>
    build
      .insertInto('challenges')
      .values({
        address: v.address,
        nonce: v.nonce,
        chain_id: v.chain_id,
        profile: v.profile,
        context: v.context,
        source: v.source,
        issued_at: v.issued_at,
        expires_at: v.expires_at,
        spent: 0,
      })
      .onConflict((conflict) => conflict.doNothing()),
  );
  const spend = prepare<{ address: string; nonce: string; now: number }>()((v) =>
    build
      .updateTable('challenges')
      .set({ spent: 1 })
      .where('address', '=', v.address)
      .where('nonce', '=', v.nonce)
      .where('spent', '=', sql.lit(0))
      .where('expires_at', '>', v.now)
      .returningAll(),
  );

  return {
    issue: (challenge, limits) =>
      write(
        function* (): Op<'issued' | 'nonce-used' | 'too-many'> {
          const { address, nonce, source, issuedAt: now } = challenge;
          const { perAddressAndSource, perSource } = limits;
          // Two that count at the same moment would both find room for the last one.
          const [, used, ofAddress, ofSource] = yield* together(
            lock(`challenges ${source}`),
            known.with({ address, nonce }),
            fullForAddress.with({ address, source, now, skip: Math.max(0, perAddressAndSource - 1) }),
            fullForSource.with({ source, now, skip: Math.max(0, perSource - 1) }),
          );
          if (used?.rows[0]) return 'nonce-used';
          if (perAddressAndSource < 1 || perSource < 1) return 'too-many';
          if (ofAddress?.rows[0] || ofSource?.rows[0]) return 'too-many';
          const inserted = yield* insert.run({
            address,
            nonce,
            chain_id: challenge.chainId,
            profile: challenge.profile,
            context: challenge.context,
            source,
            issued_at: now,
            expires_at: challenge.expiresAt,
          });
          return inserted === 1 ? 'issued' : 'nonce-used';
        },
        { name: `challenges ${challenge.source}`, shared: true },
      ),
    spend: (address, nonce, now) =>
      write(
        function* (): Op<Challenge | null> {
          const row = yield* spend.get({ address, nonce, now });
          return row ? toChallenge(row) : null;
        },
        { name: `nonce ${address} ${nonce}` },
      ),
  };
}
