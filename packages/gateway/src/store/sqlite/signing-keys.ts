import type Database from 'libsql';
import { toSigningKey } from '../rows.ts';
import type { SigningKeyRow } from '../schema.ts';
import type { SigningKeyStore } from '../store.ts';
import type { AppendChange } from './changes.ts';
import type { GroupCommit } from './group-commit.ts';
import { build, prepare } from './statement.ts';

export function sqliteSigningKeys(
  db: Database.Database,
  commits: GroupCommit,
  append: AppendChange,
): SigningKeyStore {
  const all = prepare(db)<object>()(() => build.selectFrom('signing_keys').selectAll().orderBy('position'));
  const revision = prepare(db)<object>()(() => build.selectFrom('signing_key_set').select('revision'));
  const advance = prepare(db)<{ revision: number; next: number }>()((v) =>
    build.updateTable('signing_key_set').set({ revision: v.next }).where('revision', '=', v.revision),
  );
  const clear = prepare(db)<object>()(() => build.deleteFrom('signing_keys'));
  const insert = prepare(db)<SigningKeyRow>()((v) =>
    build.insertInto('signing_keys').values({
      kid: v.kid,
      position: v.position,
      alg: v.alg,
      public_jwk: v.public_jwk,
      wrapped: v.wrapped,
      state: v.state,
      created_at: v.created_at,
      activated_at: v.activated_at,
      retired_at: v.retired_at,
    }),
  );

  return {
    list: () => commits.read(() => all.all({}).map(toSigningKey)),
    revision: () => commits.read(() => revision.get({})!.revision),
    replace: (keys, expected, at) =>
      commits.write(() => {
        const next = expected + 1;
        if (advance.run({ revision: expected, next }) === 0) return 'stale';
        clear.run({});
        keys.forEach((key, position) => {
          insert.run({
            kid: key.kid,
            position,
            alg: key.alg,
            public_jwk: key.publicJwk,
            wrapped: key.wrapped,
            state: key.state,
            created_at: key.createdAt,
            activated_at: key.activatedAt,
            retired_at: key.retiredAt,
          });
        });
        append({ at, kind: 'signing-keys-changed', subject: String(next), reason: 'replaced' });
        return { revision: next };
      }),
  };
}
