/** How the venue's answers reach clients: in the envelope, and its refusals in our words. */
import { type ErrorCode, Refusal } from '@countersign/protocol';
import type { FastifyReply } from 'fastify';
import { JSON_TYPE } from './answers.ts';

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const MEANINGS: Record<number, ErrorCode> = {
  403: 'forbidden',
  404: 'not_found',
  405: 'method_not_allowed',
  409: 'conflict',
  413: 'too_large',
  429: 'rate_limited',
};

/**
 * Sends an answer of the venue. An object with a boolean `success` is in the envelope already and passes as it
 * is, with its status; other successes are wrapped. A bare refusal becomes the row of the error table that fits.
 *
 * A 401 of the venue means that it does not believe the gateway: that is no fault of the client, whose token is
 * good, and telling it 401 would make it log in again and again.
 */
export function sendVenueAnswer(
  reply: FastifyReply,
  { status, body, text }: { status: number; body: unknown; text?: string },
): FastifyReply {
  if (status === 401 || status >= 500) throw new Refusal('unavailable', `the venue answered ${status}`);
  if (isObject(body) && typeof body.success === 'boolean') {
    // As the venue wrote it: writing it anew costs as much as everything else that is done to it here.
    return reply
      .code(status)
      .header('content-type', JSON_TYPE)
      .send(text ?? JSON.stringify(body));
  }
  if (status < 300) return reply.send({ success: true, data: body ?? {} });
  if (status < 400) throw new Refusal('unavailable', `the venue answered ${status}`);
  throw new Refusal(MEANINGS[status] ?? 'invalid_request', `the venue answered ${status}`);
}
