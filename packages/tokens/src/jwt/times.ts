import type { JsonObject } from '../encoding/strict-json.ts';
import { TokenError } from '../errors.ts';

export interface TimeRules {
  /** The present, in seconds since the epoch (fractions allowed). */
  readonly now: number;
  /** Seconds a token is still accepted after `exp`. Default 0. */
  readonly leeway?: number;
  /** Seconds `nbf` and `iat` may lie in the future. Default 5. */
  readonly notBeforeLeeway?: number;
  /**
   * Longest life in seconds, `exp − nbf` or else `exp − iat`. When given, one of `nbf` and `iat` is required.
   * Default: unbounded.
   */
  readonly maxLife?: number;
}

/** Past year 2242 no clock is right; a bound keeps every sum exact. */
const LIMIT = 2 ** 33;

function readTime(claims: JsonObject, name: 'exp' | 'nbf' | 'iat'): number | undefined {
  const value = claims[name];
  if (value === undefined) return undefined;
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < LIMIT) return value;
  throw new TokenError('claim', `The claim ${name} is not a time`, {
    name,
    expected: 'an integer in [0, 2^33)',
  });
}

/**
 * Checks `exp`, `nbf` and `iat` (RFC 7519 §4.1.4 to §4.1.6): `exp` is required, all are integers.
 *
 * @throws {TokenError} `claim`, `expired`, `not_yet_valid` or `lifetime`
 */
export function checkTimes(claims: JsonObject, rules: TimeRules): void {
  const { now, leeway = 0, notBeforeLeeway = 5, maxLife } = rules;
  if (!Number.isFinite(now)) throw new TypeError('now must be a finite number of seconds');
  const exp = readTime(claims, 'exp');
  const nbf = readTime(claims, 'nbf');
  const iat = readTime(claims, 'iat');
  if (exp === undefined) {
    throw new TokenError('claim', 'The claim exp is missing', { name: 'exp', expected: 'present' });
  }
  if (now >= exp + leeway) throw new TokenError('expired', 'The token has expired', { name: 'exp' });
  if (nbf !== undefined && nbf > now + notBeforeLeeway) {
    throw new TokenError('not_yet_valid', 'The token is not valid yet', { name: 'nbf' });
  }
  if (iat !== undefined && iat > now + notBeforeLeeway) {
    throw new TokenError('not_yet_valid', 'The token was issued in the future', { name: 'iat' });
  }
  const start = nbf ?? iat;
  if (start !== undefined && exp <= start) {
    throw new TokenError('lifetime', 'The token ends before it begins', {
      name: 'exp',
      expected: 'after nbf or iat',
    });
  }
  if (maxLife === undefined) return;
  if (start === undefined) {
    throw new TokenError('claim', 'The token has no start', { name: 'nbf', expected: 'nbf or iat' });
  }
  if (exp - start > maxLife) {
    throw new TokenError('lifetime', 'The token lives too long', {
      name: 'exp',
      expected: `at most ${maxLife} s`,
    });
  }
}
