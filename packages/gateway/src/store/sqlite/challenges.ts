import { sql } from 'kysely';
import type Database from 'libsql';
import { toChallenge } from '../rows.ts';
import type { ChallengeRow } from '../schema.ts';
import type { ChallengeStore } from '../store.ts';
import type { GroupCommit } from './group-commit.ts';
import { build, prepare } from './statement.ts';

/** Spent challenges stay for ever: their primary key is the record that a nonce was issued to an address. */
export function sqliteChallenges(db: Database.Database, commits: GroupCommit): ChallengeStore {
  const known = prepare(db)<{ address: string; nonce: string }>()((v) =>
    build
      .selectFrom('challenges')
      .select('address')
      .where('address', '=', v.address)
      .where('nonce', '=', v.nonce),
  );
  // Both ask for the row that would be the last one allowed, rather than count: the walk ends at the limit.
  const fullForAddress = prepare(db)<{ address: string; source: string; now: number; skip: number }>()((v) =>
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
  const fullForSource = prepare(db)<{ source: string; now: number; skip: number }>()((v) =>
    build
      .selectFrom('challenges')
      .select('expires_at')
      .where('spent', '=', sql.lit(0))
      .where('source', '=', v.source)
      .where('expires_at', '>', v.now)
      .limit(1)
      .offset(v.skip),
  );
  const insert = prepare(db)<Omit<ChallengeRow, 'spent'>>()((v) =>
    build.insertInto('challenges').values({
      address: v.address,
      nonce: v.nonce,
      chain_id: v.chain_id,
      profile: v.profile,
      context: v.context,
      source: v.source,
      issued_at: v.issued_at,
      expires_at: v.expires_at,
      spent: 0,
    }),
  );
  const spend = prepare(db)<{ address: string; nonce: string; now: number }>()((v) =>
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
      commits.write(() => {
        const { address, nonce, source, issuedAt: now } = challenge;
        if (known.get({ address, nonce })) return 'nonce-used';
        const { perAddressAndSource, perSource } = limits;
        if (perAddressAndSource < 1 || perSource < 1) return 'too-many';
        if (fullForAddress.get({ address, source, now, skip: perAddressAndSource - 1 })) return 'too-many';
        if (fullForSource.get({ source, now, skip: perSource - 1 })) return 'too-many';
        insert.run({
          address,
          nonce,
          chain_id: challenge.chainId,
          profile: challenge.profile,
          context: challenge.context,
          source,
          issued_at: now,
          expires_at: challenge.expiresAt,
        });
        return 'issued';
      }),
    spend: (address, nonce, now) =>
      commits.write(() => {
        const row = spend.get({ address, nonce, now });
        return row ? toChallenge(row) : null;
      }),
  };
}
