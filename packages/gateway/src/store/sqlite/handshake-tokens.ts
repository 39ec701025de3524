import type Database from 'libsql';
import type { HandshakeToken, HandshakeTokenStore, HandshakeTokenUse } from '../handshake-tokens.ts';
import { fromHandshakeToken, toHandshakeToken } from '../rows.ts';
import type { HandshakeTokenRow } from '../schema.ts';
import { StoreError } from '../store-error.ts';
import type { AppendChange } from './changes.ts';
import type { GroupCommit } from './group-commit.ts';
import { build, prepare } from './statement.ts';

export function sqliteHandshakeTokens(
  db: Database.Database,
  commits: GroupCommit,
  append: AppendChange,
): HandshakeTokenStore {
  const tokens = () => build.selectFrom('handshake_tokens').selectAll();
  const byDigest = prepare(db)<{ digest: string }>()((v) => tokens().where('digest', '=', v.digest));
  const byId = prepare(db)<{ tokenId: string }>()((v) => tokens().where('token_id', '=', v.tokenId));
  const newest = prepare(db)<{ limit: number }>()((v) =>
    tokens().orderBy('created_at', 'desc').orderBy('token_id').limit(v.limit),
  );
  const ofUser = prepare(db)<{ userId: number; limit: number }>()((v) =>
    tokens().where('user_id', '=', v.userId).orderBy('created_at', 'desc').orderBy('token_id').limit(v.limit),
  );
  const insert = prepare(db)<HandshakeTokenRow>()((v) =>
    build
      .insertInto('handshake_tokens')
      .values({
        token_id: v.token_id,
        digest: v.digest,
        user_id: v.user_id,
        name: v.name,
        permissions: v.permissions,
        tier: v.tier,
        allowed_ips: v.allowed_ips,
        created_at: v.created_at,
        expires_at: v.expires_at,
        revoked_at: v.revoked_at,
        replaced_by: v.replaced_by,
        last_used_at: v.last_used_at,
        connects: v.connects,
        requests: v.requests,
      })
      .onConflict((conflict) => conflict.doNothing()),
  );
  const set = prepare(db)<HandshakeTokenRow>()((v) =>
    build
      .updateTable('handshake_tokens')
      .set({
        name: v.name,
        permissions: v.permissions,
        tier: v.tier,
        allowed_ips: v.allowed_ips,
        expires_at: v.expires_at,
        revoked_at: v.revoked_at,
        replaced_by: v.replaced_by,
      })
      .where('token_id', '=', v.token_id),
  );
  const setUse = prepare(db)<HandshakeTokenUse>()((v) =>
    build
      .updateTable('handshake_tokens')
      .set({ last_used_at: v.lastUsedAt, connects: v.connects, requests: v.requests })
      .where('token_id', '=', v.tokenId),
  );

  const found = (row: HandshakeTokenRow | undefined) => (row ? toHandshakeToken(row) : null);

  function write(token: HandshakeToken, at: number) {
    set.run(fromHandshakeToken(token));
    const over = token.expiresAt !== null && token.expiresAt <= at;
    const reason = token.revokedAt !== null ? 'revoked' : over ? 'expired' : 'changed';
    const kind = reason === 'changed' ? 'handshake-token-changed' : 'handshake-token-ended';
    return { token, change: append({ at, kind, subject: token.tokenId, reason }) };
  }

  return {
    create: (token) =>
      commits.write(() => (insert.run(fromHandshakeToken(token)) === 1 ? 'created' : 'duplicate')),
    findByDigest: (digest) => commits.read(() => found(byDigest.get({ digest }))),
    findById: (tokenId) => commits.read(() => found(byId.get({ tokenId }))),
    list: ({ limit, userId }) =>
      commits.read(() =>
        (userId === undefined ? newest.all({ limit }) : ofUser.all({ userId, limit })).map(toHandshakeToken),
      ),
    update: (tokenId, patch, at) =>
      commits.write(() => {
        const token = found(byId.get({ tokenId }));
        if (token === null || token.revokedAt !== null) return null;
        return write({ ...token, ...patch }, at);
      }),
    replace: (tokenId, successor, expiresAt, at) =>
      commits.write(() => {
        const token = found(byId.get({ tokenId }));
        if (token === null || token.revokedAt !== null || token.replacedBy !== null) return null;
        if (insert.run(fromHandshakeToken(successor)) !== 1) {
          throw new StoreError('invalid', 'the digest or id of the successor is taken');
        }
        return write({ ...token, expiresAt, replacedBy: successor.tokenId }, at);
      }),
    addUses: (uses) =>
      commits.write(() => {
        for (const { tokenId, lastUsedAt, connects, requests } of uses) {
          const row = byId.get({ tokenId });
          if (row === undefined) continue;
          setUse.run({
            tokenId,
            lastUsedAt: Math.max(row.last_used_at ?? 0, lastUsedAt),
            connects: row.connects + connects,
            requests: row.requests + requests,
          });
        }
      }),
  };
}
