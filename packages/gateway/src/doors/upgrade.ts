/** What the doors that take upgrades share: whose an upgrade is, and how one is refused. */
import { type IncomingMessage, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { ERRORS, errorBody, type Refusal } from '@countersign/protocol';

export const isSocketIo = (request: IncomingMessage): boolean =>
  /^\/socket\.io(\/|\?|$)/.test(request.url ?? '');

/** True if the address says `limits=true`: the peer wants to see its budget in every answer. */
export const asksForLimits = (request: IncomingMessage): boolean =>
  /[?&]limits=true(?:&|$)/.test(request.url ?? '');

/** Answers an upgrade request with an HTTP error and closes the connection. */
export function refuseUpgrade(socket: Duplex, refusal: Refusal): void {
  const { status } = ERRORS[refusal.code];
  const body = JSON.stringify(errorBody(refusal.code, refusal.message));
  const headers = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}`,
    'Connection: close',
    'Content-Type: application/json; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(body)}`,
    ...(status === 401 ? ['WWW-Authenticate: Bearer'] : []),
    ...(refusal.retryAfter === undefined ? [] : [`Retry-After: ${refusal.retryAfter}`]),
  ];
  socket.end(`${headers.join('\r\n')}\r\n\r\n${body}`, () => socket.destroy());
}
