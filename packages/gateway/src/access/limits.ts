/** Who pays for a piece of work, out of which budget. Every door asks here, so a limit means the same on all of them. */
import { isIP } from 'node:net';
import type { Config } from '../operations/config.ts';
import type { TierConfig } from '../operations/limits-config.ts';
import type { MaybePromise } from '../session/maybe-promise.ts';
import type { Principal } from '../session/principal.ts';
import type { BudgetRule, Budgets, Charged } from './budget.ts';

/**
 * `private`: paid by the user behind the principal, out of one budget for all credentials of the same tier. `public`: by the user if somebody is signed in, else by the
 * address. `login`, `refresh` and `handshake`: by the address, whoever it is, because nothing is proved yet.
 */
export type Charge = 'login' | 'refresh' | 'handshake' | 'public' | 'private';

export interface Cost {
  /** Whole number; 0 only looks. */
  weight: number;
  reducesRisk?: boolean;
}

export interface Tier extends TierConfig {
  readonly name: string;
  /** Null = no limit on requests. */
  readonly rule: BudgetRule | null;
}

export interface Limits {
  /**
   * Takes the cost of one piece of work, all or nothing.
   *
   * @param source the address as limits count it
   * @returns what is left and whether it may go on; null where nothing is limited
   */
  charge(
    kind: Charge,
    source: string,
    principal: Principal | null,
    cost?: Cost,
  ): MaybePromise<Charged | null>;
  /** What {@link charge} would answer, without taking anything. */
  foresee(
    kind: Charge,
    source: string,
    principal: Principal | null,
    cost?: Cost,
  ): MaybePromise<Charged | null>;
  /** Sources on loopback have a limit of their own, in place of that of addresses. */
  readonly sparesLoopback: boolean;
  /** The tier of a principal as it is now; one that is not configured any more counts as that of new users. */
  tierOf(principal: Principal): Tier;
}

const ONE: Cost = { weight: 1 };

export interface LimitsOptions {
  config: Pick<Config, 'host' | 'http' | 'tiers' | 'limits' | 'wallet'>;
  /** Of users. */
  users: Budgets;
  /** Of addresses, apart from those of users: strangers cannot push out a user. */
  addresses: Budgets;
  /** Told of every refusal. `tier` is `anonymous` for what an address pays. */
  refused?: (kind: Charge, tier: string) => void;
}

export function createLimits({ config, users, addresses, refused = () => {} }: LimitsOptions): Limits {
  const { limits } = config;
  const tiers = new Map<string, Tier>(
    Object.entries(config.tiers).map(([name, tier]) => [
      name,
      Object.freeze({ ...tier, name, rule: ruleOf(tier.requests, tier.reserve) }),
    ]),
  );
  const fallback = tiers.get(config.wallet.newUser.tier) as Tier;
  const login = ruleOf(limits.login, 0);
  const anonymous = ruleOf(limits.anonymous, 0);
  const handshake = ruleOf({ limit: limits.handshakesPerSecond, window: 1, burst: null }, 0);
  // Behind a proxy every client would look like a program of this machine.
  const local = isLoopback(config.host) && config.http.trustedProxies.length === 0;
  const loopback = local ? ruleOf(limits.loopback, 0) : null;

  const ruleOfAddress = (kind: Charge, source: string): BudgetRule | null => {
    if (loopback !== null && isLoopback(source)) return loopback;
    if (kind === 'handshake') return handshake;
    return kind === 'login' || kind === 'refresh' ? login : anonymous;
  };

  const tierOf = (principal: Principal): Tier => tiers.get(principal.tier) ?? fallback;

  function ask(
    how: 'charge' | 'foresee',
    kind: Charge,
    source: string,
    principal: Principal | null,
    { weight, reducesRisk = false }: Cost,
  ): MaybePromise<Charged | null> {
    if (!limits.enabled) return null;
    if (principal !== null && (kind === 'private' || kind === 'public')) {
      const tier = tierOf(principal);
      if (tier.rule === null) return null;
      // A key or token may have a tier of its own: what it spends is counted against that one.
      const charged = users[how](`${principal.userId}/${tier.name}`, tier.rule, weight, reducesRisk);
      return how === 'charge' ? told(charged, kind, tier.name) : charged;
    }
    const rule = ruleOfAddress(kind, source);
    if (rule === null) return null;
    const payer = `${kind === 'refresh' ? 'login' : kind === 'private' ? 'public' : kind}:${source}`;
    const charged = addresses[how](payer, rule, weight, false);
    return how === 'charge' ? told(charged, kind, 'anonymous') : charged;
  }

  function told(charged: MaybePromise<Charged>, kind: Charge, tier: string): MaybePromise<Charged> {
    if (charged instanceof Promise) {
      return charged.then((one) => {
        if (!one.admitted) refused(kind, tier);
        return one;
      });
    }
    if (!charged.admitted) refused(kind, tier);
    return charged;
  }

  return {
    charge: (kind, source, principal, cost = ONE) => ask('charge', kind, source, principal, cost),
    foresee: (kind, source, principal, cost = ONE) => ask('foresee', kind, source, principal, cost),
    sparesLoopback: loopback !== null,
    tierOf,
  };
}

function ruleOf(
  requests: { limit: number; window: number; burst: number | null } | null,
  reserve: number,
): BudgetRule | null {
  return requests === null ? null : Object.freeze({ ...requests, reserve });
}

/** Also as limits spell it: `::1` is counted by its /64, which holds nothing else that could connect. */
export function isLoopback(address: string): boolean {
  if (address === 'localhost' || address === '::1' || address === '0:0:0:0::/64') return true;
  return isIP(address) === 4 && address.startsWith('127.');
}
