/** What anybody may ask of the gateway itself: the key set, and what this place is. */
import type { FastifyInstance } from 'fastify';
import type { KeySetService } from './services.ts';

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
