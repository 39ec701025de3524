/** What an operator may do with API keys, of every user. Behind the admin token, in the scope of the admin routes. */
import { Refusal } from '@countersign/protocol';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { Administration } from '../../backend/administration.ts';
import type { ApiKeys, KeyActor } from '../../session/api-keys.ts';
import {
  given,
  keyChangeSchema,
  keyRotationSchema,
  keyView,
  newKeySchema,
  sendCreatedKey,
} from '../http/key-routes.ts';
import type { Sources } from '../source.ts';
import { parse } from './schema.ts';

export interface AdminKeyRouteServices {
  administration: Pick<Administration, 'user'>;
  keys: ApiKeys;
  sources: Sources;
  /** Names of the tiers that are configured; empty = any name is taken. */
  tiers: readonly string[];
}

export function useAdminKeyRoutes(fastify: FastifyInstance, services: AdminKeyRouteServices): void {
  const { administration, keys, sources, tiers } = services;
  const tier = (
    tiers.length === 0 ? z.string().regex(/^[a-z0-9-]{1,32}$/) : z.enum(tiers as [string, ...string[]])
  ).nullable();
  const newKey = newKeySchema.extend({ tier: tier.optional() });
  const keyChange = keyChangeSchema.extend({ tier: tier.optional() });
  const ok = (data: object) => ({ success: true, data });

  const by = (request: FastifyRequest): KeyActor => ({
    owner: null,
    actor: 'operator:admin',
    source: sources.source(request.raw),
  });
  const keyId = (request: FastifyRequest): string => (request.params as { keyId: string }).keyId;

  async function userId(request: FastifyRequest): Promise<number> {
    const { id } = request.params as { id: string };
    const user = /^[1-9][0-9]{0,14}$/.test(id) ? await administration.user(Number(id)) : null;
    if (user === null) throw new Refusal('not_found', 'there is no such user');
    return user.userId;
  }

  fastify.get('/users/:id/keys', async (request) =>
    ok({ keys: (await keys.list(await userId(request))).map(keyView) }),
  );
  fastify.post('/users/:id/keys', async (request, reply) => {
    const wish = given(parse(newKey, request.body ?? {}));
    return sendCreatedKey(reply, await keys.create(await userId(request), wish, by(request)));
  });
  fastify.get('/keys/:keyId', async (request) =>
    ok({ key: keyView(await keys.find(keyId(request), by(request))) }),
  );
  fastify.patch('/keys/:keyId', async (request) => {
    const change = given(parse(keyChange, request.body ?? {}));
    return ok({ key: keyView(await keys.change(keyId(request), change, by(request))) });
  });
  fastify.delete('/keys/:keyId', async (request) => {
    await keys.remove(keyId(request), by(request));
    return ok({});
  });
  fastify.post('/keys/:keyId/rotate', async (request, reply) => {
    const { overlapSeconds, ...own } = parse(keyRotationSchema, request.body ?? {});
    const created = await keys.rotate(keyId(request), overlapSeconds * 1000, by(request), given(own));
    return sendCreatedKey(reply, created);
  });
}
