/**
 * `GET /nodes`, and `?wait=<ms>` on everything that an operator changes: the answer then says how many of the nodes have
 * confirmed that they act on it. Behind the admin token.
 */
import type { FastifyInstance } from 'fastify';
import type { Confirmations } from '../../backend/confirmations.ts';
import { integer, queryOf } from '../http/params.ts';

const MAX_WAIT_MS = 10_000;

export function useNodeRoutes(fastify: FastifyInstance, confirmations: Confirmations): void {
  fastify.get('/nodes', async () => ({ success: true, data: { nodes: await confirmations.nodes() } }));

  // Before anything is changed: a parameter that is wrong refuses the whole request.
  fastify.addHook('onRequest', async (request) => void integer(queryOf(request), 'wait'));
  fastify.addHook('preSerialization', async (request, reply, payload) => {
    const wait = integer(queryOf(request), 'wait');
    const { success, data } = (payload ?? {}) as { success?: boolean; data?: object };
    if (wait === undefined || request.method === 'GET' || success !== true || reply.statusCode >= 300)
      return payload;
    const confirmation = await confirmations.wait(Math.min(wait, MAX_WAIT_MS));
    return { ...(payload as object), data: { ...data, confirmation } };
  });
}
