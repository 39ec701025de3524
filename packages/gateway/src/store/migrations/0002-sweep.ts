import { type Kysely, type Migration, sql } from 'kysely';

/** Finding what ended long ago must not read what is alive. */
export const sweep: Migration = {
  async up(db: Kysely<unknown>) {
    await db.schema
      .createIndex('sessions_by_end')
      .on('sessions')
      .expression(sql`coalesce(revoked_at, expires_at)`)
      .execute();
    await db.schema.createIndex('refresh_tokens_by_session').on('refresh_tokens').column('sid').execute();
  },
  async down(db: Kysely<unknown>) {
    await db.schema.dropIndex('refresh_tokens_by_session').execute();
    await db.schema.dropIndex('sessions_by_end').execute();
  },
};
