/**
 * The one table of errors. Every refusal a client can see, on any door, is a row here; `docs/errors.md`
 * has a section per row and a test holds the two together in both directions.
 *
 * Why a request was refused in detail (which check of a token failed, say) is never on the wire: the log
 * line carries it under the same request id (requirement R18).
 */

/** One refusal as each dialect shows it. */
export interface ErrorRow {
  /** HTTP status on REST, and `error.code` in the `cmd` form of the ethgas dialect. */
  readonly status: number;
  /** `errorCode` of the REST body and `code` in the `op` form of the ethgas dialect. */
  readonly errorCode: number;
  /** `errorMsgKey` of the REST body: stable, dotted, for translation tables. */
  readonly errorMsgKey: string;
  /** `error.code` of a Socket.IO reply in the chainworks dialect. */
  readonly chainworks: string;
  /** `message` of an error frame in the coinbase dialect. Real clients compare these texts. */
  readonly coinbase: string;
  /** The sentence a person reads. Says what to do; never says which check failed. */
  readonly message: string;
  /** `permanent`: the same request will never work. `retry`: try later. `sign-in`: get a fresh credential first. */
  readonly remedy: 'permanent' | 'retry' | 'sign-in';
}

const row = (
  status: number,
  errorCode: number,
  errorMsgKey: string,
  chainworks: string,
  coinbase: string,
  remedy: ErrorRow['remedy'],
  message: string,
): ErrorRow => Object.freeze({ status, errorCode, errorMsgKey, chainworks, coinbase, message, remedy });

const AUTH = 'authentication failure';

export const ERRORS = Object.freeze({
  unauthorized: row(
    401,
    1000,
    'error.auth.unauthorized',
    'UNAUTHORIZED',
    AUTH,
    'sign-in',
    'A valid access token is needed. Refresh the access token or log in again.',
  ),
  token_expired: row(
    401,
    1000,
    'error.auth.tokenExpired',
    'UNAUTHORIZED',
    AUTH,
    'sign-in',
    'Access token has expired',
  ),
  login_refused: row(
    401,
    1000,
    'error.auth.loginRefused',
    'UNAUTHORIZED',
    AUTH,
    'sign-in',
    'The login could not be verified. Ask for a new login message and sign it again.',
  ),
  refresh_refused: row(
    403,
    1000,
    'error.auth.refreshRefused',
    'UNAUTHORIZED',
    AUTH,
    'sign-in',
    'The refresh token is not valid any more. Log in again.',
  ),
  forbidden: row(
    403,
    2,
    'error.auth.forbidden',
    'UNAUTHORIZED',
    AUTH,
    'permanent',
    'This account may not do that. Check the permissions of the account or key.',
  ),
  origin_refused: row(
    403,
    2,
    'error.auth.originRefused',
    'UNAUTHORIZED',
    AUTH,
    'permanent',
    'This origin may not connect.',
  ),
  invalid_request: row(
    400,
    1001,
    'error.request.invalid',
    'MISSING_PARAMETER',
    AUTH,
    'permanent',
    'The request is not valid.',
  ),
  unknown_channel: row(
    400,
    1001,
    'error.request.unknownChannel',
    'MISSING_PARAMETER',
    AUTH,
    'permanent',
    'There is no such channel.',
  ),
  unknown_chain: row(
    400,
    1001,
    'error.request.unknownChain',
    'INVALID_CHAIN',
    AUTH,
    'permanent',
    'This chain id is not served here.',
  ),
  not_found: row(
    404,
    1002,
    'error.request.notFound',
    'MISSING_PARAMETER',
    AUTH,
    'permanent',
    'There is nothing at this address.',
  ),
  method_not_allowed: row(
    405,
    1001,
    'error.request.methodNotAllowed',
    'MISSING_PARAMETER',
    AUTH,
    'permanent',
    'This method is not served here.',
  ),
  conflict: row(
    409,
    1002,
    'error.request.conflict',
    'MISSING_PARAMETER',
    AUTH,
    'permanent',
    'That already exists or was used before.',
  ),
  too_large: row(
    413,
    1001,
    'error.request.tooLarge',
    'MISSING_PARAMETER',
    AUTH,
    'permanent',
    'The request is larger than allowed.',
  ),
  rate_limited: row(
    429,
    1003,
    'error.limit.rate',
    'RATE_LIMITED',
    'rate limit exceeded',
    'retry',
    'Too many requests. Wait before retrying.',
  ),
  too_many_subscriptions: row(
    429,
    1003,
    'error.limit.subscriptions',
    'RATE_LIMITED',
    'too many L2 streams requested in a single session',
    'permanent',
    'This connection or account holds as many subscriptions as it may.',
  ),
  too_many_connections: row(
    429,
    1003,
    'error.limit.connections',
    'RATE_LIMITED',
    'rate limit exceeded',
    'retry',
    'This account holds as many connections as it may. Close one first.',
  ),
  internal: row(
    500,
    9999,
    'error.server.unexpected',
    'INTERNAL_ERROR',
    'internal error',
    'retry',
    'Something went wrong here. The request may be tried again.',
  ),
  unavailable: row(
    503,
    9999,
    'error.server.unavailable',
    'CONNECTION_TIMEOUT',
    'service unavailable',
    'retry',
    'The service cannot answer just now. Try again shortly.',
  ),
  upstream_timeout: row(
    504,
    1004,
    'error.server.upstreamTimeout',
    'CONNECTION_TIMEOUT',
    'service unavailable',
    'retry',
    'The venue did not answer in time.',
  ),
} as const satisfies Record<string, ErrorRow>);

export type ErrorCode = keyof typeof ERRORS;

/** The body of every REST error (wire facts 0.8, 1.12). Member order is part of the fixed answer. */
export interface ErrorBody {
  success: false;
  errorCode: number;
  errorMsgKey: string;
  message: string;
  data: Record<string, never>;
}

/** Builds the REST body of an error. `message` replaces the row's sentence only where that reveals nothing secret. */
export function errorBody(code: ErrorCode, message: string = ERRORS[code].message): ErrorBody {
  const { errorCode, errorMsgKey } = ERRORS[code];
  return { success: false, errorCode, errorMsgKey, message, data: {} };
}

/** An error that a client may be told about. Everything else that is thrown is a fault of ours (`internal`). */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly code: ErrorCode;
  /** For the log only: the check that failed, in a few words, never a secret. */
  readonly reason: string;
  /** Seconds after which a retry may work; shown as `Retry-After`. */
  readonly retryAfter: number | undefined;

  /**
   * @param code row of {@link ERRORS}
   * @param reason goes to logs and `explain`, not to the client
   * @param options.message replaces the public sentence; must not reveal which security check failed
   */
  constructor(code: ErrorCode, reason: string, options: { message?: string; retryAfter?: number } = {}) {
    super(options.message ?? ERRORS[code].message);
    this.code = code;
    this.reason = reason;
    this.retryAfter = options.retryAfter;
  }
}
