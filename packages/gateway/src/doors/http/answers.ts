/** How refusals look over HTTP: one body (`errorBody`), whatever went wrong and wherever it was noticed. */
import type { ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { ERRORS, type ErrorCode, errorBody, Refusal } from '@countersign/protocol';
import type { FastifyReply } from 'fastify';

export const JSON_TYPE = 'application/json; charset=utf-8';

const fixed = Object.fromEntries(
  Object.keys(ERRORS).map((code) => [code, JSON.stringify(errorBody(code as ErrorCode))]),
) as Record<ErrorCode, string>;

/** Seconds for `Retry-After` (RFC 9110 section 10.2.3), never 0: a client that obeys it must not spin. */
export const retrySeconds = (refusal: Refusal): string =>
  String(Math.max(1, Math.ceil(refusal.retryAfter ?? 1)));

/** Answers with a refusal. `status` differs from the row's only where HTTP has a more exact word. */
export function sendRefusal(
  reply: FastifyReply,
  refusal: Refusal,
  status: number = ERRORS[refusal.code].status,
): FastifyReply {
  if (status === 401) reply.header('www-authenticate', 'Bearer');
  if (status === 429 || status === 503) reply.header('retry-after', retrySeconds(refusal));
  return reply
    .code(status)
    .header('content-type', JSON_TYPE)
    .send(
      refusal.message === ERRORS[refusal.code].message
        ? fixed[refusal.code]
        : JSON.stringify(errorBody(refusal.code, refusal.message)),
    );
}

/**
 * What anything thrown means to a client. An error of the framework keeps its meaning (too large, malformed);
 * everything that is not an answer to the client's own mistake is `internal`.
 */
export function toRefusal(error: unknown): Refusal {
  if (error instanceof Refusal) return error;
  const { statusCode, code } = error as { statusCode?: unknown; code?: unknown };
  if (typeof code === 'string' && code.startsWith('FST_') && typeof statusCode === 'number') {
    if (statusCode === 413) return new Refusal('too_large', code);
    if (statusCode === 404) return new Refusal('not_found', code);
    if (statusCode >= 400 && statusCode < 500) return new Refusal('invalid_request', code);
  }
  // A peer that goes away in the middle of its own body (Node's ECONNRESET / "aborted").
  if (code === 'ECONNRESET' || code === 'ERR_STREAM_PREMATURE_CLOSE')
    return new Refusal('invalid_request', 'aborted');
  // The store was not at fault, or may be able to again: the client should ask again, and is told so.
  if (error instanceof Error && error.name === 'StoreError' && code !== 'invalid')
    return new Refusal('unavailable', `store ${code}: ${error.message}`);
  return new Refusal('internal', error instanceof Error ? error.name : 'thrown value');
}

/** Refuses on a bare response, for what never reaches the router. */
export function refuseRaw(
  response: ServerResponse,
  code: ErrorCode,
  headers: Record<string, string> = {},
): void {
  response.writeHead(ERRORS[code].status, {
    'content-type': JSON_TYPE,
    'content-length': Buffer.byteLength(fixed[code]),
    'x-content-type-options': 'nosniff',
    connection: 'close',
    ...headers,
  });
  response.end(fixed[code]);
}

const STATUS_LINES: Record<string, string> = {
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
};

/** Answers bytes that are no HTTP request. There is no request to log or to give an id to, only a socket. */
export function refuseMalformed(error: NodeJS.ErrnoException, socket: Duplex): void {
  // `_httpMessage` is the answer that Node is writing now; a second status line inside it would only confuse.
  const { _httpMessage: current } = socket as { _httpMessage?: ServerResponse | null };
  // ECONNRESET: nobody is left to read an answer.
  if (error.code === 'ECONNRESET' || !socket.writable || current?.headersSent === true) {
    socket.destroy();
    return;
  }
  const line = STATUS_LINES[error.code ?? ''] ?? '400 Bad Request';
  const body = fixed[line.startsWith('431') ? 'too_large' : 'invalid_request'];
  socket.end(
    `HTTP/1.1 ${line}\r\nContent-Type: ${JSON_TYPE}\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  );
}
