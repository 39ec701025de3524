import type { CountersignError } from '../errors.ts';

/**
 * - `idle`: nothing was asked of it yet.
 * - `signing-in`: the first login or refresh is under way.
 * - `active`: there is a token and it is kept fresh.
 * - `retrying`: the last attempt failed and another one follows; the token in hand serves as long as it lives.
 * - `ended`: nothing happens until `login()` is called.
 * - `closed`: for good.
 */
export type SessionState = 'idle' | 'signing-in' | 'active' | 'retrying' | 'ended' | 'closed';

export interface TokenEvent {
  /** `adopted`: another tab, process or an earlier run had got it. */
  how: 'login' | 'refresh' | 'adopted';
  token: string;
  /** Milliseconds since 1970 by this machine's clock. */
  expiresAt: number;
  sessionExpiresAt: number;
}

/** For logs and metrics. No event but `token` holds a secret. */
export interface SessionEvents {
  state: { state: SessionState; previous: SessionState };
  token: TokenEvent;
  /** A login or refresh begins. `number` counts all of them since the session was made. */
  attempt: { kind: 'login' | 'refresh'; number: number };
  /** An attempt failed. `retryIn` is milliseconds, null when the caller has to act. */
  failure: { error: CountersignError; retryIn: number | null };
  /** The server does not know the session any more: it ended there, or a spent refresh token was seen again. */
  lost: { error: CountersignError };
  /** Only `login()` goes on from here. */
  ended: { error: CountersignError };
  /** The store failed; the session goes on without it. */
  storeProblem: { error: CountersignError };
}

export interface SessionStats {
  state: SessionState;
  /** Logins and refreshes begun, and those that gave a new token. */
  attempts: number;
  logins: number;
  refreshes: number;
  /** Tokens taken from the store that somebody else had got. */
  adopted: number;
  failures: number;
  /** Milliseconds that the server's clock is ahead of this one. */
  clockOffset: number;
  /** Milliseconds since 1970 by this machine's clock; null without a session. */
  expiresAt: number | null;
  sessionExpiresAt: number | null;
  nextAttemptAt: number | null;
}
