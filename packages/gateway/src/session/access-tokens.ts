/**
 * Our own tokens: ES256 JWTs for access and for refresh. They prove who signed in and which session it was;
 * what that user may do is looked up at each request. The two kinds differ in `access_type` and in `aud`, so
 * neither passes for the other (RFC 8725 sections 3.11 and 3.12, R08).
 */
import { hash, type KeyObject } from 'node:crypto';
import { Refusal } from '@countersign/protocol';
import {
  checkTimes,
  type JsonObject,
  type ParsedJwt,
  parseCompact,
  readKid,
  TokenError,
} from '@countersign/tokens';
import { signEs256, verifyParsed } from '@countersign/tokens/node';
import type { Clock } from '../operations/clock.ts';
import type { Config } from '../operations/config.ts';
import type { Session, User } from '../store/store.ts';
import type { SigningKeys } from './signing-keys.ts';

export interface AccessToken {
  token: string;
  /** Seconds since 1970: the token's `exp`, without leeway. */
  expiresAt: number;
  /** As in the token, for clients that read them without decoding (wire facts 1.6). */
  header: TokenHeader;
  payload: TokenPayload;
}

export interface RefreshToken {
  token: string;
  /** Seconds since 1970: the end of the session. */
  expiresAt: number;
}

export type TokenHeader = { alg: 'ES256'; typ: 'JWT'; kid: string };

export type TokenPayload = {
  user: { userId: number; address: string; roles: string[] };
  access_type: 'access_token' | 'refresh_token';
  iat: number;
  exp: number;
  iss: string;
  aud: string;
  sub: string;
  sid: string;
  jti: string;
};

export interface AccessClaims {
  userId: number;
  sid: string;
  jti: string;
  /** Seconds since 1970. */
  issuedAt: number;
  expiresAt: number;
}

export interface RefreshClaims extends AccessClaims {
  /** What the wallet signed at login, in sessions of contract wallets. */
  proof: { digest: Uint8Array; signature: Uint8Array } | null;
}

export interface AccessTokens {
  /** An access token of the configured life, cut short where the session ends sooner (R45). */
  issueAccess(user: User, session: Session): AccessToken;
  /** @param jti the token's secret: at least 128 random bits as text; only its digest may be stored */
  issueRefresh(user: User, session: Session, jti: string, proof?: RefreshClaims['proof']): RefreshToken;
  /**
   * Checks form, signature, issuer, audience, kind and times. Does NOT know whether the session has ended.
   *
   * @throws Refusal `unauthorized`, whatever was wrong
   */
  verifyAccess(token: string): AccessClaims;
  /**
   * The same, for sockets, which tell their client to refresh.
   *
   * @throws Refusal `token_expired` if only the time was wrong, else `unauthorized`
   */
  verifyAccessDetailed(token: string): AccessClaims;
  /** @returns null for everything that is not a valid, unexpired refresh token of ours */
  verifyRefresh(token: string): RefreshClaims | null;
}

/** Reasons that mean another key set might help; see `reloadForUnknown`. */
export const UNKNOWN_KEY = 'unknown signing key';

const MAX_TOKEN = 4096;
const FUTURE_SECONDS = 5;

interface CacheEntry {
  kid: string;
  claims: AccessClaims;
  /** Wall-clock milliseconds of the end, leeway included. */
  until: number;
}

/**
 * @param clock not set back (`createSteadyClock`)
 * @param random for the ids of access tokens
 * @param maxCached verified access tokens remembered; the one verified longest ago is dropped first. Dead ones are
 *   forgotten as others come
 */
