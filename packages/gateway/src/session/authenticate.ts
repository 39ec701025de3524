/**
 * From a token to a principal, for every door. Reads as a list of what must hold; the order is from cheap to
 * dear (R27), and revocation is asked last so that it is asked always (R13).
 */
import { Refusal } from '@countersign/protocol';
import type { Config } from '../operations/config.ts';
import type { AccessChanges } from './access-changes.ts';
import { type AccessClaims, type AccessTokens, UNKNOWN_KEY } from './access-tokens.ts';
import type { Directory } from './directory.ts';
import type { MaybePromise } from './maybe-promise.ts';
import type { Authentication, Principal } from './principal.ts';
import type { SigningKeys } from './signing-keys.ts';

/** The request that a token rides in: some kinds of token are bound to it. */
export interface BearerContext {
  door: 'rest' | 'websocket' | 'socketio';
  /** Upper case; REST only. */
  method?: string;
  host?: string;
  /** As received, without the query. */
  path?: string;
  /** The client's exact address: keys may be limited to networks. */
  address: string;
  /** The address as limits count it (an IPv6 /64). */
  source: string;
}

/**
 * A kind of bearer token besides session access tokens. `claims` looks at an unverified token only to choose
 * who checks it: whatever it says, the chosen scheme verifies everything by its own rules (R08).
 */
export interface BearerScheme {
  claims(token: string): boolean;
  /** @throws Refusal `unauthorized` */
  authenticate(token: string, context: BearerContext): MaybePromise<Authentication>;
}

export interface Authenticator {
  /**
   * A session's access token, wherever a dialect carries one (`login` commands, handshakes). Answers without
   * a promise when everything is at hand; refusals are then thrown at once.
   *
   * @throws Refusal `token_expired` if it was good but is too old, `unauthorized` for everything else,
   *   `unavailable` while this node cannot confirm revocations
   */
  accessToken(token: string): MaybePromise<Authentication>;
  /**
   * Whatever stands behind `Bearer`. On REST an expired token is `unauthorized` like any other.
   *
   * @throws Refusal `unauthorized`, on sockets also `token_expired`; `unavailable` as above
   */
  bearer(token: string, context: BearerContext): MaybePromise<Authentication>;
}

/** @param schemes further kinds of bearer token, asked in order before the token is taken for a session's */
export function createAuthenticator({
  accessTokens,
  signingKeys,
  changes,
  directory,
  config,
  schemes = [],
}: {
  accessTokens: AccessTokens;
  signingKeys: Pick<SigningKeys, 'reloadForUnknown'>;
  changes: AccessChanges;
  directory: Directory;
  config: Pick<Config, 'tokens'>;
  schemes?: readonly BearerScheme[];
}): Authenticator {
  const { leeway } = config.tokens;

  function authentication(claims: AccessClaims, principal: Principal | null): Authentication {
    if (principal === null) throw new Refusal('unauthorized', 'no such session, or the user is suspended');
    if (changes.isSessionEnded(claims.sid)) throw new Refusal('unauthorized', 'the session has ended');
    return { principal, expiresAt: (claims.expiresAt + leeway) * 1000 };
  }

  function resolve(claims: AccessClaims): MaybePromise<Authentication> {
    if (changes.isSessionEnded(claims.sid)) throw new Refusal('unauthorized', 'the session has ended');
    // R47: nothing private on the word of a node that may have missed a revocation.
    if (!changes.fresh())
      throw new Refusal('unavailable', 'revocations cannot be confirmed', { retryAfter: 1 });
    const credential = { kind: 'session', sid: claims.sid } as const;
    const principal = directory.principal(claims.userId, credential);
    if (!(principal instanceof Promise)) return authentication(claims, principal);
    return principal.then((found) => authentication(claims, found), unavailable);
  }

  function session(token: string, verify: (token: string) => AccessClaims): MaybePromise<Authentication> {
    let claims: AccessClaims;
    try {
      claims = verify(token);
    } catch (error) {
      if (!(error instanceof Refusal) || error.reason !== UNKNOWN_KEY) throw error;
      // Another node may have begun to sign with a key made since we last looked (R82).
      return signingKeys.reloadForUnknown().then(() => resolve(verify(token)), unavailable);
    }
    return resolve(claims);
  }

  return {
    accessToken: (token) => session(token, accessTokens.verifyAccessDetailed),

    bearer(token, context) {
      for (const scheme of schemes) if (scheme.claims(token)) return scheme.authenticate(token, context);
      return session(
        token,
        context.door === 'rest' ? accessTokens.verifyAccess : accessTokens.verifyAccessDetailed,
      );
    },
  };
}

/** R11: a look-up that fails refuses. The credential may be good, so the answer is to try again, not to sign in. */
function unavailable(error: unknown): never {
  const name = error instanceof Error ? error.name : 'failure';
  throw new Refusal('unavailable', `identity could not be looked up: ${name}`, { retryAfter: 1 });
}
