/** REST routes of the configuration: who may call them, what they cost, and how the venue's answer goes back. */
import { PassThrough, type Readable } from 'node:stream';
import { Refusal } from '@countersign/protocol';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { type RestRoute, type Route, targetPath } from '../../backend/routes.ts';
import type { Streamed } from '../../backend/upstream.ts';
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
          handler: createHandler(route, services),
        });
      }
    });
  }
}

/** Written with callbacks: the promises of async functions, one in another, cost a call more than all that is decided here. */
function createHandler(
  route: Route,
  { charge, venue, bodyLimit, answer }: VenueRouteServices,
): (request: FastifyRequest, reply: FastifyReply) => void {
  const path = targetPath(route);

  function ask(request: FastifyRequest, reply: FastifyReply): Promise<void> {
    if (!route.public) require(request, route.permission);
    if (venue === null) throw new Refusal('unavailable', 'no venue is configured', { retryAfter: 30 });
    const where = {
      method: route.to.method ?? request.method,
      path: path(request.params as Record<string, string>),
      query: queryText(request.raw.url ?? '/'),
      body: null as Record<string, unknown> | null,
      principal: request.authentication?.principal ?? null,
      requestId: request.id,
      route,
    };
    if (!route.stream) {
      if (request.body !== undefined) where.body = request.body as Record<string, unknown>;
      // A reply is a promise of its own end, so it is not given back: nobody here waits for that.
      return venue.rest(where).then((answered) => void answer(reply, answered));
    }
    const sent = request.body === undefined ? null : (request.body as Readable);
    const body = sent === null ? null : bounded(sent, route.bodyLimit ?? bodyLimit);
    return venue
      .stream({ ...where, body, contentType: contentTypeOf(request) })
      .then((streamed) => passStream(reply, streamed));
  }

  return (request, reply) => {
    if (!route.public) reply.header('cache-control', 'no-store');
    const failed = (error: unknown) => void reply.send(asError(error));
    const charging = charge(request, route.public ? 'public' : 'private', route);
    if (charging instanceof Promise) charging.then(() => ask(request, reply)).catch(failed);
    else ask(request, reply).catch(failed);
  };
}

/** What is no error would be sent as an answer. */
const asError = (thrown: unknown): Error => (thrown instanceof Error ? thrown : new Error('thrown value'));

function passStream(reply: FastifyReply, { status, contentType, body }: Streamed): void {
  if (status === 401 || status >= 500) {
    body.destroy();
    throw new Refusal('unavailable', `the venue answered ${status}`);
  }
  void reply
    .code(status)
    .header('content-type', contentType ?? 'application/octet-stream')
    .send(body);
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
