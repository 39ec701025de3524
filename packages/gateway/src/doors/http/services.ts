/** What the HTTP door asks of the rest of the gateway. Narrow on purpose: a door never sees the store. */
import type { Limits } from '../../access/limits.ts';
import type { Forwarder } from '../../backend/forward.ts';
import type { BearerContext } from '../../session/authenticate.ts';
import type { MaybePromise } from '../../session/maybe-promise.ts';
import type { Authentication } from '../../session/principal.ts';
import type { Sessions } from '../../session/sessions.ts';
import type { User } from '../../store/store.ts';

export type SessionService = Pick<
  Sessions,
  'refresh' | 'logout' | 'sidOfRefreshToken' | 'logoutAll' | 'list' | 'revoke'
>;

/** A bearer token on REST is always bound to its request. */
export type RestContext = Required<BearerContext> & { door: 'rest' };

export interface AuthenticatorService {
  /** Answers at once where it can: the guard then costs no promise. @throws Refusal */
  bearer(token: string, context: RestContext): MaybePromise<Authentication>;
}

export interface ProfileService {
  find(userId: number): Promise<User | null>;
  updateProfile(
    userId: number,
    profile: { displayName?: string; payoutAddress?: string },
  ): Promise<User | null>;
}

export interface KeySetService {
  /** The public keys, as RFC 7517 section 5 has them. */
  jwks(): { keys: readonly object[] };
}

export type LimitService = Pick<Limits, 'charge' | 'foresee'>;

/** @throws Refusal `upstream_timeout` or `unavailable` */
export type VenueService = Pick<Forwarder, 'rest' | 'stream'>;
