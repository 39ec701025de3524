/**
 * A Fastify instance with our limits, our body parsing and our one error body. The public and the internal
 * listener both start from it.
 */
import { randomBytes } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import { type ErrorCode, Refusal } from '@countersign/protocol';
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import type { Logger } from 'pino';
import { refuseMalformed, refuseRaw, sendRefusal, toRefusal } from './answers.ts';
import { parseBody } from './params.ts';

export interface ListenerOptions {
  host: string;
  port: number;
  /** Largest body in bytes. */
  bodyLimit: number;
  timeouts?: Partial<Timeouts>;
  log: Logger;
  /** The client's address as it may stand in a log. */
  sourceOf: (request: FastifyRequest) => string;
  /** Told of every refusal, for counting. */
  refused?: (code: ErrorCode) => void;
  /** Told once per request when its answer has been sent. `route` is the pattern, never the URL. */
  observe?: (request: { method: string; route: string; status: number; seconds: number }) => void;
  /** While true every answer asks its client to make its next request on another connection (RFC 9112 section 9.6). */
  draining?: () => boolean;
  /** Absent: nobody traces. */
  tracing?: RequestTracing;
}

/** A span around each request. */
export interface RequestTracing {
  begin(
    name: string,
    attributes: Record<string, string>,
    headers: Record<string, unknown>,
  ): {
    run<T>(work: () => T): T;
    set(attributes: Record<string, string | number>): void;
    rename(name: string): void;
    end(failed?: boolean): void;
  };
}

/** How long a peer may take, in milliseconds (R75). */
export interface Timeouts {
  /** For the whole header block, from the first byte. Default 8,000. */
  headers: number;
  /** For the whole request with its body. Default 15,000. */
  request: number;
  /** Between an answer and the next request of a connection. Default 65,000. */
  keepAlive: number;
  /** How often slow requests are looked for: a limit may be overdrawn by as much. Default 1,000. */
  check: number;
}

const TIMEOUTS: Timeouts = { headers: 8_000, request: 15_000, keepAlive: 65_000, check: 1_000 };

export interface Listener {
  fastify: FastifyInstance;
  /** What an error means to the client; writes the log line. For scopes that word their refusals differently. */
  refusalOf(error: unknown, request: FastifyRequest): Refusal;
  server: Server;
  /** @returns where it listens; `port` is the real one when 0 was asked for */
  listen(): Promise<{ host: string; port: number }>;
  close(): Promise<void>;
}

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'];
const NUL_IN_PATH = /^[^?]*%00/;
const MAX_HEADERS = 100;
const INBOUND_ID = /^[A-Za-z0-9._-]{1,64}$/;

