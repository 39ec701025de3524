/** When a token is used, renewed and given up: pure arithmetic on instants, all in milliseconds of one clock. */
import type { SessionRecord } from './record.ts';

/** Part of an access token's life after which it is renewed; a second share of jitter keeps clients apart. */
const RENEW_AT = 0.7;
const JITTER = 0.1;

/** When to renew: 70 to 80 % of the token's life. @param fraction in [0, 1) */
export function renewalTime(record: SessionRecord, fraction: number): number {
  const { accessIssuedAt, accessExpiresAt } = record;
  return accessIssuedAt + (accessExpiresAt - accessIssuedAt) * (RENEW_AT + JITTER * fraction);
}

/** Whether a call made now will still find the token good when it arrives. */
export function isUsable(record: SessionRecord, now: number): boolean {
  const life = record.accessExpiresAt - record.accessIssuedAt;
  return now < record.accessExpiresAt - Math.min(5000, life * 0.05);
}

/** Whether the token is young enough that nobody needs to renew it. */
export const isFresh = (record: SessionRecord, now: number): boolean => now < renewalTime(record, 0);

/** Whether the refresh token may still be good. */
export const isRefreshable = (record: SessionRecord, now: number): boolean => now < record.sessionExpiresAt;

/**
 * Whether the session is so near its end that a signer that needs nobody should log in anew: the last twentieth of it,
 * at least two lives of an access token (so that a renewal surely falls into it), never more than half.
 */
export function isNearEnd(record: SessionRecord, now: number): boolean {
  const life = record.sessionExpiresAt - record.sessionStartedAt;
  const tokenLife = record.accessExpiresAt - record.accessIssuedAt;
  const margin = Math.min(Math.max(life * 0.05, tokenLife * 2), life * 0.5);
  return now > record.sessionExpiresAt - margin;
}
