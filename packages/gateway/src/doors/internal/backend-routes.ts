/** What the venue's own services use: publish, and ask who is connected. Behind the backend token. */
import { Refusal } from '@countersign/protocol';
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { PublishError, type Publisher } from '../../backend/publish.ts';
import type { Account } from '../../session/principal.ts';
import type { ChannelTable } from '../../streams/channel.ts';
import { parse } from './schema.ts';
import type { ConnectionRegistry } from './services.ts';

export interface BackendRouteServices {
  publisher: Publisher;
  channels: ChannelTable;
  connections: ConnectionRegistry;
  /** The accounts of a user, or null if there is none. */
  accountsOf(userId: number): Promise<readonly Account[] | null>;
}

const idempotencyKey = z.string().min(1).max(128).optional();
const publishSchema = z.union([
  z.strictObject({ publications: z.array(z.unknown()), idempotencyKey }),
  z.looseObject({ channel: z.string(), idempotencyKey }),
]);
const snapshotSchema = z.strictObject({
  channel: z.string(),
  key: z.string().optional(),
  item: z.string().optional(),
  time: z.number().optional(),
  levels: z.array(z.unknown()).optional(),
  data: z.unknown().optional(),
});
const eventSchema = z.strictObject({
  channel: z.string(),
  /** What stands before the owner in the key, such as a market type. */
  key: z.string().max(64).optional(),
  /** Only this account; absent = every account of the user. */
  accountId: z.number().int().positive().optional(),
  time: z.number().optional(),
  item: z.string().optional(),
  action: z.string().optional(),
  remove: z.boolean().optional(),
  data: z.unknown(),
  idempotencyKey,
});

const MAX_PRINCIPALS = 10_000;

export function useBackendRoutes(fastify: FastifyInstance, services: BackendRouteServices): void {
  const { publisher, channels, connections, accountsOf } = services;
  const ok = (data: object) => ({ success: true, data });

  async function answered<T>(work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (error) {
      if (!(error instanceof PublishError)) throw error;
      throw new Refusal('invalid_request', 'publication', { message: error.message });
    }
  }

  const publish = (items: unknown[], key: string | undefined) =>
    answered(publisher.publish(items, key === undefined ? {} : { idempotencyKey: key }));

  fastify.post('/publish', async (request) => {
    const body = parse(publishSchema, request.body ?? {});
    if ('publications' in body) {
      return ok(await publish(body.publications as unknown[], body.idempotencyKey as string | undefined));
    }
    const { idempotencyKey: key, ...publication } = body;
    return ok(await publish([publication], key));
  });

  fastify.post('/snapshot', async (request) => {
    const { levels, data, ...where } = parse(snapshotSchema, request.body ?? {});
    const channel = channels.get(where.channel);
    if (channel === undefined) throw new Refusal('unknown_channel', 'snapshot');
    if (channel.kind === 'log') {
      throw new Refusal('invalid_request', 'snapshot of a log', {
        message: `${channel.name} is a log: it has no snapshot.`,
      });
    }
    const state = channel.kind === 'book' ? { reset: true, levels: levels ?? [] } : data;
    return ok(await publish([{ ...where, data: state }], undefined));
  });

  fastify.get<{ Params: { channel: string; '*': string } }>('/streams/:channel/*', async (request) => {
    const rest = `/${request.params['*']}`;
    if (!rest.endsWith('/position')) throw new Refusal('not_found', 'no such question about a stream');
    return ok(await answered(publisher.position(request.params.channel, rest.slice(1, -'/position'.length))));
  });

  fastify.get('/principals', async () => {
    const principals = new Map<
      number,
      { userId: number; address: string | null; accounts: number[]; connections: number }
    >();
    let truncated = false;
    for (const { userId, address, accounts } of connections.list()) {
      if (userId === null) continue;
      const known = principals.get(userId);
      const ids = accounts.map(({ accountId }) => accountId);
      if (known !== undefined) {
        known.connections += 1;
        // A connection whose token has expired names no accounts; another of the same user may.
        if (known.accounts.length === 0) Object.assign(known, { address, accounts: ids });
      } else if (principals.size >= MAX_PRINCIPALS) truncated = true;
      else principals.set(userId, { userId, address, accounts: ids, connections: 1 });
    }
    return ok({ principals: [...principals.values()], truncated });
  });

  fastify.post<{ Params: { id: string } }>('/users/:id/events', async (request) => {
    const { key, accountId, idempotencyKey: once, ...event } = parse(eventSchema, request.body ?? {});
    const channel = channels.get(event.channel);
    if (channel === undefined) throw new Refusal('unknown_channel', 'event');
    if (channel.audience === 'public') {
      throw new Refusal('invalid_request', 'event on a public channel', {
        message: `${channel.name} is public.`,
      });
    }
    const { id } = request.params;
    const accounts = /^[1-9][0-9]{0,15}$/.test(id) ? await accountsOf(Number(id)) : null;
    if (accounts === null) throw new Refusal('not_found', 'there is no such user');
    // As `streamKeys` of access/gatekeeper.ts lays streams out for their readers.
    const owners =
      channel.audience === 'user'
        ? [id]
        : accounts
            .filter((account) => accountId === undefined || account.accountId === accountId)
            .map((account) =>
              key === undefined ? String(account.accountId) : `${key}/${account.accountId}`,
            );
    if (owners.length === 0) throw new Refusal('not_found', 'the user has no such account');
    return ok(
      await publish(
        owners.map((owner) => ({ ...event, key: owner })),
        once,
      ),
    );
  });
}
