/** REST routes of the configuration: who may call them, what they cost, and how the venue's answer goes back. */
import { PassThrough, type Readable } from 'node:stream';
import { Refusal } from '@countersign/protocol';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { type RestRoute, type Route, targetPath } from '../../backend/routes.ts';
import type { ChargeRequest } from './charge.ts';
import { createGuard, type Identify } from './guard.ts';
import { queryText } from './params.ts';
import type { VenueService } from './services.ts';
import { require } from './user-routes.ts';

export interface VenueRouteServices {
  charge: ChargeRequest;
  identify: Identify;
  /** Null where no venue is configured: the routes are there and answer 503. */
  venue: VenueService | null;
  bodyLimit: number;
  /** Puts an answer of the venue into the words of the API that the route belongs to. */
  answer(reply: FastifyReply, answer: { status: number; body: unknown; text?: string }): FastifyReply;
}

export function useVenueRoutes(
  fastify: FastifyInstance,
  routes: readonly RestRoute[],
  services: VenueRouteServices,
): void {
  const guard = createGuard(services.identify);
  // Streams have a scope of their own: there a body is left unread.
  for (const stream of [false, true]) {
    fastify.register(async (scope) => {
      if (stream) {
        scope.removeAllContentTypeParsers();
        scope.addContentTypeParser('*', (_request, body, done) => done(null, body));
      }
      for (const { method, path, route } of routes) {
        if (route.stream !== stream) continue;
        scope.route({
          method,
          url: path,
          bodyLimit: route.bodyLimit ?? services.bodyLimit,
          ...(route.public ? {} : { onRequest: guard }),
          handler: (request, reply) => call(request, reply, route, services),
        });
      }
    });
  }
}

async function call(
  request: FastifyRequest,
  reply: FastifyReply,
  route: Route,
  { charge, venue, bodyLimit, answer }: VenueRouteServices,
): Promise<FastifyReply> {
  if (!route.public) reply.header('cache-control', 'no-store');
  await charge(request, route.public ? 'public' : 'private', route);
  if (!route.public) require(request, route.permission);
  if (venue === null) throw new Refusal('unavailable', 'no venue is configured', { retryAfter: 30 });
  const where = {
    method: route.to.method ?? request.method,
    path: targetPath(route, request.params as Record<string, string>),
    query: queryText(request.raw.url ?? '/'),
    principal: request.authentication?.principal ?? null,
    requestId: request.id,
    route,
  };
  if (!route.stream) {
    const body = request.body === undefined ? null : (request.body as Record<string, unknown>);
    return answer(reply, await venue.rest({ ...where, body }));
  }
  const sent = request.body === undefined ? null : (request.body as Readable);
  const streamed = await venue.stream({
    ...where,
    body: sent === null ? null : bounded(sent, route.bodyLimit ?? bodyLimit),
    contentType: contentTypeOf(request),
  });
  if (streamed.status === 401 || streamed.status >= 500) {
    streamed.body.destroy();
    throw new Refusal('unavailable', `the venue answered ${streamed.status}`);
  }
  return reply
    .code(streamed.status)
    .header('content-type', streamed.contentType ?? 'application/octet-stream')
    .send(streamed.body);
}

/** As it was sent: the listener hides it from the framework. */
function contentTypeOf({ raw: { rawHeaders } }: FastifyRequest): string | null {
  const at = rawHeaders.findIndex((name, index) => index % 2 === 0 && name.toLowerCase() === 'content-type');
  return rawHeaders[at + 1] !== undefined && at >= 0 ? rawHeaders[at + 1]! : null;
}

/** The same bytes, up to a limit: how long a body is shows only while it comes. */
function bounded(body: Readable, limit: number): Readable {
  let size = 0;
  const out = new PassThrough();
  body.on('data', (chunk: Buffer) => {
    size += chunk.length;
    if (size > limit) out.destroy(new Refusal('too_large', 'the body of a streamed request'));
    else if (!out.write(chunk)) {
      body.pause();
      out.once('drain', () => body.resume());
    }
  });
  body.on('end', () => out.end());
  body.on('error', (error) => out.destroy(error));
  return out;
}
