import type { ColumnDataType, Kysely, RawBuilder } from 'kysely';

/** What a migration must ask for by purpose, because databases spell it differently. */
export interface ColumnTypes {
  /** Any number we keep: times in milliseconds need more than 32 bits. */
  whole: ColumnDataType;
  bytes: ColumnDataType;
  /** Column definition, after its name, of a number that the database counts up itself as primary key. */
  counter: RawBuilder<unknown>;
  /** Ends each `create table`. */
  tableEnd: RawBuilder<unknown>;
  /** Makes the counter of an empty table begin at `first`. */
  beginAt(db: Kysely<unknown>, table: string, column: string, first: number): Promise<void>;
}
