/**
 * Which web pages may use the API from a browser. CORS guards reading (R72); the cookie rule guards writing,
 * because a browser attaches cookies to requests of any page (R73).
 */
import { Refusal } from '@countersign/protocol';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Sources } from '../source.ts';

export interface Origins {
  /** True if the page at this origin may use the API: listed, or the gateway's own. `null` never is. */
  allows(request: FastifyRequest, origin: string): boolean;
  /**
   * True if a cookie on this request may count: it comes from an allowed page, from the browser's own address
   * bar, or from a program that is no browser and so sends neither header.
   */
  mayUseCookie(request: FastifyRequest): boolean;
}

/** @param listed exact origins, `scheme://host[:port]` */
export function createOrigins(listed: readonly string[], sources: Sources): Origins {
  const allowed = new Set(listed.map((origin) => origin.toLowerCase()));
  allowed.delete('null');
  allowed.delete('*');
  const allows = (request: FastifyRequest, origin: string): boolean => {
    if (allowed.has(origin)) return true;
    const host = request.headers.host;
    return (
      host !== undefined &&
      origin === `${sources.secure(request.raw) ? 'https' : 'http'}://${host}`.toLowerCase()
    );
  };
  return {
    allows,
    mayUseCookie(request) {
      const { origin, 'sec-fetch-site': site } = request.headers;
      if (origin !== undefined) return allows(request, origin);
      return site === undefined || site === 'same-origin' || site === 'none';
    },
  };
}

const ALLOW_METHODS = 'GET, POST, PATCH, DELETE';
const ALLOW_HEADERS = 'authorization, content-type, x-request-id';
const EXPOSE_HEADERS = 'x-request-id, retry-after, deprecation';

/** Answers preflights and marks answers that a page may read (Fetch standard, section 3.2 "CORS protocol"). */
export function useCors(fastify: FastifyInstance, origins: Origins): void {
  fastify.addHook('onRequest', (request, reply, done) => {
    reply.header('vary', 'Origin');
    const origin = request.headers.origin;
    if (origin === undefined) return done();
    const allowed = origins.allows(request, origin);
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
