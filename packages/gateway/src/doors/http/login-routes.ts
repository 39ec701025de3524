/** Signing in with a wallet, staying signed in, signing out: the routes that hand out or end tokens. */

import { Refusal } from '@countersign/protocol';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { type Clock, seconds } from '../../operations/clock.ts';
import type { SignedIn } from '../../session/sessions.ts';
import type { WalletLogin } from '../../session/wallet-login.ts';
import type { Origins } from '../origin.ts';
import type { Sources } from '../source.ts';
import type { ChargeRequest } from './charge.ts';
import { refreshCookies, setRefreshCookies } from './cookies.ts';
import type { Identify } from './guard.ts';
import { address, bodyOf, integer, type Params, paramsOf, queryOf, requiredText, text } from './params.ts';
import type { SessionService } from './services.ts';
import { signedInView } from './user-view.ts';

export interface LoginRouteServices {
  walletLogin: WalletLogin;
  sessions: SessionService;
  charge: ChargeRequest;
  identify: Identify;
  origins: Origins;
  sources: Sources;
  clock: Clock;
}

const MAX_TOKEN = 8 * 1024;
/** An ERC-6492 signature carries a deployment; the body limit bounds it. */
const MAX_SIGNATURE = 64 * 1024;

/** No cache and no referrer may keep an answer that carries tokens (RFC 6749 section 5.1). */
export function forbidKeeping(reply: FastifyReply): void {
  reply.header('cache-control', 'no-store').header('referrer-policy', 'no-referrer');
}

export function useLoginRoutes(fastify: FastifyInstance, services: LoginRouteServices): void {
  const { walletLogin, sessions, charge, identify, origins, sources, clock } = services;

  fastify.addHook('onRequest', (_request, reply, done) => {
    forbidKeeping(reply);
    done();
  });

  const userAgent = (request: FastifyRequest) => request.headers['user-agent']?.slice(0, 256) ?? null;

  function answerSignedIn(request: FastifyRequest, reply: FastifyReply, signedIn: SignedIn): FastifyReply {
    const now = seconds(clock);
    const secure = sources.secure(request.raw);
    setRefreshCookies(reply, signedIn.refresh.token, signedIn.refresh.expiresAt - now, secure);
    const flat = queryOf(request).tokenFormat === 'string' || bodyOf(request).tokenFormat === 'string';
    return reply.send({ success: true, data: signedInView(signedIn, flat, now) });
  }

  fastify.post('/user/login', async (request) => {
    const source = sources.source(request.raw);
    await charge(request, 'login');
    const params = paramsOf(request);
    const name = text(params, 'name', 128);
    const chainId = integer(params, 'chainId');
    const profile = text(params, 'profile');
    if (profile !== undefined && profile !== 'eip712' && profile !== 'eip4361') {
      throw new Refusal('invalid_request', 'profile', { message: 'profile: must be eip712 or eip4361' });
    }
    const data = await walletLogin.begin({
      addr: address(params, 'addr'),
      source,
      ...(name === undefined ? {} : { name }),
      ...(chainId === undefined ? {} : { chainId }),
      ...(profile === undefined ? {} : { profile }),
    });
    return { success: true, data };
  });

  // A stale `Authorization` on these two is the habit of real clients (wire facts 0.9): nobody looks at it.
  fastify.post('/user/login/verify', async (request, reply) => {
    const source = sources.source(request.raw);
    await charge(request, 'login');
    const params = paramsOf(request);
    const signedIn = await walletLogin.complete({
      addr: address(params, 'addr'),
      nonceHash: requiredText(params, 'nonceHash', 128),
      signature: requiredText(params, 'signature', MAX_SIGNATURE),
      ...rotationOf(params),
      source,
      userAgent: userAgent(request),
    });
    return answerSignedIn(request, reply, signedIn);
  });

  fastify.post('/user/login/refresh', async (request, reply) => {
    const source = sources.source(request.raw);
    await charge(request, 'refresh');
    const candidates = refreshCandidates(request, reply);
    if (candidates.length === 0 && !origins.mayUseCookie(request.raw)) {
      throw new Refusal('origin_refused', 'refresh by cookie from an origin that is not listed');
    }
    const signedIn = await sessions.refresh(candidates, {
      source,
      userAgent: userAgent(request),
      ...rotationOf(paramsOf(request)),
    });
    return answerSignedIn(request, reply, signedIn);
  });

  fastify.post('/user/logout', async (request, reply) => {
    await charge(request, 'refresh');
    const sid = await sessionOf(request);
    const sids =
      sid === null ? refreshCandidates(request, reply).map((one) => sessions.sidOfRefreshToken(one)) : [sid];
    const source = sources.source(request.raw);
    for (const one of new Set(sids)) if (one !== null) await sessions.logout(one, { source });
    // Another site's page must not be able to sign a browser out either.
    if (origins.mayUseCookie(request.raw)) setRefreshCookies(reply, '', 0, sources.secure(request.raw));
    const message = 'Logged out successfully';
    return { success: true, message, data: { message } };
  });

  /** The session behind a bearer token, or null: logging out twice, or with an expired token, is no error. */
  async function sessionOf(request: FastifyRequest): Promise<string | null> {
    try {
      const { credential } = (await identify(request)).principal;
      return credential.kind === 'session' ? credential.sid : null;
    } catch (error) {
      if (error instanceof Refusal) return null;
      throw error;
    }
  }

  /**
   * Everything that might be the refresh token, in the order of wire facts 0.5. Clients put access tokens and
   * placeholders in the same field, so which of them counts is for the session service to say.
   */
  function refreshCandidates(request: FastifyRequest, reply: FastifyReply): string[] {
    const query = queryOf(request).refreshToken;
    // RFC 9745: tells the few that still put a credential in a URL that this will end.
    if (query !== undefined) reply.header('deprecation', '@1735689600');
    const cookies = origins.mayUseCookie(request.raw) ? refreshCookies(request.headers.cookie) : [];
    const found = [bodyOf(request).refreshToken, query, ...cookies].flat();
    return [
      ...new Set(
        found.filter(
          (one): one is string => typeof one === 'string' && one !== '' && one.length <= MAX_TOKEN,
        ),
      ),
    ].slice(0, 6);
  }
}

function rotationOf(params: Params): { rotation?: 'strict' } {
  const rotation = text(params, 'rotation');
  if (rotation === undefined || rotation === 'adaptive') return {};
  if (rotation === 'strict') return { rotation };
  throw new Refusal('invalid_request', 'rotation', { message: 'rotation: must be strict or adaptive' });
}
