/** Errors of the wire in the client's words. */
import type { ErrorCode } from '@countersign/protocol';
import { type ClientErrorCode, RefusedError } from '../errors.ts';

type Row = readonly [status: number, key: string, own: ClientErrorCode, message: string];

/**
 * What can come over a stream, of the table of `@countersign/protocol`: a page has no use for the rest of it. A test
 * holds the rows to that table.
 */
export const REFUSALS = {
  unauthorized: [
    401,
    'error.auth.unauthorized',
    'unauthorized',
    'A valid access token is needed. Refresh the access token or log in again.',
  ],
  token_expired: [401, 'error.auth.tokenExpired', 'unauthorized', 'Access token has expired'],
  forbidden: [
    403,
    'error.auth.forbidden',
    'forbidden',
    'This account may not do that. Check the permissions of the account or key.',
  ],
  invalid_request: [400, 'error.request.invalid', 'refused', 'The request is not valid.'],
  unknown_channel: [400, 'error.request.unknownChannel', 'refused', 'There is no such channel.'],
  rate_limited: [429, 'error.limit.rate', 'rate_limited', 'Too many requests. Wait before retrying.'],
  too_many_subscriptions: [
    429,
    'error.limit.subscriptions',
    'refused',
    'This connection or account holds as many subscriptions as it may.',
  ],
  internal: [
    500,
    'error.server.unexpected',
    'server_error',
    'Something went wrong here. The request may be tried again.',
  ],
  unavailable: [
    503,
    'error.server.unavailable',
    'server_error',
    'The service cannot answer just now. Try again shortly.',
  ],
  upstream_timeout: [
    504,
    'error.server.upstreamTimeout',
    'server_error',
    'The venue did not answer in time.',
  ],
} as const satisfies Partial<Record<ErrorCode, Row>>;

/** @param said what the server wrote, where that says more than the table */
export function refusal(code: keyof typeof REFUSALS, said?: string): RefusedError {
  const [status, serverCode, own, message] = REFUSALS[code];
  return new RefusedError(own, cut(said ?? message), { status, serverCode, requestId: null });
}

/** Not more of a server's words than a log line takes. */
const cut = (text: string): string => (text.length > 300 ? `${text.slice(0, 300)}...` : text);
