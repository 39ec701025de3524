/**
 * The REST side of the API-key scheme (seed 003): `/api/v3/brokerage/*` answered by the venue, in the words that
 * clients of that API compare (wire facts coinbase 3, "REST answers").
 */
import { ERRORS, type ErrorCode, Refusal } from '@countersign/protocol';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { RestRoute } from '../../backend/routes.ts';
import type { Clock } from '../../operations/clock.ts';
import type { Permission, Principal } from '../../session/principal.ts';
import { JSON_TYPE, retrySeconds } from './answers.ts';
import { type ChargeRequest, useBrokerageBudgetHeaders } from './charge.ts';
import { createGuard, type Identify, principalOf } from './guard.ts';
import { queryText } from './params.ts';
import type { VenueService } from './services.ts';
import { require } from './user-routes.ts';
import { useVenueRoutes } from './venue-routes.ts';

export interface BrokerageRouteServices {
  charge: ChargeRequest;
  identify: Identify;
  venue: VenueService | null;
  clock: Clock;
  /** Configured routes of this API, without its prefix. */
  routes: readonly RestRoute[];
  bodyLimit: number;
  refusalOf(error: unknown, request: FastifyRequest): Refusal;
}

export function useBrokerageRoutes(fastify: FastifyInstance, services: BrokerageRouteServices): void {
  const { charge, venue, clock, refusalOf } = services;

  fastify.setErrorHandler((error, request, reply) => sendRefusal(reply, refusalOf(error, request)));
  useBrokerageBudgetHeaders(fastify);

  async function passOn(request: FastifyRequest, reply: FastifyReply) {
    if (venue === null) throw new Refusal('unavailable', 'no venue is configured', { retryAfter: 30 });
    const url = request.raw.url ?? '/';
    const answer = await venue.rest({
      method: request.method,
      path: url.split('?', 1)[0]!,
      query: queryText(url),
      body: request.body === undefined ? null : (request.body as Record<string, unknown>),
      principal: request.authentication?.principal ?? null,
      requestId: request.id,
    });
    return sendAnswer(reply, answer);
  }

  useVenueRoutes(fastify, services.routes, { ...services, answer: sendAnswer });

  fastify.get('/time', async () => {
    const now = clock.now();
    return {
      iso: new Date(now).toISOString().replace(/\.\d+Z$/, 'Z'),
      epochSeconds: String(Math.floor(now / 1000)),
      epochMillis: String(now),
    };
  });

  fastify.get('/market/*', async (request, reply) => {
    await charge(request, 'public');
    return passOn(request, reply);
  });

  fastify.register(async (scope) => {
    scope.addHook('onRequest', createGuard(services.identify));

    async function admit(
      request: FastifyRequest,
      reply: FastifyReply,
      permission: Permission | null,
    ): Promise<Principal> {
      reply.header('cache-control', 'no-store');
      const principal = principalOf(request);
      await charge(request, 'private');
      require(request, permission);
      return principal;
    }

    scope.get('/key_permissions', async (request, reply) => {
      const { permissions } = await admit(request, reply, null);
      return {
        can_view: permissions.has('account_updates'),
        can_trade: permissions.has('trading'),
        can_transfer: permissions.has('transfer'),
        portfolio_uuid: '',
        portfolio_type: 'DEFAULT',
      };
    });

    scope.get('/*', async (request, reply) => {
      await admit(request, reply, MARKET_DATA.test(rest(request)) ? 'market_data' : 'account_updates');
      return passOn(request, reply);
    });
    scope.route({
      method: ['POST', 'PUT', 'DELETE'],
      url: '/*',
      handler: async (request, reply) => {
        // Everything that moves money out of reach needs more than the right to trade.
        const moves = /(?:^|\/)(?:move_funds|transfers?|withdrawals?)(?:\/|$)/.test(rest(request));
        await admit(request, reply, moves ? 'transfer' : 'trading');
        return passOn(request, reply);
      },
    });
  });
}

function sendAnswer(reply: FastifyReply, { status, body }: { status: number; body: unknown }): FastifyReply {
  // A venue that does not believe the gateway is no fault of the client's token.
  if (status === 401 || status >= 500) throw new Refusal('unavailable', `the venue answered ${status}`);
  if (status >= 400 && !inOwnWords(body)) throw reworded(status, body);
  return reply
    .code(status)
    .header('content-type', JSON_TYPE)
    .send(JSON.stringify(body ?? {}));
}

const rest = (request: FastifyRequest): string => (request.params as { '*': string })['*'];

/** Private twins of public market data: a key that may see the market need not see an account. */
const MARKET_DATA = /^(?:products(?:\/.*)?|best_bid_ask|product_book)\/?$/;

/** The venue already speaks as clients of this API expect. */
const inOwnWords = (body: unknown): boolean =>
  typeof (body as { error?: unknown } | null)?.error === 'string';

const MEANINGS: Partial<Record<number, ErrorCode>> = {
  404: 'not_found',
  409: 'conflict',
  429: 'rate_limited',
};

function reworded(status: number, body: unknown): Refusal {
  const message = (body as { message?: unknown } | null)?.message;
  return new Refusal(
    MEANINGS[status] ?? 'invalid_request',
    `the venue answered ${status}`,
    typeof message === 'string' ? { message: message.slice(0, 300) } : {},
  );
}

const WORDS: Partial<Record<number, string>> = { 400: 'INVALID_ARGUMENT', 404: 'NOT_FOUND' };

function sendRefusal(reply: FastifyReply, refusal: Refusal): FastifyReply {
  const { status } = ERRORS[refusal.code];
  const { message } = refusal;
  reply.code(status);
  if (status === 401) {
    return reply.header('www-authenticate', 'Bearer').type('text/plain; charset=utf-8').send('Unauthorized');
  }
  if (status === 429 || status === 503) reply.header('retry-after', retrySeconds(refusal));
  reply.header('content-type', JSON_TYPE);
  if (status === 429) {
    return reply.send('{"errors":[{"id":"rate_limit_exceeded","message":"Too many requests"}]}');
  }
  // The SDK searches these exact bytes, without a blank after the colon.
  if (status === 403) {
    return reply.send(
      '{"error":"unknown","error_details":"Missing required scopes","message":"Missing required scopes"}',
    );
  }
  return reply.send(JSON.stringify({ error: WORDS[status] ?? 'unknown', error_details: message, message }));
}
