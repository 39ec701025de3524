/** What an operator may see and do. Behind the admin token; every change is in the audit log. */
import { Refusal } from '@countersign/protocol';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { Administration, By } from '../../backend/administration.ts';
import { PERMISSIONS } from '../../session/principal.ts';
import type { SigningKeys } from '../../session/signing-keys.ts';
import { integer, queryOf } from '../http/params.ts';
import { sessionView } from '../http/user-view.ts';
import type { Sources } from '../source.ts';
import { parse } from './schema.ts';
import type { ConnectionRegistry, DrainControl } from './services.ts';

export interface AdminRouteServices {
  administration: Administration;
  signingKeys: Pick<SigningKeys, 'rotate' | 'list'>;
  connections: ConnectionRegistry;
  drain: DrainControl;
  sources: Sources;
  /** Names of the tiers that are configured; empty = any name is taken. */
  tiers: readonly string[];
}

const MAX_PAGE = 500;

export function useAdminRoutes(fastify: FastifyInstance, services: AdminRouteServices): void {
  const { administration, signingKeys, connections, drain, sources, tiers } = services;

  const patchSchema = z
    .strictObject({
      status: z.union([z.literal(1), z.literal(2)]),
      roles: z.array(z.string().regex(/^ROLE_[A-Z0-9_]{1,32}$/)).max(16),
      permissions: z.array(z.enum(PERMISSIONS)).max(PERMISSIONS.length),
      tier:
        tiers.length === 0 ? z.string().regex(/^[a-z0-9-]{1,32}$/) : z.enum(tiers as [string, ...string[]]),
    })
    .partial()
    .refine((patch) => Object.keys(patch).length > 0, 'nothing to change');
  const newUserSchema = z.strictObject({
    address: z.string().regex(/^0x[0-9a-fA-F]{40}$/),
    displayName: z
      .string()
      .min(1)
      .max(64)
      .regex(/^[^\p{Cc}\p{Cf}\p{Cs}]*$/u)
      .nullable()
      .default(null),
  });
  const rotateSchema = z.strictObject({ emergency: z.boolean().default(false) });

  const by = (request: FastifyRequest): By => ({
    actor: 'operator:admin',
    source: sources.source(request.raw),
  });

  function pageOf(request: FastifyRequest): { limit: number; before?: number } {
    const query = queryOf(request);
    const before = integer(query, 'before');
    const limit = Math.min(MAX_PAGE, Math.max(1, integer(query, 'limit') ?? 100));
    return before === undefined ? { limit } : { limit, before };
  }

  function userId(request: FastifyRequest): number {
    const { id } = request.params as { id: string };
    if (!/^[1-9][0-9]{0,15}$/.test(id)) throw new Refusal('not_found', 'no user has such an id');
    return Number(id);
  }

  function found<T>(value: T | null): T {
    if (value === null) throw new Refusal('not_found', 'there is no such user');
    return value;
  }

  const ok = (data: object) => ({ success: true, data });

  fastify.get('/users', async (request) => ok({ users: await administration.users(pageOf(request)) }));
  fastify.post('/users', async (request) => {
    const { address, displayName } = parse(newUserSchema, request.body ?? {});
    return ok({ user: await administration.createUser({ address, displayName }, by(request)) });
  });
  fastify.get('/users/:id', async (request) =>
    ok({ user: found(await administration.user(userId(request))) }),
  );
  fastify.patch('/users/:id', async (request) => {
    // Undefined members are left out: the store would take them for a change.
    const patch = Object.fromEntries(
      Object.entries(parse(patchSchema, request.body ?? {})).filter(([, value]) => value !== undefined),
    );
    return ok({ user: found(await administration.setAccess(userId(request), patch, by(request))) });
  });
  fastify.get('/users/:id/sessions', async (request) => {
    const list = await administration.sessions(userId(request));
    return ok({ sessions: list.map((session) => sessionView(session, null)) });
  });
  fastify.post('/users/:id/logout', async (request) =>
    ok({ ended: await administration.endSessions(userId(request), by(request)) }),
  );
  fastify.delete<{ Params: { sid: string } }>('/sessions/:sid', async (request) => {
    const ended = await administration.endSession(request.params.sid, by(request));
    if (!ended) throw new Refusal('not_found', 'there is no such live session');
    return ok({});
  });

  fastify.get('/connections', async (request) => {
    const { limit } = pageOf(request);
    const shown = [];
    let total = 0;
    for (const connection of connections.list()) {
      total += 1;
      if (shown.length < limit) shown.push(connection);
    }
    return ok({ total, connections: shown });
  });

  fastify.get('/signing-keys', async () => ok({ keys: signingKeys.list() }));
  fastify.post('/signing-keys/rotate', async (request) => {
    const { emergency } = parse(rotateSchema, request.body ?? {});
    return ok({ rotation: await signingKeys.rotate({ emergency, actor: by(request).actor }) });
  });

  // Newest first for a person; with `after`, oldest first, for whoever copies the log or checks it for themselves.
  fastify.get('/audit', async (request) => {
    const { limit, ...page } = pageOf(request);
    const after = integer(queryOf(request), 'after');
    const entries =
      after === undefined
        ? await administration.audit({ limit, ...page })
        : await administration.auditSince({ after, limit });
    return ok({ entries });
  });
  fastify.get('/audit/verify', async () => ok(await administration.verifyAudit()));
  fastify.get('/changes/position', async () => ok(await administration.changes()));

  fastify.post('/drain', async (request, reply) => {
    const who = by(request);
    await administration.note('node.drain', 'node', {}, who);
    drain.start(who.actor);
    reply.code(202);
    return ok({ draining: drain.draining() });
  });
}
