/**
 * How the gateway tells the venue who is asking: a short-lived token of its own, made from the principal as it
 * is now. Nothing that a client sent can end up in it (R71).
 */
import { randomUUID } from 'node:crypto';
import { signEs256 } from '@countersign/tokens/node';
import { type Clock, seconds } from '../operations/clock.ts';
import type { Principal } from '../session/principal.ts';
import type { SigningKeys } from '../session/signing-keys.ts';

/** Audience of identity tokens: no door of ours accepts it, so one that leaks from the venue opens nothing here (R08). */
export const VENUE_AUDIENCE = 'venue';

const LIFE_SECONDS = 60;
const REUSE_MS = 30_000;
const MAX_CACHED = 10_000;

export type SignIdentity = (principal: Principal) => string;

/**
 * Signs identity tokens (ES256, verifiable with the published key set) and uses each for up to 30 s.
 *
 * Claims: `iss`, `aud: "venue"`, `sub` (user id as text), `address`, `roles`, `permissions`, `tier`, `accounts`
 * (ids), `credential` (kind), `iat`, `exp` (+60 s), `jti`.
 */
export function createIdentitySigner({
  signingKeys,
  clock,
  issuer,
}: {
  signingKeys: Pick<SigningKeys, 'active'>;
  clock: Clock;
  issuer: string;
}): SignIdentity {
  const cache = new Map<string, { token: string; kid: string; until: number }>();

  return (principal) => {
    const { kid, privateKey } = signingKeys.active();
    const claims = {
      sub: String(principal.userId),
      address: principal.address,
      roles: [...principal.roles],
      permissions: [...principal.permissions].sort(),
      tier: principal.tier,
      accounts: principal.accounts.map(({ accountId }) => accountId),
      credential: principal.credential.kind,
    };
    // Keyed by everything that the token says: a change of rights is in the very next token.
    const key = JSON.stringify(claims);
    const known = cache.get(key);
    if (known !== undefined && known.kid === kid && clock.monotonic() < known.until) return known.token;
    const iat = seconds(clock);
    const token = signEs256(
      { iss: issuer, aud: VENUE_AUDIENCE, ...claims, iat, exp: iat + LIFE_SECONDS, jti: randomUUID() },
      { typ: 'JWT', kid },
      privateKey,
    );
    cache.delete(key);
    cache.set(key, { token, kid, until: clock.monotonic() + REUSE_MS });
    if (cache.size > MAX_CACHED) {
      const oldest = cache.keys().next();
      if (!oldest.done) cache.delete(oldest.value);
    }
    return token;
  };
}
