/** What the HTTP door asks of the rest of the gateway. Narrow on purpose: a door never sees the store. */
import type { Authentication, Principal } from '../../session/principal.ts';
import type { Session, User } from '../../store/store.ts';

/** A principal that has just signed in or refreshed. */
export interface SignedIn {
  user: User;
  session: Session;
  access: {
    token: string;
    /** Seconds since 1970. */
    expiresAt: number;
    header: object;
    payload: object;
  };
  refresh: {
    token: string;
    /** Seconds since 1970. */
    expiresAt: number;
  };
}

export interface LoginRequest {
  addr: string;
  name?: string;
  chainId?: number;
  profile?: 'eip712' | 'eip4361';
  source: string;
}

export interface CompleteRequest {
  addr: string;
  nonceHash: string;
  signature: string;
  rotation?: 'strict';
  source: string;
  userAgent: string | null;
}

export interface WalletLoginService {
  begin(request: LoginRequest): Promise<{ status: 'verify'; eip712Message: string; nonceHash: string }>;
  /** @throws Refusal `login_refused`, the same for every reason */
  complete(request: CompleteRequest): Promise<SignedIn>;
}

export interface SessionService {
  /** @throws Refusal `refresh_refused` if no candidate is a refresh token that is good now */
  refresh(
    candidates: string[],
    context: { source: string; userAgent: string | null; rotation?: 'strict' },
  ): Promise<SignedIn>;
  /** Ends one session. Ending one that has ended is no error. */
  logout(sid: string): Promise<unknown>;
  /** Ends the sessions that refresh tokens belong to, without spending them; what is no live refresh token is skipped. */
  logoutByRefresh(candidates: string[]): Promise<unknown>;
  logoutAll(userId: number, exceptSid?: string): Promise<unknown>;
  list(userId: number): Promise<Session[]>;
  /** Ends one session of this user; false or null if the user has none with that id. */
  revoke(userId: number, sid: string): Promise<unknown>;
}

/** What the verifier of bearer tokens may bind a proof to. */
export interface BearerContext {
  door: 'rest';
  method: string;
  host: string;
  /** Without the query. */
  path: string;
  /** The client's address, exact: API keys may be limited to networks. */
  source: string;
}

export interface AuthenticatorService {
  /** Answers at once where it can: the guard then costs no promise. @throws Refusal */
  bearer(token: string, context: BearerContext): Authentication | Promise<Authentication>;
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

/** What is counted against limits. `login` and `refresh` count by source alone. */
export type Charge = 'login' | 'refresh' | 'public' | 'private';

export interface LimitService {
  /** @throws Refusal `rate_limited` with the seconds to wait */
  charge(kind: Charge, source: string, principal: Principal | null): void | Promise<void>;
}

/** An answer of the venue, passed on as it came. */
export interface VenueAnswer {
  status: number;
  /** Parsed JSON. */
  body: unknown;
}

export interface VenueService {
  /** @throws Refusal `upstream_timeout` or `unavailable` */
  rest(call: {
    method: string;
    path: string;
    query: string;
    body: Record<string, unknown> | null;
    principal: Principal | null;
    requestId: string;
  }): Promise<VenueAnswer>;
}
