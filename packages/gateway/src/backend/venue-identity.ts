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
  // By the principal itself, which is frozen: a change of rights makes another one, and the very next token says so.
  const cache = new WeakMap<Principal, { token: string; kid: string; until: number }>();

  return (principal) => {
    const { kid, privateKey } = signingKeys.active();
    const known = cache.get(principal);
    if (known !== undefined && known.kid === kid && clock.monotonic() < known.until) return known.token;
    const iat = seconds(clock);
    const claims = {
      iss: issuer,
      aud: VENUE_AUDIENCE,
      sub: String(principal.userId),
      address: principal.address,
      roles: [...principal.roles],
      permissions: [...principal.permissions].sort(),
      tier: principal.tier,
      accounts: principal.accounts.map(({ accountId }) => accountId),
      credential: principal.credential.kind,
      iat,
      exp: iat + LIFE_SECONDS,
      jti: randomUUID(),
    };
    const token = signEs256(claims, { typ: 'JWT', kid }, privateKey);
    cache.set(principal, { token, kid, until: clock.monotonic() + REUSE_MS });
    return token;
  };
}
