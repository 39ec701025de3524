/** What a user's accounts hold. The venue knows; the list of accounts is ours and is answered without it too. */
import { Refusal } from '@countersign/protocol';
import { decide } from '../../access/gatekeeper.ts';
import type { Clock } from '../../operations/clock.ts';
import type { Principal } from '../../session/principal.ts';
import type { VenueService } from './services.ts';

/** One row of an account's `tokens`, in the venue's words (wire facts 4.2). */
export type TokenRow = Record<string, unknown>;

export interface Balances {
  /**
   * The rows of each of the principal's accounts, by account id. Never rejects: accounts that the venue says
   * nothing about, in time or at all, are absent, and so is everything for a principal that may not see it.
   */
  of(principal: Principal, requestId: string): Promise<ReadonlyMap<number, readonly TokenRow[]>>;
}

export interface BalancesOptions {
  /** Null where no venue is configured. */
  venue: VenueService | null;
  clock: Clock;
  log: { warn(entry: object, message: string): void };
  /** Milliseconds after which the list is answered without balances. Default 1000. */
  patienceMs?: number;
}

const NONE: ReadonlyMap<number, readonly TokenRow[]> = new Map();
const TOKENS_MAX = 1000;

export function createBalances({ venue, clock, log, patienceMs = 1000 }: BalancesOptions): Balances {
  const inTime = <T>(work: Promise<T>): Promise<T> =>
    new Promise((resolve, reject) => {
      const cancel = clock.after(patienceMs, () =>
        reject(new Refusal('upstream_timeout', `no balances within ${patienceMs} ms`)),
      );
      work.then(resolve, reject).finally(cancel);
    });

  return {
    async of(principal, requestId) {
      if (venue === null || !decide(principal, { do: 'call', permission: 'account_updates' }).allowed)
        return NONE;
      try {
        const call = {
          method: 'GET',
          path: '/v1/user/accounts/balances',
          query: '',
          body: null,
          principal,
          requestId,
        };
        const { status, body } = await inTime(venue.rest(call));
        if (status !== 200) throw new Refusal('unavailable', `the venue answered ${status}`);
        return read(body, principal);
      } catch (error) {
        const reason = error instanceof Refusal ? error.reason : 'the answer of the venue cannot be read';
        log.warn({ event: 'balances.missing', requestId, reason }, 'accounts are listed without balances');
        return NONE;
      }
    },
  };
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** @throws Refusal for anything but `{accounts: [{accountId, tokens: [{...}]}]}`, enveloped or not */
function read(body: unknown, principal: Principal): Map<number, TokenRow[]> {
  const data = isObject(body) && body.success === true ? body.data : body;
  const accounts = isObject(data) ? data.accounts : undefined;
  if (!Array.isArray(accounts)) throw new Refusal('unavailable', 'the venue answered no accounts');
  const own = new Set(principal.accounts.map(({ accountId }) => accountId));
  const rows = new Map<number, TokenRow[]>();
  for (const account of accounts) {
    if (!isObject(account) || !Array.isArray(account.tokens)) {
      throw new Refusal('unavailable', 'an account in the answer of the venue has no tokens');
    }
    // A venue that mixes users up must not make us show one the money of another.
    if (typeof account.accountId !== 'number' || !own.has(account.accountId)) continue;
    rows.set(account.accountId, account.tokens.filter(isObject).slice(0, TOKENS_MAX));
  }
  return rows;
}
