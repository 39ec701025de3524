import type { ApiKey, ApiKeyStore } from '../api-keys.ts';
import { append, type Engine, type Op, prepare } from '../engine.ts';
import { fromApiKey, toApiKey } from '../rows.ts';
import type { ApiKeyRow } from '../schema.ts';
import type { Change } from '../store.ts';

export function apiKeysOn({ build, locking, read, write }: Engine): ApiKeyStore {
  const keys = () => build.selectFrom('api_keys').selectAll();
  const byName = prepare<{ name: string }>()((v) => keys().where('name', '=', v.name));
  const byNameToChange = prepare<{ name: string }>()((v) => locking(keys().where('name', '=', v.name)));
  const byId = prepare<{ keyId: string }>()((v) => keys().where('key_id', '=', v.keyId));
  const ofUser = prepare<{ userId: number }>()((v) =>
    keys()
      .where('user_id', '=', v.userId)
      .where('deleted_at', 'is', null)
      .orderBy('created_at', 'desc')
      .orderBy('name'),
  );
  const newest = prepare<{ limit: number }>()((v) =>
    keys().orderBy('created_at', 'desc').orderBy('name').limit(v.limit),
  );
  // Deleted keys stay, so the three unique columns also remember what must never be used again (R24, R25).
  const insert = prepare<ApiKeyRow>()((v) =>
    build
      .insertInto('api_keys')
      .values({
        name: v.name,
        key_id: v.key_id,
        user_id: v.user_id,
        nickname: v.nickname,
        alg: v.alg,
        public_jwk: v.public_jwk,
        thumbprint: v.thumbprint,
        scopes: v.scopes,
        tier: v.tier,
        allowed_ips: v.allowed_ips,
        replay: v.replay,
        enabled: v.enabled,
        created_at: v.created_at,
        expires_at: v.expires_at,
        deleted_at: v.deleted_at,
        replaced_by: v.replaced_by,
      })
      .onConflict((conflict) => conflict.doNothing()),
  );
  const set = prepare<ApiKeyRow>()((v) =>
    build
      .updateTable('api_keys')
      .set({
        nickname: v.nickname,
        scopes: v.scopes,
        tier: v.tier,
        allowed_ips: v.allowed_ips,
        replay: v.replay,
        enabled: v.enabled,
        expires_at: v.expires_at,
        deleted_at: v.deleted_at,
        replaced_by: v.replaced_by,
      })
      .where('name', '=', v.name),
  );

  const found = (row: ApiKeyRow | undefined): ApiKey | null => (row ? toApiKey(row) : null);

  return {
    create: (key) =>
      write(function* (): Op<'created' | 'duplicate'> {
        return (yield* insert.run(fromApiKey(key))) === 1 ? 'created' : 'duplicate';
      }),
    findByName: (name) =>
      read(function* () {
        return found(yield* byName.get({ name }));
      }),
    findById: (keyId) =>
      read(function* () {
        return found(yield* byId.get({ keyId }));
      }),
    listByUser: (userId) =>
      read(function* () {
        return (yield* ofUser.all({ userId })).map(toApiKey);
      }),
    list: ({ limit }) =>
      read(function* () {
        return (yield* newest.all({ limit })).map(toApiKey);
      }),
    update: (name, patch, at) =>
      write(
        function* (): Op<{ key: ApiKey; change: Change } | null> {
          const row = yield* byNameToChange.get({ name });
          // Nothing revives a deleted key.
          if (!row || row.deleted_at !== null) return null;
          const key = { ...toApiKey(row), ...patch };
          yield* set.run(fromApiKey(key));
          const reason = key.deletedAt !== null ? 'deleted' : key.enabled ? 'changed' : 'disabled';
          const kind = reason === 'changed' ? 'api-key-changed' : 'api-key-ended';
          return { key, change: yield* append({ at, kind, subject: key.keyId, reason }) };
        },
        { name: `api-key ${name}` },
      ),
  };
}
