import type { Kysely, Migration } from 'kysely';
import type { ColumnTypes } from './column-types.ts';

export const handshakeTokens = (types: ColumnTypes): Migration => ({
  async up(db: Kysely<unknown>) {
    await db.schema
      .createTable('handshake_tokens')
      .addColumn('token_id', 'text', (c) => c.notNull().primaryKey())
      .addColumn('digest', 'text', (c) => c.notNull().unique())
      .addColumn('user_id', types.whole, (c) => c.notNull().references('users.user_id'))
      .addColumn('name', 'text', (c) => c.notNull())
      .addColumn('permissions', 'text', (c) => c.notNull())
      .addColumn('tier', 'text')
      .addColumn('allowed_ips', 'text', (c) => c.notNull())
      .addColumn('created_at', types.whole, (c) => c.notNull())
      .addColumn('expires_at', types.whole)
      .addColumn('revoked_at', types.whole)
      .addColumn('replaced_by', 'text')
      .addColumn('last_used_at', types.whole)
      .addColumn('connects', types.whole, (c) => c.notNull())
      .addColumn('requests', types.whole, (c) => c.notNull())
      .modifyEnd(types.tableEnd)
      .execute();
    await db.schema
      .createIndex('handshake_tokens_by_user')
      .on('handshake_tokens')
      .column('user_id')
      .execute();
  },
  async down(db: Kysely<unknown>) {
    await db.schema.dropTable('handshake_tokens').execute();
  },
});
