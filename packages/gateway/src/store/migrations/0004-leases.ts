import { type Kysely, type Migration, sql } from 'kysely';
import type { ColumnTypes } from './column-types.ts';

export const leases = (types: ColumnTypes): Migration => ({
  async up(db: Kysely<unknown>) {
    await nodesTable(db, types);
    await leasesTable(db, types);
    await holdersTable(db, types);
    await sequenceTable(db, types);
  },
  async down(db: Kysely<unknown>) {
    for (const table of ['lease_sequence', 'lease_holders', 'leases', 'nodes'])
      await db.schema.dropTable(table).execute();
  },
});

async function nodesTable(db: Kysely<unknown>, types: ColumnTypes): Promise<void> {
  await db.schema
    .createTable('nodes')
    .addColumn('id', 'text', (c) => c.notNull().primaryKey())
    .addColumn('address', 'text', (c) => c.notNull())
    .addColumn('version', 'text', (c) => c.notNull())
    .addColumn('started_at', types.whole, (c) => c.notNull())
    .addColumn('seen_at', types.whole, (c) => c.notNull())
    .addColumn('dead_at', types.whole)
    .addColumn('position', types.whole, (c) => c.notNull())
    .addColumn('lease_position', types.whole, (c) => c.notNull())
    .addColumn('settled_at', types.whole, (c) => c.notNull())
    .modifyEnd(types.tableEnd)
    .execute();
}

async function leasesTable(db: Kysely<unknown>, types: ColumnTypes): Promise<void> {
  await db.schema
    .createTable('leases')
    .addColumn('id', 'text', (c) => c.notNull().primaryKey())
    .addColumn('kind', 'text', (c) => c.notNull())
    .addColumn('subject', 'text', (c) => c.notNull())
    .addColumn('seconds', types.whole, (c) => c.notNull())
    .addColumn('data', 'text', (c) => c.notNull())
    .addColumn('state', 'text', (c) => c.notNull())
    .addColumn('sequence', types.whole, (c) => c.notNull())
    .addColumn('event_id', 'text', (c) => c.notNull())
    .addColumn('armed_at', types.whole, (c) => c.notNull())
    .addColumn('left_at', types.whole, (c) => c.notNull())
    .addColumn('due_at', types.whole)
    .addColumn('gone_at', types.whole)
    .addColumn('attempts', types.whole, (c) => c.notNull())
    .addColumn('next_attempt_at', types.whole)
    .addColumn('give_up_at', types.whole)
    .addColumn('outcome', 'text')
    .addColumn('ended_at', types.whole)
    .modifyEnd(types.tableEnd)
    .execute();
  await db.schema.createIndex('leases_by_sequence').unique().on('leases').column('sequence').execute();
  await db.schema.createIndex('leases_by_subject').on('leases').columns(['kind', 'subject', 'id']).execute();
  // Each is looked into once a second on every node: they hold only what is waited for.
  await db.schema
    .createIndex('leases_due')
    .on('leases')
    .column('due_at')
    .where(sql`due_at`, 'is not', sql`null`)
    .execute();
  await db.schema
    .createIndex('leases_to_deliver')
    .on('leases')
    .column('next_attempt_at')
    .where(sql`next_attempt_at`, 'is not', sql`null`)
    .execute();
  await db.schema
    .createIndex('leases_ended')
    .on('leases')
    .column('ended_at')
    .where(sql`ended_at`, 'is not', sql`null`)
    .execute();
}

async function holdersTable(db: Kysely<unknown>, types: ColumnTypes): Promise<void> {
  await db.schema
    .createTable('lease_holders')
    .addColumn('lease_id', 'text', (c) => c.notNull().references('leases.id'))
    .addColumn('node_id', 'text', (c) => c.notNull().references('nodes.id'))
    .addPrimaryKeyConstraint('lease_holders_pk', ['lease_id', 'node_id'])
    .modifyEnd(types.tableEnd)
    .execute();
  await db.schema.createIndex('lease_holders_by_node').on('lease_holders').column('node_id').execute();
}

/** Not the greatest sequence in the table: a number whose lease was forgotten must not come again. */
async function sequenceTable(db: Kysely<unknown>, types: ColumnTypes): Promise<void> {
  await db.schema
    .createTable('lease_sequence')
    .addColumn('id', types.whole, (c) => c.notNull().primaryKey())
    .addColumn('value', types.whole, (c) => c.notNull())
    .modifyEnd(types.tableEnd)
    .execute();
  await sql`insert into lease_sequence (id, value) values (1, 0)`.execute(db);
}