export function createListener(options: ListenerOptions): Listener {
  const { log } = options;
  const timeouts = { ...TIMEOUTS, ...options.timeouts };
  const idPrefix = randomBytes(6).toString('hex');
  let requests = 0;

  const fastify = Fastify({
    logger: false,
    bodyLimit: options.bodyLimit,
    // Late requests of a connection that is being closed are answered like any other.
    return503OnClosing: false,
    routerOptions: {
      maxParamLength: 256,
      ignoreTrailingSlash: true,
      // `params.ts` reads the query where a route needs it, and refuses what is malformed.
      querystringParser: () => ({}),
    },
    genReqId: (request) => {
      const given = request.headers['x-request-id'];
      if (typeof given === 'string' && INBOUND_ID.test(given)) return given;
      requests += 1;
      return `${idPrefix}-${requests.toString(36)}`;
    },
    frameworkErrors: (error, request, reply) => {
      answerError(error, request, reply as FastifyReply);
    },
    clientErrorHandler: refuseMalformed,
    serverFactory: (handler) => {
      const made = createServer(
        {
          maxHeaderSize: 16 * 1024,
          headersTimeout: timeouts.headers,
          requestTimeout: timeouts.request,
          keepAliveTimeout: timeouts.keepAlive,
          connectionsCheckingInterval: timeouts.check,
        },
        (request, response) => {
          if (!METHODS.includes(request.method ?? '')) {
            refuseRaw(response, 'method_not_allowed', { allow: METHODS.join(', ') });
          } else handler(request, response);
        },
      );
      // One above the limit, because Node drops the rest in silence and a dropped header may be the one that counts.
      made.maxHeadersCount = MAX_HEADERS + 1;
      return made;
    },
  });

  const routes: { methods: string[]; pattern: RegExp }[] = [];
  fastify.addHook('onRoute', (route) => {
    const methods = Array.isArray(route.method) ? route.method : [route.method];
    const pattern = route.url
      .split('/')
      .map((part) =>
        part === '*' ? '.*' : part.startsWith(':') ? '[^/]+' : part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'),
      )
      .join('/');
    routes.push({ methods, pattern: new RegExp(`^${pattern}/?$`) });
  });

  fastify.removeAllContentTypeParsers();
  fastify.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => {
    try {
      done(null, parseBody(body as Buffer));
    } catch (error) {
      done(error as Error);
    }
  });

  fastify.addHook('onRequest', (request, reply, done) => {
    reply.header('x-request-id', request.id);
    reply.header('x-content-type-options', 'nosniff');
    if (options.draining?.() === true) reply.header('connection', 'close');
    // The bytes decide how a body is read; Fastify would refuse a label that it cannot parse.
    request.headers['content-type'] = undefined;
    if (request.raw.rawHeaders.length > MAX_HEADERS * 2) {
      sendRefusal(reply.header('connection', 'close'), new Refusal('too_large', 'too many headers'), 431);
      return;
    }
    // Nothing has such a name, and no store can be asked for it.
    if (NUL_IN_PATH.test(request.raw.url ?? ''))
      done(new Refusal('not_found', 'a NUL character in the path'));
    else done();
  });

  if (options.tracing !== undefined) useTracing(fastify, options.tracing);

  fastify.addHook('onResponse', (request, reply, done) => {
    options.observe?.({
      method: request.method,
      route: request.routeOptions.url ?? 'none',
      status: reply.statusCode,
      seconds: reply.elapsedTime / 1000,
    });
    // One that came before the drain was not told, and would keep its connection open behind the answer.
    if (options.draining?.() === true) request.raw.socket.end();
    done();
  });

  function refusalOf(error: unknown, request: FastifyRequest): Refusal {
    const refusal = toRefusal(error);
    options.refused?.(refusal.code);
    // Only named fields: a URL or a header could carry a credential (R76).
    const entry = {
      event: 'http.refused',
      requestId: request.id,
      method: request.method,
      route: request.routeOptions?.url ?? null,
      source: options.sourceOf(request),
      code: refusal.code,
      reason: refusal.reason,
    };
    if (refusal.code === 'internal')
      log.error({ ...entry, err: error instanceof Error ? error : undefined }, 'fault');
    else log.info(entry, 'refused');
    return refusal;
  }

  const answerError = (error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply =>
    sendRefusal(reply, refusalOf(error, request));

  fastify.setErrorHandler((error, request, reply) => answerError(error, request, reply));
  fastify.setNotFoundHandler((request, reply) => {
    const path = (request.raw.url ?? '').split('?', 1)[0]!;
    const allow = new Set(
      routes.filter((route) => route.pattern.test(path)).flatMap((route) => route.methods),
    );
    if (allow.size === 0) return answerError(new Refusal('not_found', 'no such route'), request, reply);
    reply.header('allow', [...allow, 'OPTIONS'].join(', '));
    if (request.method === 'OPTIONS') return reply.code(204).send();
    return answerError(new Refusal('method_not_allowed', 'no such method here'), request, reply);
  });

  const server = fastify.server as Server;
  return {
    fastify,
    server,
    refusalOf,
    async listen() {
      await fastify.listen({ host: options.host, port: options.port });
      const bound = server.address();
      if (bound === null || typeof bound === 'string') throw new Error('the listener has no port');
      log.info({ event: 'listening', host: bound.address, port: bound.port }, 'listening');
      return { host: bound.address, port: bound.port };
    },
    close: () => fastify.close(),
  };
}

/** Only the pattern of a route stands in a span: a path may hold what somebody typed (R76). */
function useTracing(fastify: FastifyInstance, tracing: RequestTracing): void {
  const spans = new WeakMap<FastifyRequest, ReturnType<RequestTracing['begin']>>();
  fastify.addHook('onRequest', (request, _reply, done) => {
    const { method } = request;
    const route = request.routeOptions.url ?? 'none';
    const span = tracing.begin(
      `${method} ${route}`,
      { 'http.request.method': method, 'http.route': route, 'countersign.request_id': request.id },
      request.raw.headers,
    );
    spans.set(request, span);
    span.run(done);
  });
  // Hooks after the body come from the socket, outside of the span.
  fastify.addHook('preHandler', (request, _reply, done) => {
    const span = spans.get(request);
    if (span === undefined) done();
    else span.run(done);
  });
  fastify.addHook('onResponse', (request, reply, done) => {
    const span = spans.get(request);
    span?.set({ 'http.response.status_code': reply.statusCode });
    span?.end(reply.statusCode >= 500);
    done();
  });
}
