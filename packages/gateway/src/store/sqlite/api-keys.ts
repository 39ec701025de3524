import type Database from 'libsql';
import { fromApiKey, toApiKey } from '../rows.ts';
import type { ApiKeyRow } from '../schema.ts';
import type { ApiKeyStore } from '../store.ts';
import type { AppendChange } from './changes.ts';
import type { GroupCommit } from './group-commit.ts';
import { build, prepare } from './statement.ts';

export function sqliteApiKeys(
  db: Database.Database,
  commits: GroupCommit,
  append: AppendChange,
): ApiKeyStore {
  const byName = prepare(db)<{ name: string }>()((v) =>
    build.selectFrom('api_keys').selectAll().where('name', '=', v.name),
  );
  const byId = prepare(db)<{ keyId: string }>()((v) =>
    build.selectFrom('api_keys').selectAll().where('key_id', '=', v.keyId),
  );
  const ofUser = prepare(db)<{ userId: number }>()((v) =>
    build
      .selectFrom('api_keys')
      .selectAll()
      .where('user_id', '=', v.userId)
      .where('deleted_at', 'is', null)
      .orderBy('created_at', 'desc')
      .orderBy('name'),
  );
  const newest = prepare(db)<{ limit: number }>()((v) =>
    build.selectFrom('api_keys').selectAll().orderBy('created_at', 'desc').orderBy('name').limit(v.limit),
  );
  // Deleted keys stay, so the three unique columns also remember what must never be used again (R24, R25).
  const insert = prepare(db)<ApiKeyRow>()((v) =>
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
  const set = prepare(db)<ApiKeyRow>()((v) =>
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

  return {
    create: (key) => commits.write(() => (insert.run(fromApiKey(key)) === 1 ? 'created' : 'duplicate')),
    findByName: (name) =>
      commits.read(() => {
        const row = byName.get({ name });
        return row ? toApiKey(row) : null;
      }),
    findById: (keyId) =>
      commits.read(() => {
        const row = byId.get({ keyId });
        return row ? toApiKey(row) : null;
      }),
    listByUser: (userId) => commits.read(() => ofUser.all({ userId }).map(toApiKey)),
    list: ({ limit }) => commits.read(() => newest.all({ limit }).map(toApiKey)),
    update: (name, patch, at) =>
      commits.write(() => {
        const row = byName.get({ name });
        // Nothing revives a deleted key.
        if (!row || row.deleted_at !== null) return null;
        const key = { ...toApiKey(row), ...patch };
        set.run(fromApiKey(key));
        const reason = key.deletedAt !== null ? 'deleted' : key.enabled ? 'changed' : 'disabled';
        const kind = reason === 'changed' ? 'api-key-changed' : 'api-key-ended';
        return { key, change: append({ at, kind, subject: key.keyId, reason }) };
      }),
  };
}
