/** What signed-in users ask about themselves. Every route here is behind the guard. */
import { Refusal } from '@countersign/protocol';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { decide } from '../../access/gatekeeper.ts';
import type { Permission, Principal } from '../../session/principal.ts';
import type { User } from '../../store/store.ts';
import type { Sources } from '../source.ts';
import type { Balances } from './balances.ts';
import type { ChargeRequest } from './charge.ts';
import { createGuard, type Identify, principalOf } from './guard.ts';
import { forbidKeeping } from './login-routes.ts';
import { address, paramsOf, queryText, requiredText, text } from './params.ts';
import type { ProfileService, SessionService, VenueService } from './services.ts';
import { sessionView, userView } from './user-view.ts';
import { sendVenueAnswer } from './venue-answer.ts';

export interface UserRouteServices {
  sessions: SessionService;
  profiles: ProfileService;
  charge: ChargeRequest;
  identify: Identify;
  sources: Sources;
  /** Null where no venue is configured. */
  venue: VenueService | null;
  balances: Balances;
}

export function useUserRoutes(fastify: FastifyInstance, services: UserRouteServices): void {
  const { sessions, profiles, sources, venue, balances } = services;

  fastify.addHook('onRequest', createGuard(services.identify));
  fastify.addHook('onRequest', (request, reply, done) => {
    forbidKeeping(reply);
    const charging = services.charge(request, 'private');
    if (charging instanceof Promise) charging.then(() => done(), done);
    else done();
  });

  async function userOf(request: FastifyRequest): Promise<User> {
    const user = await profiles.find(principalOf(request).userId);
    if (user === null) throw new Refusal('unauthorized', 'the user is gone');
    return user;
  }

  async function accountsOf(request: FastifyRequest) {
    const [user, tokens] = await Promise.all([
      userOf(request),
      balances.of(principalOf(request), request.id),
    ]);
    return userView(user).accounts.map((account) => ({
      ...account,
      tokens: tokens.get(account.accountId) ?? [],
    }));
  }

  fastify.get('/user/info', async (request) => ({
    success: true,
    data: { user: userView(await userOf(request)) },
  }));

  fastify.get('/user/accounts', async (request) => {
    return { success: true, data: { accounts: await accountsOf(request) } };
  });

  fastify.get<{ Params: { id: string } }>('/user/account/:id', async (request) => {
    const account = (await accountsOf(request)).find(
      ({ accountId }) => String(accountId) === request.params.id,
    );
    // Somebody else's account looks like one that does not exist.
    if (account === undefined) throw new Refusal('not_found', 'no such account of this user');
    return { success: true, data: { account } };
  });

  const transactions = async (request: FastifyRequest, reply: FastifyReply) => {
    require(request, 'account_updates');
    if (venue === null) return { success: true, data: { txs: [] } };
    return passOn(request, reply, venue);
  };
  fastify.get('/user/account/txs', transactions);
  fastify.get<{ Params: { id: string } }>('/user/account/:id/txs', async (request, reply) => {
    const owns = principalOf(request).accounts.some(
      ({ accountId }) => String(accountId) === request.params.id,
    );
    if (!owns) throw new Refusal('not_found', 'no such account of this user');
    return transactions(request, reply);
  });

  async function updateProfile(
    request: FastifyRequest,
    profile: { displayName?: string; payoutAddress?: string },
  ) {
    const user = await profiles.updateProfile(principalOf(request).userId, profile);
    if (user === null) throw new Refusal('unauthorized', 'the user is gone');
    return { success: true, data: { user: userView(user) } };
  }

  fastify.post('/user/update', async (request) => {
    require(request, 'trading');
    const displayName = text(paramsOf(request), 'displayName', 64);
    if (displayName === undefined) return { success: true, data: { user: userView(await userOf(request)) } };
    // Control and bidirectional characters make one name look like another in a log or a list.
    if (/[\p{Cc}\p{Cf}\p{Cs}]/u.test(displayName)) {
      throw new Refusal('invalid_request', 'displayName', {
        message: 'displayName: has characters that do not show',
      });
    }
    return updateProfile(request, { displayName });
  });

  fastify.post('/user/payoutAddress', async (request) => {
    require(request, 'trading');
    return updateProfile(request, {
      payoutAddress: address(paramsOf(request), 'payoutAddress').toLowerCase(),
    });
  });

  fastify.post('/user/collateralPerSlot', async (request, reply) => {
    require(request, 'trading');
    const amount = requiredText(paramsOf(request), 'collateralPerSlot', 32);
    if (!/^[0-9]+(?:\.[0-9]{1,18})?$/.test(amount)) {
      throw new Refusal('invalid_request', 'collateralPerSlot', {
        message: amount.startsWith('-')
          ? 'COLLATERAL_PER_SLOT_NEGATIVE'
          : 'collateralPerSlot: must be an amount',
      });
    }
    if (venue !== null) return passOn(request, reply, venue);
    return { success: true, data: {} };
  });

  fastify.post<{ Params: { what: string } }>('/user/delegate/:what', async (request, reply) => {
    require(request, 'trading');
    const { what } = request.params;
    if (what !== 'pricer' && what !== 'builder') throw new Refusal('not_found', 'no such delegation');
    if (!/^(?:true|false|)$/.test(text(paramsOf(request), 'enable') ?? '')) {
      throw new Refusal('invalid_request', 'enable', { message: 'enable: must be true or false' });
    }
    if (venue !== null) return passOn(request, reply, venue);
    return { success: true, data: {} };
  });

  fastify.get('/user/sessions', async (request) => {
    const sid = ownSession(principalOf(request));
    const list = await sessions.list(principalOf(request).userId);
    return { success: true, data: { sessions: list.map((session) => sessionView(session, sid)) } };
  });

  fastify.delete<{ Params: { sid: string } }>('/user/sessions/:sid', async (request) => {
    ownSession(principalOf(request));
    const source = sources.source(request.raw);
    const ended = await sessions.revoke(principalOf(request).userId, request.params.sid, { source });
    if (!ended) throw new Refusal('not_found', 'no such session of this user');
    return { success: true, data: {} };
  });

  fastify.post('/user/logout/all', async (request) => {
    const sid = ownSession(principalOf(request));
    const keep = text(paramsOf(request), 'keepCurrent') === 'true';
    await sessions.logoutAll(principalOf(request).userId, keep ? sid : undefined, {
      source: sources.source(request.raw),
    });
    return { success: true, data: {} };
  });
}

/** Asks the one place that decides. */
export function require(request: FastifyRequest, permission: Permission | null): void {
  const { allowed, code, rule } = decide(principalOf(request), { do: 'call', permission });
  if (!allowed) throw new Refusal(code ?? 'forbidden', rule);
}

/** The caller's own session. Sessions are managed by people who signed in, not by keys they made. */
function ownSession({ credential }: Principal): string {
  if (credential.kind !== 'session') throw new Refusal('forbidden', 'session');
  return credential.sid;
}

/** Passes a request on to the venue under the name that the venue knows it by: without the `/api` of the prefix. */
export async function passOn(request: FastifyRequest, reply: FastifyReply, venue: VenueService) {
  const url = request.raw.url ?? '/';
  const path = url.split('?', 1)[0]!;
  const answer = await venue.rest({
    method: request.method,
    path: path.startsWith('/api/v1/') ? path.slice(4) : path,
    query: queryText(url),
    body: request.body === undefined ? null : (request.body as Record<string, unknown>),
    principal: request.authentication?.principal ?? null,
    requestId: request.id,
  });
  return sendVenueAnswer(reply, answer);
}
