/** Why the store could not do what it was asked; the same on every implementation. */

/**
 * - `cannot-open`: the file or folder cannot be made, read or written, or the server cannot be reached
 * - `not-a-database`: there is something else under that name
 * - `newer-schema`: written by a later version of this program, which this one must not touch
 * - `busy`: others hold what is needed for longer than one waits; trying again later may help
 * - `full`: no space left
 * - `uncertain`: the connection was lost while a commit was under way: it may have been made or not. The one
 *   rejection after which something may have changed
 * - `failed`: any other failure of the medium, or of making a write durable
 * - `overloaded`: too many writes are waiting already; nothing was queued
 * - `closed`: the store has been closed
 * - `invalid`: a value that cannot be stored, or that a rule of the schema forbids; the caller's fault
 */
export type StoreErrorCode =
  | 'cannot-open'
  | 'not-a-database'
  | 'newer-schema'
  | 'busy'
  | 'full'
  | 'uncertain'
  | 'failed'
  | 'overloaded'
  | 'closed'
  | 'invalid';

/** One line, without values of rows: fit for a log and for the terminal of whoever starts the gateway. */
export class StoreError extends Error {
  override readonly name = 'StoreError';
  readonly code: StoreErrorCode;

  constructor(code: StoreErrorCode, message: string, options?: ErrorOptions) {
    super(message.replaceAll(/\s*\n\s*/g, ' '), options);
    this.code = code;
  }
}
