import { StoreError, type StoreErrorCode } from '../store-error.ts';

const CODES: [prefix: string, code: StoreErrorCode, text: string][] = [
  ['SQLITE_FULL', 'full', 'no space left for the database'],
  ['SQLITE_BUSY', 'busy', 'another process holds the database'],
  ['SQLITE_LOCKED', 'busy', 'another process holds the database'],
  ['SQLITE_NOTADB', 'not-a-database', 'the file is not a database'],
  ['SQLITE_CANTOPEN', 'cannot-open', 'the database file cannot be opened'],
  ['SQLITE_READONLY', 'cannot-open', 'the database file cannot be written'],
  ['SQLITE_PERM', 'cannot-open', 'no rights to the database file'],
  ['SQLITE_CONSTRAINT', 'invalid', 'a rule of the schema forbids this'],
];

/** Any error of the driver as one of ours. An error that already is one, or is no error of the driver, passes. */
export function storeFailure(error: unknown): unknown {
  const code = sqliteCode(error);
  if (code === null) return error;
  const [, ours, text] = CODES.find(([prefix]) => code.startsWith(prefix)) ?? [
    '',
    'failed' as const,
    'the database failed',
  ];
  return new StoreError(ours, `${text} (${code}: ${(error as Error).message})`, { cause: error });
}

/**
 * Whether an operation failed by its own doing, so that others in the same transaction may still succeed.
 * The opposite is a failure of the medium, which meets all of them.
 */
export function isOwnFault(error: unknown): boolean {
  if (error instanceof StoreError) return error.code === 'invalid';
  const code = sqliteCode(error);
  return code === null || /^SQLITE_(CONSTRAINT|MISMATCH|TOOBIG|RANGE)/.test(code);
}

function sqliteCode(error: unknown): string | null {
  if (!(error instanceof Error) || !('code' in error) || error instanceof StoreError) return null;
  // The driver names extended codes that it does not know UNKNOWN_SQLITE_ERROR_<n>; the low byte is the plain code.
  const { code, rawCode } = error as { code: unknown; rawCode?: unknown };
  if (typeof code !== 'string') return null;
  if (typeof rawCode === 'number' && code.startsWith('UNKNOWN')) {
    return { 13: 'SQLITE_FULL', 10: 'SQLITE_IOERR', 19: 'SQLITE_CONSTRAINT' }[rawCode & 0xff] ?? code;
  }
  return code.includes('SQLITE') ? code : null;
}
