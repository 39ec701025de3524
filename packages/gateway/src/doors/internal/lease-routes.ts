/** Leases for the venue's backend: arm, look, remove, have an event delivered again. Behind the backend token. */
import { Refusal } from '@countersign/protocol';
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { LeaseRequest, Leases } from '../../backend/leases.ts';
import type { Lease, LeaseState } from '../../store/leases.ts';
import { integer, queryOf, text } from '../http/params.ts';
import { parse } from './schema.ts';

const DATA_MAX = 1024;
const MAX_PAGE = 500;
const STATES: readonly LeaseState[] = ['armed', 'gone', 'delivered', 'failed'];

const userIdSchema = z.number().int().positive().max(Number.MAX_SAFE_INTEGER);
const sidSchema = z.string().regex(/^[A-Za-z0-9_-]{1,128}$/);
const leaseSchema = z
  .strictObject({
    user: userIdSchema.optional(),
    session: sidSchema.optional(),
    seconds: z.number().int().min(5).max(86_400),
    data: z
      .string()
      .refine((value) => Buffer.byteLength(value) <= DATA_MAX, `is longer than ${DATA_MAX} bytes`)
      .regex(/^[^\0\p{Cs}]*$/u, 'is not plain Unicode text')
      .default(''),
  })
  .refine(
    ({ user, session }) => (user === undefined) !== (session === undefined),
    'needs "user" or "session"',
  );

interface Params {
  Params: { id: string };
}

export function useLeaseRoutes(fastify: FastifyInstance, leases: Leases, newId: () => string): void {
  const ok = (data: object) => ({ success: true, data });

  function idOf(id: string): string {
    if (/^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$/.test(id)) return id;
    throw new Refusal('invalid_request', 'id of a lease', {
      message: 'A lease id has 1 to 128 letters, digits and . _ : -, and begins with a letter or digit.',
    });
  }

  function found(lease: Lease | null): object {
    if (lease === null) throw new Refusal('not_found', 'there is no such lease');
    return ok({ lease: leaseView(lease) });
  }

  async function arm(id: string, body: unknown): Promise<object> {
    const { user, session, seconds, data } = parse(leaseSchema, body ?? {});
    const request: LeaseRequest =
      session === undefined
        ? { kind: 'user', subject: String(user), seconds, data }
        : { kind: 'session', subject: session, seconds, data };
    const { lease, superseded } = await leases.arm(id, request);
    return ok({ lease: leaseView(lease), superseded });
  }

  fastify.post('/leases', (request) => arm(newId(), request.body));
  fastify.put<Params>('/leases/:id', (request) => arm(idOf(request.params.id), request.body));
  fastify.get<Params>('/leases/:id', async (request) => found(await leases.find(idOf(request.params.id))));
  fastify.delete<Params>('/leases/:id', async (request) => {
    if (!(await leases.remove(idOf(request.params.id))))
      throw new Refusal('not_found', 'there is no such lease');
    return ok({});
  });
  fastify.post<Params>('/leases/:id/redeliver', async (request) => {
    const id = idOf(request.params.id);
    const lease = await leases.redeliver(id);
    if (lease === null && (await leases.find(id)) !== null) {
      throw new Refusal('invalid_request', 'no event to deliver', {
        message: 'The lease is armed: it has no event yet.',
      });
    }
    return found(lease);
  });

  fastify.get('/leases', async (request) => {
    const query = queryOf(request);
    const limit = Math.min(MAX_PAGE, Math.max(1, integer(query, 'limit') ?? 100));
    const [user, session, state, after] = [
      integer(query, 'user'),
      text(query, 'session'),
      text(query, 'state'),
      text(query, 'after'),
    ];
    if (state !== undefined && !STATES.includes(state as LeaseState)) {
      throw new Refusal('invalid_request', 'state', { message: `state: is one of ${STATES.join(', ')}` });
    }
    if (user !== undefined && session !== undefined) {
      throw new Refusal('invalid_request', 'user and session', { message: 'Ask for a user or a session.' });
    }
    const of =
      user !== undefined
        ? { kind: 'user' as const, subject: String(user) }
        : session !== undefined
          ? { kind: 'session' as const, subject: session }
          : undefined;
    const list = await leases.list({
      limit,
      ...(after === undefined ? {} : { after: idOf(after) }),
      ...(of === undefined ? {} : { of }),
      ...(state === undefined ? {} : { state: state as LeaseState }),
    });
    return ok({ leases: list.map(leaseView), next: list.length < limit ? null : list.at(-1)?.id });
  });
}

function leaseView(lease: Lease): object {
  const { id, kind, subject, seconds, data, state, eventId, armedAt, leftAt, dueAt, goneAt } = lease;
  const { attempts, nextAttemptAt, giveUpAt, outcome, endedAt } = lease;
  const whose = kind === 'user' ? { user: Number(subject) } : { session: subject };
  // Somebody is connected while an armed lease is not due at any time.
  const absentSince = state === 'armed' && dueAt === null ? null : leftAt;
  const delivery = goneAt === null ? null : { attempts, nextAttemptAt, giveUpAt, outcome, endedAt };
  return { id, ...whose, seconds, data, state, eventId, armedAt, absentSince, dueAt, goneAt, delivery };
}
