/** Who may connect: the token of a handshake, what is refused, and how a refusal reads (wire facts 6.2). */
import { hash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { type ChainworksRefusal, ERRORS, Refusal } from '@countersign/protocol';
import type { Peer, Proof } from '../../connection/services.ts';
import type { FailureLimiter } from '../../session/failure-limiter.ts';

/** Larger ones are never issued. */
const MAX_TOKEN = 8192;
const CREDENTIAL_NAME = /^(?:access_?|auth_?|id_?|refresh_?)?token$|^auth(?:orization)?$|^api_?key$|^jwt$/i;
const CREDENTIAL_SHAPE = /^(?:Bearer\s|cs[a-z]_|eyJ)/;

/** True if the address carries what looks like a credential: addresses end in logs, so none counts there (R28). */
export function hasTokenInQuery(request: IncomingMessage): boolean {
  const query = (request.url ?? '').split('?', 2)[1] ?? '';
  for (const [name, value] of new URLSearchParams(query)) {
    if (CREDENTIAL_NAME.test(name) || CREDENTIAL_SHAPE.test(value)) return true;
  }
  return false;
}

/** `auth.token` as text, or as the object that a REST login answers with. Null if there is none. */
export function tokenOf(auth: Record<string, unknown>): string | null {
  const { token } = auth;
  const text = typeof token === 'object' && token !== null ? (token as Record<string, unknown>).token : token;
  return typeof text === 'string' && text !== '' && text.length <= MAX_TOKEN ? text : null;
}

export type CheckHandshake = (
  request: IncomingMessage,
  auth: Record<string, unknown>,
  peer: Peer,
) => Promise<Proof>;

/**
 * @param verify says whose token it is; throws Refusal
 * @param failures by source address: one that fails too often is told to wait
 * @param repeats by token and source: clients retry a bad token for ever, and are refused before any look-up
 */
export function createHandshakeCheck({
  verify,
  failures,
  repeats,
}: {
  verify(token: string, peer: Peer): Proof | Promise<Proof>;
  failures: FailureLimiter;
  repeats: FailureLimiter;
}): CheckHandshake {
  return async (request, auth, peer) => {
    const { source } = peer;
    const token = tokenOf(auth);
    const suspect = `${token === null ? '' : hash('sha256', token, 'hex')} ${source}`;
    repeats.check(suspect);
    try {
      if (hasTokenInQuery(request)) {
        throw new Refusal('unauthorized', 'a token in the address', {
          message: 'A token in the address is never accepted: send it as auth.token.',
        });
      }
      if (token === null) {
        throw new Refusal('unauthorized', 'no token', {
          message: 'A token is needed: send it as auth.token.',
        });
      }
      return await verify(token, peer);
    } catch (error) {
      if (error instanceof Refusal && isFinal(error)) {
        repeats.fail(suspect);
        // After the fact: a good token is let in however many others share its address and fail (R27).
        failures.check(source);
        failures.fail(source);
      }
      throw error;
    }
  };
}

/** False where the same token may work in a moment: then the peer must be left to try again. */
export const isFinal = ({ code }: Refusal): boolean => ERRORS[code].status === 401;

/** What the middleware hands to the library: `message` and `data` reach the client as `connect_error`. */
export class ConnectRefused extends Error {
  readonly data: ChainworksRefusal;

  constructor(refusal: Refusal) {
    const limited = refusal.code === 'rate_limited';
    const message = limited
      ? 'Too many refusals: wait before trying again.'
      : refusal.message === ERRORS.unauthorized.message
        ? 'The token is not valid.'
        : refusal.message;
    // Clients look for the word in lower case (seed 004).
    super(`unauthorized: ${message}`);
    this.data = {
      code: limited ? 'RATE_LIMITED' : 'UNAUTHORIZED',
      message,
      ...(limited && refusal.retryAfter !== undefined ? { retryAfter: refusal.retryAfter } : {}),
    };
  }
}
