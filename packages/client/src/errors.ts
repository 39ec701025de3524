/**
 * The one table of what can go wrong in the client, and the classes that carry it. Programs decide by `code` or
 * `remedy`; both are stable. Messages are for people and hold no token, signature, key or nonce, and no URL beyond its
 * origin and path. `docs/client-errors.md` has a section per row; a test holds the two together.
 */

/**
 * - `permanent`: the same thing will never work. Change the program or the settings.
 * - `retry`: works later. Wait for `retryAfter` where it is given. What retries by itself here has already waited.
 * - `user`: a person has to act: sign in, approve in the wallet, give another key.
 */
export type Remedy = 'permanent' | 'retry' | 'user';

export const CLIENT_ERRORS = {
  invalid_option: 'permanent',
  foreign_url: 'permanent',
  closed: 'permanent',
  slow_consumer: 'permanent',

  unsupported_signer: 'permanent',
  signer_rejected: 'user',
  signer_failed: 'user',
  unexpected_login_message: 'permanent',
  login_refused: 'user',
  sign_in_needed: 'user',
  logged_out: 'user',

  invalid_key: 'user',
  invalid_token: 'user',

  refused: 'permanent',
  unauthorized: 'user',
  forbidden: 'permanent',
  rate_limited: 'retry',
  server_error: 'retry',
  unexpected_answer: 'retry',
  unreachable: 'retry',
  timeout: 'retry',

  store_unreadable: 'user',
  store_failed: 'retry',
  store_busy: 'retry',

  invalid_relay_url: 'permanent',
  no_relay: 'retry',
} as const satisfies Record<string, Remedy>;

export type ClientErrorCode = keyof typeof CLIENT_ERRORS;

export interface ErrorDetails {
  /** Seconds after which a retry may work. */
  retryAfter?: number;
  /** What lay underneath. Never something that holds a secret. */
  cause?: unknown;
}

/** Base of everything this package throws, besides the reason of an `AbortSignal`. */
export class CountersignError extends Error {
  override readonly name: string = 'CountersignError';
  readonly code: ClientErrorCode;
  readonly remedy: Remedy;
  /** Seconds after which a retry may work; undefined where nobody said. */
  readonly retryAfter: number | undefined;

  constructor(code: ClientErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.remedy = CLIENT_ERRORS[code];
    this.retryAfter = details.retryAfter;
  }
}

/** An argument or setting that cannot be meant, a URL that is not the API's, use after `close()`. */
export class UsageError extends CountersignError {
  override readonly name = 'UsageError';
}

/** The wallet did not sign, or may not be asked to. */
export class SignerError extends CountersignError {
  override readonly name = 'SignerError';
}

/** There is no session and none can be made without a person. */
export class SessionError extends CountersignError {
  override readonly name = 'SessionError';
}

/** A key or token that cannot be one. Says what is wrong and never what it was. */
export class CredentialError extends CountersignError {
  override readonly name = 'CredentialError';
}

/** The server answered with a refusal. */
export class RefusedError extends CountersignError {
  override readonly name = 'RefusedError';
  /** HTTP status. */
  readonly status: number;
  /** The server's stable word such as `error.auth.forbidden`; null where it sent none. */
  readonly serverCode: string | null;
  /** Find the server's log line with this; null where it sent none. */
  readonly requestId: string | null;

  constructor(
    code: ClientErrorCode,
    message: string,
    details: ErrorDetails & { status: number; serverCode: string | null; requestId: string | null },
  ) {
    super(code, message, details);
    this.status = details.status;
    this.serverCode = details.serverCode;
    this.requestId = details.requestId;
  }
}

/** No answer: no connection, or none in time. */
export class ConnectionError extends CountersignError {
  override readonly name = 'ConnectionError';
}

/** The place where the session is kept does not work. */
export class StoreError extends CountersignError {
  override readonly name = 'StoreError';
}

/** A relay URL that is none, or no relay that answers. */
export class RelayError extends CountersignError {
  override readonly name = 'RelayError';
}

/** Whether waiting and trying again can help. Unknown errors are faults of a program: they cannot. */
export const isRetryable = (error: unknown): boolean =>
  error instanceof CountersignError && error.remedy === 'retry';
