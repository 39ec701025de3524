import { type Kysely, type Migration, sql } from 'kysely';
import type { ColumnTypes } from './column-types.ts';

/** User ids begin here: short ones stay free for the fixtures of examples and documents. */
const FIRST_USER_ID = 1000;

const TABLES = [
  'probe',
  'audit',
  'api_keys',
  'signing_key_set',
  'signing_keys',
  'changes',
  'refresh_tokens',
  'sessions',
  'accounts',
  'users',
  'challenges',
];

export const initial = (types: ColumnTypes): Migration => ({
  async up(db: Kysely<unknown>) {
    await challenges(db, types);
    await users(db, types);
    await sessions(db, types);
    await keys(db, types);
    await logs(db, types);
  },
  async down(db: Kysely<unknown>) {
    for (const table of TABLES) await db.schema.dropTable(table).execute();
  },
});

const counted = (db: Kysely<unknown>, table: string, column: string, types: ColumnTypes) =>
  db.schema.createTable(table).addColumn(column, types.counter);

async function challenges(db: Kysely<unknown>, types: ColumnTypes): Promise<void> {
  await db.schema
    .createTable('challenges')
    .addColumn('address', 'text', (c) => c.notNull())
    .addColumn('nonce', 'text', (c) => c.notNull())
    .addColumn('chain_id', types.whole, (c) => c.notNull())
    .addColumn('profile', 'text', (c) => c.notNull())
    .addColumn('context', 'text')
    .addColumn('source', 'text', (c) => c.notNull())
    .addColumn('issued_at', types.whole, (c) => c.notNull())
    .addColumn('expires_at', types.whole, (c) => c.notNull())
    .addColumn('spent', types.whole, (c) => c.notNull().defaultTo(0))
    .addPrimaryKeyConstraint('challenges_pk', ['address', 'nonce'])
    .modifyEnd(types.tableEnd)
    .execute();
  // Counting the live ones walks an index of those alone, not the nonces of all time.
  await db.schema
    .createIndex('challenges_live_by_address')
    .on('challenges')
    .columns(['address', 'source', 'expires_at'])
    .where(sql`spent`, '=', sql`0`)
    .execute();
  await db.schema
    .createIndex('challenges_live_by_source')
    .on('challenges')
    .columns(['source', 'expires_at'])
    .where(sql`spent`, '=', sql`0`)
    .execute();
}

async function users(db: Kysely<unknown>, types: ColumnTypes): Promise<void> {
  await counted(db, 'users', 'user_id', types)
    .addColumn('address', 'text', (c) => c.unique())
    .addColumn('display_name', 'text')
    .addColumn('status', types.whole, (c) => c.notNull())
    .addColumn('user_type', types.whole, (c) => c.notNull())
    .addColumn('user_class', types.whole, (c) => c.notNull())
    .addColumn('roles', 'text', (c) => c.notNull())
    .addColumn('permissions', 'text', (c) => c.notNull())
    .addColumn('tier', 'text', (c) => c.notNull())
    .addColumn('payout_address', 'text')
    .addColumn('created_at', types.whole, (c) => c.notNull())
    .modifyEnd(types.tableEnd)
    .execute();
  await types.beginAt(db, 'users', 'user_id', FIRST_USER_ID);
  await counted(db, 'accounts', 'account_id', types)
    .addColumn('user_id', types.whole, (c) => c.notNull().references('users.user_id'))
    .addColumn('type', types.whole, (c) => c.notNull())
    .addColumn('name', 'text', (c) => c.notNull())
    .addColumn('status', types.whole, (c) => c.notNull())
    .addColumn('update_date', types.whole, (c) => c.notNull())
    .modifyEnd(types.tableEnd)
    .execute();
  await db.schema.createIndex('accounts_by_user').on('accounts').column('user_id').execute();
}

async function sessions(db: Kysely<unknown>, types: ColumnTypes): Promise<void> {
  await db.schema
    .createTable('sessions')
    .addColumn('sid', 'text', (c) => c.notNull().primaryKey())
    .addColumn('user_id', types.whole, (c) => c.notNull().references('users.user_id'))
    .addColumn('chain_id', types.whole, (c) => c.notNull())
    .addColumn('wallet', 'text', (c) => c.notNull())
    .addColumn('rotation', 'text', (c) => c.notNull())
    .addColumn('created_at', types.whole, (c) => c.notNull())
    .addColumn('expires_at', types.whole, (c) => c.notNull())
    .addColumn('revoked_at', types.whole)
    .addColumn('revoke_reason', 'text')
    .addColumn('last_refresh_at', types.whole)
    .addColumn('source', 'text', (c) => c.notNull())
    .addColumn('user_agent', 'text')
    .modifyEnd(types.tableEnd)
    .execute();
  await db.schema
    .createIndex('sessions_by_user')
    .on('sessions')
    .columns(['user_id', 'expires_at'])
    .where(sql`revoked_at`, 'is', sql`null`)
    .execute();
  await db.schema
    .createTable('refresh_tokens')
    .addColumn('digest', 'text', (c) => c.notNull().primaryKey())
    .addColumn('sid', 'text', (c) => c.notNull().references('sessions.sid'))
    .addColumn('generation', types.whole, (c) => c.notNull())
    .addColumn('issued_at', types.whole, (c) => c.notNull())
    .addColumn('parent', 'text')
    .addColumn('successor', 'text')
    .addColumn('successor_sealed', types.bytes)
    .addColumn('retired_at', types.whole)
    .modifyEnd(types.tableEnd)
    .execute();
}

