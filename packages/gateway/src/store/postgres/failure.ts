import { StoreError, type StoreErrorCode } from '../store-error.ts';

interface Meaning {
  code: StoreErrorCode;
  text: string;
  /** Another attempt may succeed, provided that nothing has been committed. */
  again: boolean;
  /** The connection is of no more use. */
  lost: boolean;
}

const UNREACHABLE: Meaning = {
  code: 'cannot-open',
  text: 'the database cannot be reached',
  again: true,
  lost: true,
};

/** By SQLSTATE (PostgreSQL manual, appendix A), the longest prefix first. */
const STATES: [prefix: string, meaning: Meaning][] = [
  ['40001', { code: 'busy', text: 'others wrote the same', again: true, lost: false }],
  ['40P01', { code: 'busy', text: 'others wrote the same', again: true, lost: false }],
  ['55P03', { code: 'busy', text: 'others hold what is needed', again: false, lost: false }],
  ['57014', { code: 'busy', text: 'the database took too long', again: false, lost: false }],
  ['53300', { code: 'busy', text: 'the database has too many connections', again: true, lost: true }],
  ['53100', { code: 'full', text: 'no space left for the database', again: false, lost: false }],
  // A primary that has become a standby: the next connection looks for the one that takes writes.
  ['25006', { ...UNREACHABLE, text: 'the database takes no writes' }],
  ['25P03', { ...UNREACHABLE, text: 'the database ended the connection' }],
  ['57P', UNREACHABLE],
  ['08', UNREACHABLE],
  ['23', { code: 'invalid', text: 'a rule of the schema forbids this', again: false, lost: false }],
  ['22', { code: 'invalid', text: 'a value cannot be stored', again: false, lost: false }],
  [
    '28',
    { code: 'cannot-open', text: 'the database refuses the user or password', again: false, lost: true },
  ],
  ['3D', { code: 'cannot-open', text: 'there is no such database', again: false, lost: true }],
  ['42501', { code: 'cannot-open', text: 'the database user lacks a right', again: false, lost: false }],
];
const OTHER: Meaning = { code: 'failed', text: 'the database failed', again: false, lost: false };

/** What an error of the driver, the server or the network means; null for one that is none of these. */
export function meaningOf(error: unknown): Meaning | null {
  if (!(error instanceof Error) || error instanceof StoreError) return null;
  const { code, severity } = error as { code?: unknown; severity?: unknown };
  if (typeof code !== 'string') return null;
  if (error.name === 'PostgresError') {
    const meaning = STATES.find(([prefix]) => code.startsWith(prefix))?.[1] ?? OTHER;
    return severity === 'FATAL' || severity === 'PANIC' ? { ...meaning, lost: true } : meaning;
  }
  // Errors of the network (ECONNREFUSED and its like), and of the driver about its connection.
  if (/^(?:E[A-Z_]+|CONNECTION_[A-Z]+|CONNECT_TIMEOUT)$/.test(code)) return UNREACHABLE;
  return { ...OTHER, lost: true };
}

/**
 * Any error of the driver as one of ours; anything else passes. The server's message is left out where it may
 * hold values of rows (class 23, 22): the name of the rule says enough. Nor is the driver's error kept as the
 * cause: it carries the row and the values of the statement.
 */
export function storeFailure(error: unknown): unknown {
  const meaning = meaningOf(error);
  if (meaning === null) return error;
  const {
    code,
    message,
    constraint_name: rule,
  } = error as Error & { code: string; constraint_name?: string };
  const detail = meaning.code === 'invalid' ? (rule ?? code) : `${code}: ${message}`;
  return new StoreError(meaning.code, `${meaning.text} (${detail})`);
}
