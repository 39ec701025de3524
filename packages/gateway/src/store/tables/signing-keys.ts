import { append, type Engine, type Op, prepare, together } from '../engine.ts';
import { toSigningKey } from '../rows.ts';
import type { SigningKeyRow } from '../schema.ts';
import type { SigningKeyStore } from '../store.ts';

export function signingKeysOn({ build, read, write }: Engine): SigningKeyStore {
  const all = prepare<object>()(() => build.selectFrom('signing_keys').selectAll().orderBy('position'));
  const revision = prepare<object>()(() => build.selectFrom('signing_key_set').select('revision'));
  const advance = prepare<{ revision: number; next: number }>()((v) =>
    build.updateTable('signing_key_set').set({ revision: v.next }).where('revision', '=', v.revision),
  );
  const clear = prepare<object>()(() => build.deleteFrom('signing_keys'));
  const insert = prepare<SigningKeyRow>()((v) =>
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
    list: () =>
      read(function* () {
        return (yield* all.all({})).map(toSigningKey);
      }),
    revision: () =>
      read(function* (): Op<number> {
        return (yield* revision.get({}))!.revision;
      }),
    replace: (keys, expected, at) =>
      write(
        function* (): Op<{ revision: number } | 'stale'> {
          const next = expected + 1;
          if ((yield* advance.run({ revision: expected, next })) === 0) return 'stale';
          const inserts = keys.map((key, position) =>
            insert.with({
              kid: key.kid,
              position,
              alg: key.alg,
              public_jwk: key.publicJwk,
              wrapped: key.wrapped,
              state: key.state,
              created_at: key.createdAt,
              activated_at: key.activatedAt,
              retired_at: key.retiredAt,
            }),
          );
          yield* together(clear.with({}), ...inserts);
          yield* append({ at, kind: 'signing-keys-changed', subject: String(next), reason: 'replaced' });
          return { revision: next };
        },
        { name: 'signing-keys' },
      ),
  };
}
