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
  const liveOfSource = build
    .selectFrom('challenges')
    .select('expires_at')
    .where('spent', '=', sql.lit(0))
    .limit(1);
  type Room = { skipOfAddress: number; skipOfSource: number };
  const insertIfRoom = prepare<Omit<ChallengeRow, 'spent'> & Room>()((v) => {
    // Each asks for the row that would be the last one allowed, rather than count: the walk ends at the limit.
    const full = liveOfSource.where('source', '=', v.source).where('expires_at', '>', v.issued_at);
    return build
      .insertInto('challenges')
      .columns([
        'address',
        'nonce',
        'chain_id',
        'profile',
        'context',
        'source',
        'issued_at',
        'expires_at',
        'spent',
      ])
      .expression(
        build
          .selectNoFrom(({ val }) => [
            val(v.address).as('address'),
            val(v.nonce).as('nonce'),
            val(v.chain_id).as('chain_id'),
            val(v.profile).as('profile'),
            val(v.context).as('context'),
            val(v.source).as('source'),
            val(v.issued_at).as('issued_at'),
            val(v.expires_at).as('expires_at'),
            sql.lit(0).as('spent'),
          ])
          .where(({ not, exists }) =>
            not(exists(full.where('address', '=', v.address).offset(v.skipOfAddress))),
          )
          .where(({ not, exists }) => not(exists(full.offset(v.skipOfSource)))),
      )
      .onConflict((conflict) => conflict.doNothing());
  });
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
          if (perAddressAndSource >= 1 && perSource >= 1) {
            const [, inserted] = yield* together(
              // Two that count at the same moment would both find room for the last one.
              lock(`challenges ${source}`),
              insertIfRoom.with({
                address,
                nonce,
                chain_id: challenge.chainId,
                profile: challenge.profile,
                context: challenge.context,
                source,
                issued_at: now,
                expires_at: challenge.expiresAt,
                skipOfAddress: perAddressAndSource - 1,
                skipOfSource: perSource - 1,
              }),
            );
            if (inserted?.changes === 1) return 'issued';
          }
          return (yield* known.get({ address, nonce })) ? 'nonce-used' : 'too-many';
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
