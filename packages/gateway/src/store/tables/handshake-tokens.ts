import { append, type Engine, type Op, prepare, together } from '../engine.ts';
import type { HandshakeToken, HandshakeTokenStore, HandshakeTokenUse } from '../handshake-tokens.ts';
import { fromHandshakeToken, toHandshakeToken } from '../rows.ts';
import type { HandshakeTokenRow } from '../schema.ts';
import type { Change } from '../store.ts';
import { StoreError } from '../store-error.ts';

export function handshakeTokensOn({ build, locking, read, write }: Engine): HandshakeTokenStore {
  const tokens = () => build.selectFrom('handshake_tokens').selectAll();
  const byDigest = prepare<{ digest: string }>()((v) => tokens().where('digest', '=', v.digest));
  const byId = prepare<{ tokenId: string }>()((v) => tokens().where('token_id', '=', v.tokenId));
  const byIdToChange = prepare<{ tokenId: string }>()((v) =>
    locking(tokens().where('token_id', '=', v.tokenId)),
  );
  const newest = prepare<{ limit: number }>()((v) =>
    tokens().orderBy('created_at', 'desc').orderBy('token_id').limit(v.limit),
  );
  const ofUser = prepare<{ userId: number; limit: number }>()((v) =>
    tokens().where('user_id', '=', v.userId).orderBy('created_at', 'desc').orderBy('token_id').limit(v.limit),
  );
  const insert = prepare<HandshakeTokenRow>()((v) =>
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
  const set = prepare<HandshakeTokenRow>()((v) =>
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
  const addUse = prepare<HandshakeTokenUse>()((v) =>
    build
      .updateTable('handshake_tokens')
      .set((eb) => ({
        last_used_at: eb
          .case()
          .when('last_used_at', '>', v.lastUsedAt)
          .then(eb.ref('last_used_at'))
          .else(v.lastUsedAt)
          .end(),
        connects: eb('connects', '+', v.connects),
        requests: eb('requests', '+', v.requests),
      }))
      .where('token_id', '=', v.tokenId),
  );

  const found = (row: HandshakeTokenRow | undefined) => (row ? toHandshakeToken(row) : null);
  const lane = (tokenId: string) => ({ name: `handshake-token ${tokenId}` });

  function* put(token: HandshakeToken, at: number): Op<{ token: HandshakeToken; change: Change }> {
    yield* set.run(fromHandshakeToken(token));
    const over = token.expiresAt !== null && token.expiresAt <= at;
    const reason = token.revokedAt !== null ? 'revoked' : over ? 'expired' : 'changed';
    const kind = reason === 'changed' ? 'handshake-token-changed' : 'handshake-token-ended';
    return { token, change: yield* append({ at, kind, subject: token.tokenId, reason }) };
  }

  return {
    create: (token) =>
      write(function* (): Op<'created' | 'duplicate'> {
        return (yield* insert.run(fromHandshakeToken(token))) === 1 ? 'created' : 'duplicate';
      }),
    findByDigest: (digest) =>
      read(function* () {
        return found(yield* byDigest.get({ digest }));
      }),
    findById: (tokenId) =>
      read(function* () {
        return found(yield* byId.get({ tokenId }));
      }),
    list: ({ limit, userId }) =>
      read(function* () {
        const rows = yield* userId === undefined ? newest.all({ limit }) : ofUser.all({ userId, limit });
        return rows.map(toHandshakeToken);
      }),
    update: (tokenId, patch, at) =>
      write(function* (): Op<{ token: HandshakeToken; change: Change } | null> {
        const token = found(yield* byIdToChange.get({ tokenId }));
        if (token === null || token.revokedAt !== null) return null;
        return yield* put({ ...token, ...patch }, at);
      }, lane(tokenId)),
    replace: (tokenId, successor, expiresAt, at) =>
      write(function* (): Op<{ token: HandshakeToken; change: Change } | null> {
        const token = found(yield* byIdToChange.get({ tokenId }));
        if (token === null || token.revokedAt !== null || token.replacedBy !== null) return null;
        if ((yield* insert.run(fromHandshakeToken(successor))) !== 1) {
          throw new StoreError('invalid', 'the digest or id of the successor is taken');
        }
        return yield* put({ ...token, expiresAt, replacedBy: successor.tokenId }, at);
      }, lane(tokenId)),
    addUses: (uses) =>
      write(
        function* (): Op<void> {
          // In one order everywhere: two nodes that write the same tokens must not wait for each other.
          const ordered = [...uses].sort((a, b) => (a.tokenId < b.tokenId ? -1 : 1));
          if (ordered.length > 0) yield* together(...ordered.map((use) => addUse.with(use)));
        },
        { name: 'handshake-token uses' },
      ),
  };
}
