/** Cross-origin reading for the pages that `origin.ts` allows (Fetch standard, section 3.2 "CORS protocol"). */
import { Refusal } from '@countersign/protocol';
import type { FastifyInstance } from 'fastify';
import type { Origins } from '../origin.ts';

const ALLOW_METHODS = 'GET, POST, PATCH, DELETE';
const ALLOW_HEADERS = 'authorization, content-type, x-request-id';
const EXPOSE_HEADERS =
  'x-request-id, retry-after, deprecation, ratelimit-limit, ratelimit-remaining, ratelimit-reset';

/** Answers preflights, and marks answers that a page may read. */
export function useCors(fastify: FastifyInstance, origins: Origins): void {
  fastify.addHook('onRequest', (request, reply, done) => {
    reply.header('vary', 'Origin');
    const origin = request.headers.origin;
    if (origin === undefined) return done();
    const allowed = origins.allows(request.raw, origin);
    if (allowed) {
      reply.header('access-control-allow-origin', origin);
      reply.header('access-control-allow-credentials', 'true');
      reply.header('access-control-expose-headers', EXPOSE_HEADERS);
    }
    if (request.method !== 'OPTIONS' || request.headers['access-control-request-method'] === undefined)
      return done();
    if (!allowed) return done(new Refusal('origin_refused', 'preflight from an origin that is not listed'));
    reply
      .header('access-control-allow-methods', ALLOW_METHODS)
      .header('access-control-allow-headers', ALLOW_HEADERS)
      .header('access-control-max-age', '600')
      .code(204)
      .send();
  });
}
