/** Health and metrics: no authentication, because this listener is never public. Says nothing about versions. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Registry } from 'prom-client';
import type { Health } from '../../operations/health.ts';
import { queryOf } from '../http/params.ts';

export function useHealthRoutes(
  fastify: FastifyInstance,
  { health, registry }: { health: Health; registry: Registry },
) {
  fastify.addHook('onRequest', (_request, reply, done) => {
    reply.header('cache-control', 'no-store');
    done();
  });

  fastify.get('/livez', async () => ({ status: 'live' }));

  const ready = async (request: FastifyRequest, reply: FastifyReply) => {
    const { ready, draining, checks, age, facts } = await health.readiness();
    const status = draining ? 'draining' : ready ? 'ready' : 'failing';
    reply.code(ready ? 200 : 503);
    if (!ready) reply.header('retry-after', '5');
    return 'verbose' in queryOf(request) ? { status, age, checks, facts } : { status };
  };
  fastify.get('/readyz', ready);
  fastify.get('/health', ready);
  fastify.get('/healthz', ready);

  fastify.get('/metrics', async (_request, reply) =>
    reply.type(registry.contentType).send(await registry.metrics()),
  );
}