export function createAccessTokens({
  signingKeys,
  clock,
  config,
  random,
  maxCached = 20_000,
}: {
  signingKeys: Pick<SigningKeys, 'active' | 'verifier'>;
  clock: Clock;
  config: Pick<Config, 'tokens' | 'issuer' | 'audience'>;
  random: (n: number) => Uint8Array;
  maxCached?: number;
}): AccessTokens {
  const { accessTtl, leeway, refreshTtl } = config.tokens;
  const accessAudience = config.audience;
  const refreshAudience = `${config.audience}/refresh`;
  /** By the SHA-256 of the whole text: what lies in memory for long is no credential. */
  const cache = new Map<string, CacheEntry>();
  const nowSeconds = (): number => Math.floor(clock.now() / 1000);

  function payloadOf(
    user: User,
    session: Session,
    own: Pick<TokenPayload, 'access_type' | 'exp' | 'aud' | 'jti'>,
  ) {
    // The order is that of the tokens which seed clients know, then what we add.
    return {
      user: { userId: user.userId, address: user.address ?? '', roles: [...user.roles] },
      access_type: own.access_type,
      iat: nowSeconds(),
      exp: own.exp,
      iss: config.issuer,
      aud: own.aud,
      sub: String(user.userId),
      sid: session.sid,
      jti: own.jti,
    };
  }

  function sign(payload: JsonObject): { token: string; header: TokenHeader } {
    const { kid, privateKey } = signingKeys.active();
    const header: TokenHeader = { alg: 'ES256', typ: 'JWT', kid };
    return { token: signEs256(payload, header, privateKey), header };
  }

  /** @throws TokenError; Refusal for an unknown key */
  function verify(token: string, kind: TokenPayload['access_type']): { kid: string; parsed: ParsedJwt } {
    const parsed = parseCompact(token, { maxBytes: MAX_TOKEN });
    const kid = readKid(parsed);
    // The key decides the algorithm (RFC 8725 section 3.1): all of ours are P-256 keys for ES256.
    const key: KeyObject | null = signingKeys.verifier(kid);
    if (key === null) throw new Refusal('unauthorized', UNKNOWN_KEY);
    verifyParsed(parsed, { alg: 'ES256', key, kid });
    if (parsed.claims.access_type !== kind) throw new Refusal('unauthorized', `not an ${kind}`);
    const audience = kind === 'access_token' ? accessAudience : refreshAudience;
    if (parsed.claims.iss !== config.issuer) throw new Refusal('unauthorized', 'another issuer');
    if (parsed.claims.aud !== audience) throw new Refusal('unauthorized', 'another audience');
    return { kid, parsed };
  }

  /** Two looks for each token that comes: the dead go faster than the living come, and no turn is long. */
  function makeRoom(): void {
    const now = clock.now();
    let looks = 2;
    for (const [digest, { until }] of cache) {
      if (looks-- === 0 || (cache.size <= maxCached && until > now)) return;
      cache.delete(digest);
    }
  }

  function verifyAccessDetailed(token: string): AccessClaims {
    if (token.length > MAX_TOKEN) throw new Refusal('unauthorized', 'token is too large');
    // The digest is of the whole text, so a hit is a text that has passed every check before (R13). Another spelling
    // of the same token has another digest and meets the parser.
    const digest = hash('sha256', token, 'base64url');
    const hit = cache.get(digest);
    if (hit !== undefined) {
      if (signingKeys.verifier(hit.kid) === null) throw new Refusal('unauthorized', UNKNOWN_KEY);
      if (clock.now() >= hit.until) throw new Refusal('token_expired', 'token has expired');
      return hit.claims;
    }
    try {
      const { kid, parsed } = verify(token, 'access_token');
      checkTimes(parsed.claims, {
        now: clock.now() / 1000,
        leeway,
        notBeforeLeeway: FUTURE_SECONDS,
        maxLife: Math.ceil(accessTtl),
      });
      const claims = Object.freeze(readClaims(parsed.claims));
      const until = (claims.expiresAt + leeway) * 1000;
      cache.set(digest, { kid, claims, until });
      makeRoom();
      return claims;
    } catch (error) {
      throw refusalOf(error);
    }
  }

  return {
    issueAccess(user, session) {
      const exp = Math.floor(Math.min(nowSeconds() + accessTtl, session.expiresAt / 1000));
      const jti = Buffer.from(random(16)).toString('base64url');
      const payload = payloadOf(user, session, {
        access_type: 'access_token',
        exp,
        aud: accessAudience,
        jti,
      });
      const { token, header } = sign(payload);
      return { token, expiresAt: exp, header, payload };
    },

    issueRefresh(user, session, jti, proof = null) {
      const exp = Math.floor(session.expiresAt / 1000);
      const payload = payloadOf(user, session, {
        access_type: 'refresh_token',
        exp,
        aud: refreshAudience,
        jti,
      });
      const wallet = proof && {
        digest: Buffer.from(proof.digest).toString('base64url'),
        signature: Buffer.from(proof.signature).toString('base64url'),
      };
      return { token: sign(wallet ? { ...payload, wallet } : payload).token, expiresAt: exp };
    },

    verifyAccessDetailed,

    verifyAccess(token) {
      try {
        return verifyAccessDetailed(token);
      } catch (error) {
        if (error instanceof Refusal && error.code === 'token_expired')
          throw new Refusal('unauthorized', error.reason);
        throw error;
      }
    },

    verifyRefresh(token) {
      if (token.length > MAX_TOKEN) return null;
      try {
        const { parsed } = verify(token, 'refresh_token');
        checkTimes(parsed.claims, {
          now: clock.now() / 1000,
          leeway: 0,
          notBeforeLeeway: FUTURE_SECONDS,
          maxLife: Math.ceil(refreshTtl) + 1,
        });
        return { ...readClaims(parsed.claims), proof: readProof(parsed.claims.wallet) };
      } catch (error) {
        if (error instanceof TokenError || error instanceof Refusal) return null;
        throw error;
      }
    },
  };
}

function refusalOf(error: unknown): unknown {
  if (!(error instanceof TokenError)) return error;
  if (error.code === 'expired') return new Refusal('token_expired', 'token has expired');
  return new Refusal('unauthorized', `token refused: ${error.code}`);
}

function readClaims(claims: JsonObject): AccessClaims {
  const { user, sub, sid, jti, iat, exp } = claims;
  const userId = typeof user === 'object' && user !== null && !Array.isArray(user) ? user.userId : undefined;
  if (typeof userId !== 'number' || sub !== String(userId))
    throw new Refusal('unauthorized', 'sub is not the user');
  if (typeof sid !== 'string' || typeof jti !== 'string') throw new Refusal('unauthorized', 'no sid or jti');
  return { userId, sid, jti, issuedAt: iat as number, expiresAt: exp as number };
}

function readProof(wallet: unknown): RefreshClaims['proof'] {
  if (typeof wallet !== 'object' || wallet === null) return null;
  const { digest, signature } = wallet as { digest: string; signature: string };
  return { digest: Buffer.from(digest, 'base64url'), signature: Buffer.from(signature, 'base64url') };
}
