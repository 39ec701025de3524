/** Lets a request through to a private route only with a bearer token that is good now. */
import { Refusal } from '@countersign/protocol';
import type { FastifyRequest, onRequestHookHandler } from 'fastify';
import type { MaybePromise } from '../../session/maybe-promise.ts';
import type { Authentication, Principal } from '../../session/principal.ts';
import type { Sources } from '../source.ts';
import type { AuthenticatorService } from './services.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Set on routes behind the guard. */
    authentication: Authentication | null;
  }
}

/** Longer than any token of ours or of a known client; what is longer is not worth parsing. */
const MAX_TOKEN = 8 * 1024;

/**
 * The token of an `Authorization: Bearer` header (RFC 6750 section 2.1; the scheme in any case, RFC 9110
 * section 11.1). Null for everything else: relay URLs make clients send `Basic`, which is no sign-in here.
 */
export function bearerToken(header: string | undefined): string | null {
  if (header === undefined || header.length < 8 || header.length > MAX_TOKEN) return null;
  if (header.charCodeAt(6) !== 0x20 || header.slice(0, 6).toLowerCase() !== 'bearer') return null;
  const token = header.slice(7).trim();
  return token === '' ? null : token;
}

/** Asks the authenticator about the bearer token of a request. @throws Refusal, at once or by the promise */
export type Identify = (request: FastifyRequest) => MaybePromise<Authentication>;

export function createIdentify(authenticator: AuthenticatorService, sources: Sources): Identify {
  return (request) => {
    const token = bearerToken(request.headers.authorization);
    if (token === null) throw new Refusal('unauthorized', 'no bearer token');
    const url = request.raw.url ?? '/';
    const mark = url.indexOf('?');
    return authenticator.bearer(token, {
      door: 'rest',
      method: request.method,
      host: request.headers.host ?? '',
      path: mark < 0 ? url : url.slice(0, mark),
      source: sources.source(request.raw),
      address: sources.address(request.raw),
    });
  };
}

/** An `onRequest` hook. Written with callbacks because a promise per request is what a guard costs most. */
export function createGuard(identify: Identify): onRequestHookHandler {
  return (request, _reply, done) => {
    let result: MaybePromise<Authentication>;
    try {
      result = identify(request);
    } catch (error) {
      done(error as Error);
      return;
    }
    if (result instanceof Promise) {
      result.then((authentication) => {
        request.authentication = authentication;
        done();
      }, done);
      return;
    }
    request.authentication = result;
    done();
  };
}

/** The principal of a request that has passed the guard. */
export function principalOf(request: FastifyRequest): Principal {
  if (request.authentication === null) throw new Refusal('unauthorized', 'route without a guard');
  return request.authentication.principal;
}
