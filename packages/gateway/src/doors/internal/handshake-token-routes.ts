/** What an operator may do with handshake tokens. Behind the admin token, in the scope of the admin routes. */
import { Refusal } from '@countersign/protocol';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { Administration } from '../../backend/administration.ts';
import type { HandshakeTokens, TokenActor } from '../../session/handshake-tokens.ts';
import { PERMISSIONS } from '../../session/principal.ts';
import type { HandshakeToken } from '../../store/handshake-tokens.ts';
import { given } from '../http/key-routes.ts';
import { integer, queryOf } from '../http/params.ts';
import type { Sources } from '../source.ts';
import { parse } from './schema.ts';

export interface HandshakeTokenRouteServices {
  administration: Pick<Administration, 'createUser'>;
  handshakeTokens: HandshakeTokens;
  sources: Sources;
  /** Names of the tiers that are configured; empty = any name is taken. */
  tiers: readonly string[];
}

const MAX_PAGE = 500;

export function useHandshakeTokenRoutes(
  fastify: FastifyInstance,
  services: HandshakeTokenRouteServices,
): void {
  const { administration, handshakeTokens, sources, tiers } = services;
  const rights = {
    name: z.string(),
    permissions: z.array(z.enum(PERMISSIONS)).max(PERMISSIONS.length),
    tier: (tiers.length === 0
      ? z.string().regex(/^[a-z0-9-]{1,32}$/)
      : z.enum(tiers as [string, ...string[]])
    ).nullable(),
    allowedIps: z.array(z.string()),
    expiresAt: z.number().nullable(),
  };
  const optional = { tier: rights.tier.optional(), allowedIps: rights.allowedIps.optional() };
  const createSchema = z
    .strictObject({
      ...rights,
      ...optional,
      expiresAt: rights.expiresAt.optional(),
      userId: z.number().int().positive().optional(),
      /** Somebody new: without a wallet, or the user of a wallet. */
      user: z
        .strictObject({
          displayName: z.string().min(1).max(64).nullable().default(null),
          address: z.string().nullable().default(null),
        })
        .optional(),
    })
    .refine(({ userId, user }) => (userId === undefined) !== (user === undefined), 'give userId or user');
  const changeSchema = z.strictObject(rights).partial();
  const rotateSchema = z.strictObject({ overlapSeconds: z.number().int().min(0).default(3600) });

  const by = (request: FastifyRequest): TokenActor => ({
    actor: 'operator:admin',
    source: sources.source(request.raw),
  });
  const idOf = (request: FastifyRequest): string => (request.params as { tokenId: string }).tokenId;
  const ok = (data: object) => ({ success: true, data });

  fastify.post('/handshake-tokens', async (request) => {
    const { user, userId, ...wish } = parse(createSchema, request.body ?? {});
    const owner = userId ?? (await administration.createUser(user ?? noUser(), by(request))).userId;
    const { token, secret } = await handshakeTokens.create({ ...given(wish), userId: owner }, by(request));
    return ok({ handshakeToken: tokenView(token), secret });
  });
  fastify.get('/handshake-tokens', async (request) => {
    const query = queryOf(request);
    const limit = Math.min(MAX_PAGE, Math.max(1, integer(query, 'limit') ?? 100));
    const userId = integer(query, 'userId');
    const list = await handshakeTokens.list(userId === undefined ? { limit } : { limit, userId });
    return ok({ handshakeTokens: list.map(tokenView) });
  });
  fastify.get('/handshake-tokens/:tokenId', async (request) =>
    ok({ handshakeToken: tokenView(await handshakeTokens.find(idOf(request))) }),
  );
  fastify.patch('/handshake-tokens/:tokenId', async (request) => {
    const change = given(parse(changeSchema, request.body ?? {}));
    return ok({
      handshakeToken: tokenView(await handshakeTokens.change(idOf(request), change, by(request))),
    });
  });
  fastify.post('/handshake-tokens/:tokenId/rotate', async (request) => {
    const { overlapSeconds } = parse(rotateSchema, request.body ?? {});
    const made = await handshakeTokens.rotate(idOf(request), overlapSeconds * 1000, by(request));
    return ok({
      handshakeToken: tokenView(made.token),
      secret: made.secret,
      replaced: tokenView(made.old),
    });
  });
  fastify.delete('/handshake-tokens/:tokenId', async (request) => {
    await handshakeTokens.revoke(idOf(request), by(request));
    return ok({});
  });
}

/** Without the digest: it is not secret, but it is nobody's business either. */
const tokenView = ({ digest: _, ...token }: HandshakeToken) => token;

function noUser(): never {
  throw new Refusal('invalid_request', 'neither userId nor user');
}
