/** Where users manage their own API keys. Behind the guard of the user routes, in whose scope these are registered. */
import { Refusal } from '@countersign/protocol';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { ApiKeys, CreatedKey, KeyActor } from '../../session/api-keys.ts';
import type { ApiKey } from '../../store/api-keys.ts';
import { parse } from '../internal/schema.ts';
import type { Sources } from '../source.ts';
import { principalOf } from './guard.ts';
import { require } from './user-routes.ts';

export interface KeyRouteServices {
  keys: ApiKeys;
  sources: Sources;
}

const nickname = z.string().min(1).max(64);
const scopes = z
  .array(z.enum(['view', 'trade', 'transfer']))
  .min(1)
  .max(3);
const allowedIps = z.array(z.string().max(64)).max(64);
/** Milliseconds since 1970. */
const expiresAt = z.number().int().positive().nullable();
const replay = z.enum(['reuse', 'strict']);
/** PEM, JWK, or raw Ed25519; what exactly is for the key import to say. */
const publicKey = z.union([z.string().min(1).max(4096), z.record(z.string().max(64), z.unknown())]);
const proof = z.string().min(1).max(4096);

/** What a new key may be asked to be. `publicKey` registers a pair that was made elsewhere. */
export const newKeySchema = z.strictObject({
  nickname: nickname.default('API key'),
  scopes,
  alg: z.enum(['ES256', 'EdDSA']).optional(),
  publicKey: publicKey.optional(),
  proof: proof.optional(),
  allowedIps: allowedIps.optional(),
  expiresAt: expiresAt.optional(),
  replay: replay.optional(),
});
export const keyChangeSchema = z
  .strictObject({ nickname, scopes, allowedIps, expiresAt, replay, enabled: z.boolean() })
  .partial();
export const keyRotationSchema = z.strictObject({
  /** Seconds for which the old key goes on working: 0 to 30 days. */
  overlapSeconds: z.number().int().min(0).max(2_592_000).default(0),
  publicKey: publicKey.optional(),
  proof: proof.optional(),
});

/** A parsed body without the members that were left out: undefined would be taken for a value. */
export const given = <T extends object>(body: T): { [Name in keyof T]: Exclude<T[Name], undefined> } =>
  Object.fromEntries(Object.entries(body).filter(([, value]) => value !== undefined)) as {
    [Name in keyof T]: Exclude<T[Name], undefined>;
  };

export const keyView = (key: ApiKey) => ({
  keyId: key.keyId,
  name: key.name,
  userId: key.userId,
  nickname: key.nickname,
  alg: key.alg,
  publicKey: JSON.parse(key.publicJwk) as object,
  scopes: key.scopes,
  tier: key.tier,
  allowedIps: key.allowedIps,
  replay: key.replay,
  enabled: key.enabled,
  createdAt: key.createdAt,
  expiresAt: key.expiresAt,
  replacedBy: key.replacedBy,
});

/** `name` and `privateKey` side by side, as they stand in a `cdp_api_key.json`. */
export const createdKeyView = ({ key, privateKey }: CreatedKey) => ({
  key: keyView(key),
  name: key.name,
  privateKey,
});

/** The one answer that holds a private key must not stay in any cache (RFC 9111 section 5.2.2.5). */
export function sendCreatedKey(reply: FastifyReply, created: CreatedKey): FastifyReply {
  return reply.header('cache-control', 'no-store').send({ success: true, data: createdKeyView(created) });
}

export function useKeyRoutes(fastify: FastifyInstance, { keys, sources }: KeyRouteServices): void {
  const ok = (data: object) => ({ success: true, data });

  function by(request: FastifyRequest): KeyActor {
    const { userId } = principalOf(request);
    return { owner: userId, actor: `user:${userId}`, source: sources.source(request.raw) };
  }

  /** A key may show what there is, but a stolen one must not be able to make itself successors or more rights. */
  function owner(request: FastifyRequest): KeyActor {
    const { credential } = principalOf(request);
    if (credential.kind !== 'session') throw new Refusal('forbidden', 'session');
    return by(request);
  }

  const keyId = (request: FastifyRequest): string => (request.params as { keyId: string }).keyId;

  fastify.get('/user/keys', async (request) => {
    require(request, 'account_updates');
    return ok({ keys: (await keys.list(principalOf(request).userId)).map(keyView) });
  });
  fastify.get('/user/keys/:keyId', async (request) => {
    require(request, 'account_updates');
    return ok({ key: keyView(await keys.find(keyId(request), by(request))) });
  });
  fastify.post('/user/keys', async (request, reply) => {
    const actor = owner(request);
    const wish = given(parse(newKeySchema, request.body ?? {}));
    return sendCreatedKey(reply, await keys.create(principalOf(request).userId, wish, actor));
  });
  fastify.patch('/user/keys/:keyId', async (request) => {
    const actor = owner(request);
    const change = given(parse(keyChangeSchema, request.body ?? {}));
    return ok({ key: keyView(await keys.change(keyId(request), change, actor)) });
  });
  fastify.delete('/user/keys/:keyId', async (request) => {
    await keys.remove(keyId(request), owner(request));
    return ok({});
  });
  fastify.post('/user/keys/:keyId/rotate', async (request, reply) => {
    const actor = owner(request);
    const { overlapSeconds, ...own } = parse(keyRotationSchema, request.body ?? {});
    return sendCreatedKey(reply, await keys.rotate(keyId(request), overlapSeconds * 1000, actor, given(own)));
  });
}