async function keys(db: Kysely<unknown>, types: ColumnTypes): Promise<void> {
  await db.schema
    .createTable('signing_keys')
    .addColumn('kid', 'text', (c) => c.notNull().primaryKey())
    .addColumn('position', types.whole, (c) => c.notNull())
    .addColumn('alg', 'text', (c) => c.notNull())
    .addColumn('public_jwk', 'text', (c) => c.notNull())
    .addColumn('wrapped', types.bytes, (c) => c.notNull())
    .addColumn('state', 'text', (c) => c.notNull())
    .addColumn('created_at', types.whole, (c) => c.notNull())
    .addColumn('activated_at', types.whole)
    .addColumn('retired_at', types.whole)
    .modifyEnd(types.tableEnd)
    .execute();
  await db.schema
    .createIndex('signing_keys_one_active')
    .unique()
    .on('signing_keys')
    .column('state')
    .where(sql`state`, '=', sql`'active'`)
    .execute();
  await oneRow(db, types, 'signing_key_set', 'revision');

  await db.schema
    .createTable('api_keys')
    .addColumn('name', 'text', (c) => c.notNull().primaryKey())
    .addColumn('key_id', 'text', (c) => c.notNull().unique())
    .addColumn('user_id', types.whole, (c) => c.notNull().references('users.user_id'))
    .addColumn('nickname', 'text', (c) => c.notNull())
    .addColumn('alg', 'text', (c) => c.notNull())
    .addColumn('public_jwk', 'text', (c) => c.notNull())
    .addColumn('thumbprint', 'text', (c) => c.notNull().unique())
    .addColumn('scopes', 'text', (c) => c.notNull())
    .addColumn('tier', 'text')
    .addColumn('allowed_ips', 'text', (c) => c.notNull())
    .addColumn('replay', 'text', (c) => c.notNull())
    .addColumn('enabled', types.whole, (c) => c.notNull())
    .addColumn('created_at', types.whole, (c) => c.notNull())
    .addColumn('expires_at', types.whole)
    .addColumn('deleted_at', types.whole)
    .addColumn('replaced_by', 'text')
    .modifyEnd(types.tableEnd)
    .execute();
  await db.schema.createIndex('api_keys_by_user').on('api_keys').column('user_id').execute();
}

async function logs(db: Kysely<unknown>, types: ColumnTypes): Promise<void> {
  await counted(db, 'changes', 'sequence', types)
    .addColumn('at', types.whole, (c) => c.notNull())
    .addColumn('kind', 'text', (c) => c.notNull())
    .addColumn('subject', 'text', (c) => c.notNull())
    .addColumn('reason', 'text', (c) => c.notNull())
    .modifyEnd(types.tableEnd)
    .execute();
  // `n` is given by the writer: it is part of what the hash covers.
  await db.schema
    .createTable('audit')
    .addColumn('n', types.whole, (c) => c.notNull().primaryKey())
    .addColumn('at', types.whole, (c) => c.notNull())
    .addColumn('actor', 'text', (c) => c.notNull())
    .addColumn('action', 'text', (c) => c.notNull())
    .addColumn('target', 'text', (c) => c.notNull())
    .addColumn('source', 'text')
    .addColumn('detail', 'text', (c) => c.notNull())
    .addColumn('hash', 'text', (c) => c.notNull())
    .modifyEnd(types.tableEnd)
    .execute();
  await oneRow(db, types, 'probe', 'writes');
}

/** A table that holds one number, 0 at first. */
async function oneRow(db: Kysely<unknown>, types: ColumnTypes, table: string, column: string): Promise<void> {
  await db.schema
    .createTable(table)
    .addColumn('id', types.whole, (c) => c.notNull().primaryKey())
    .addColumn(column, types.whole, (c) => c.notNull())
    .modifyEnd(types.tableEnd)
    .execute();
  await sql`insert into ${sql.table(table)} (id, ${sql.ref(column)}) values (1, 0)`.execute(db);
}
