/** Every migration there is, in order of name. A released one is never edited: changes are new files. */
import type { Migration } from 'kysely';
import { initial } from './0001-initial.ts';
import { sweep } from './0002-sweep.ts';
import { handshakeTokens } from './0003-handshake-tokens.ts';
import { leases } from './0004-leases.ts';
import type { ColumnTypes } from './column-types.ts';

export const migrations = (types: ColumnTypes): Record<string, Migration> => ({
  '0001-initial': initial(types),
  '0002-sweep': sweep,
  '0003-handshake-tokens': handshakeTokens(types),
  '0004-leases': leases(types),
});
