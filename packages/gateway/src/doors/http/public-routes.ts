/** What anybody may ask: the venue's public REST data, the key set, and what this place is. */
import { Refusal } from '@countersign/protocol';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { ChargeRequest } from './charge.ts';
import { createGuard, type Identify } from './guard.ts';
import type { KeySetService, VenueService } from './services.ts';
import { passOn, require } from './user-routes.ts';

export interface PublicRouteServices {
  charge: ChargeRequest;
  identify: Identify;
  venue: VenueService | null;
}

const PUBLIC_PATHS = [
  '/p/network',
  '/p/tokens',
  '/p/inclusion-preconf/markets',
  '/p/wholeblock/markets',
  '/p/wholeblock/market',
  '/p/user/fees',
  '/p/builders',
  '/p/builder/:slot',
  '/p/validators',
];

function served(venue: VenueService | null): VenueService {
  if (venue === null) throw new Refusal('unavailable', 'no venue is configured', { retryAfter: 30 });
  return venue;
}

export function usePublicRoutes(fastify: FastifyInstance, services: PublicRouteServices): void {
  const { charge, venue } = services;
  for (const path of PUBLIC_PATHS) {
    fastify.get(path, async (request, reply) => {
      await charge(request, 'public');
      return passOn(request, reply, served(venue));
    });
  }
}

/** Registering validators: private calls that the venue answers. */
export function useValidatorRoutes(fastify: FastifyInstance, services: PublicRouteServices): void {
  const { charge, venue } = services;
  const guard = createGuard(services.identify);
  const call = async (request: FastifyRequest, reply: FastifyReply) => {
    reply.header('cache-control', 'no-store');
    await charge(request, 'private');
    require(request, 'trading');
    return passOn(request, reply, served(venue));
  };
  fastify.post('/validator/register', { onRequest: guard }, call);
  fastify.post('/validator/verify/batch', { onRequest: guard }, call);
}

/** `/` and the key set, outside the versioned prefixes. */
export function useRootRoutes(fastify: FastifyInstance, keySet: KeySetService, keySetMaxAge: number): void {
  fastify.get('/', async () => ({
    name: 'countersign',
    rest: ['/v1', '/api/v1'],
    websocket: ['/', '/ws'],
    socketio: '/socket.io/',
    keys: '/.well-known/jwks.json',
  }));

  fastify.get('/.well-known/jwks.json', async (_request, reply) =>
    reply
      .header('cache-control', `public, max-age=${keySetMaxAge}`)
      .header('content-type', 'application/jwk-set+json')
      .send(JSON.stringify(keySet.jwks())),
  );
}
