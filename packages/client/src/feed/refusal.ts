/** Errors of the wire in the client's words. */
import { ERRORS, type ErrorCode } from '@countersign/protocol';
import { type ClientErrorCode, RefusedError } from '../errors.ts';

const CODES: Partial<Record<ErrorCode, ClientErrorCode>> = {
  unauthorized: 'unauthorized',
  token_expired: 'unauthorized',
  forbidden: 'forbidden',
  rate_limited: 'rate_limited',
  too_many_connections: 'rate_limited',
  internal: 'server_error',
  unavailable: 'server_error',
  upstream_timeout: 'server_error',
};

/** @param said what the server wrote, where that says more than the table */
export function refusal(code: ErrorCode, said?: string, retryAfter?: number): RefusedError {
  const { status, errorMsgKey, message } = ERRORS[code];
  return new RefusedError(CODES[code] ?? 'refused', cut(said ?? message), {
    status,
    serverCode: errorMsgKey,
    requestId: null,
    ...(retryAfter === undefined ? {} : { retryAfter }),
  });
}

/** Not more of a server's words than a log line takes. */
const cut = (text: string): string => (text.length > 300 ? `${text.slice(0, 300)}...` : text);
