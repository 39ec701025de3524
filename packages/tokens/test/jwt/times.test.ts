import { describe, expect, it } from 'vitest';
import { checkTimes, type JsonObject, type TokenErrorCode } from '../../src/index.ts';
import { expectRefusal } from '../support/raw-token.ts';

const NOW = 1_800_000_000;
const check = (claims: object, rules: object = {}): void =>
  checkTimes(claims as JsonObject, { now: NOW, leeway: 60, maxLife: 3600, ...rules });

const refused: readonly (readonly [string, object, TokenErrorCode])[] = [
  ['no exp', { iat: NOW }, 'claim'],
  ['exp as text', { iat: NOW, exp: `${NOW + 60}` }, 'claim'],
  ['exp null', { iat: NOW, exp: null }, 'claim'],
  ['exp of -1', { iat: NOW, exp: -1 }, 'claim'],
  ['exp NaN', { iat: NOW, exp: Number.NaN }, 'claim'],
  ['exp infinite', { iat: NOW, exp: Number.POSITIVE_INFINITY }, 'claim'],
  ['exp with a fraction', { iat: NOW, exp: NOW + 60.5 }, 'claim'],
  ['exp of 2^53', { iat: NOW, exp: 2 ** 53 }, 'claim'],
  ['exp of 2^33', { iat: NOW, exp: 2 ** 33 }, 'claim'],
  ['iat with a fraction', { iat: NOW + 0.5, exp: NOW + 60 }, 'claim'],
  ['nbf as text', { nbf: `${NOW}`, exp: NOW + 60 }, 'claim'],
  ['neither nbf nor iat', { exp: NOW + 60 }, 'claim'],
  ['exp a year away', { iat: NOW, exp: NOW + 31_536_000 }, 'lifetime'],
  ['a life of one second too much', { iat: NOW, exp: NOW + 3601 }, 'lifetime'],
  ['an end before its beginning', { nbf: NOW + 3, exp: NOW + 2 }, 'lifetime'],
  ['iat six seconds ahead', { iat: NOW + 6, exp: NOW + 60 }, 'not_yet_valid'],
  ['nbf six seconds ahead', { nbf: NOW + 6, exp: NOW + 60 }, 'not_yet_valid'],
  ['exp as long ago as the leeway', { iat: NOW - 3660, exp: NOW - 60 }, 'expired'],
];

describe('checkTimes', () => {
  it.each(refused)('refuses %s', async (_, claims, code) => {
    await expectRefusal(() => check(claims), code);
  });

  it('accepts until the leeway after exp has passed, and clocks five seconds apart', () => {
    check({ iat: NOW - 3600, exp: NOW });
    check({ iat: NOW - 3659, exp: NOW - 59 });
    check({ iat: NOW + 5, nbf: NOW + 5, exp: NOW + 60 });
    check({ iat: NOW, exp: NOW + 3600 });
  });

  it('does not bound the life when no longest life is given', () => {
    checkTimes({ exp: NOW + 31_536_000 }, { now: NOW });
  });

  it('refuses a clock that is not a number', () => {
    expect(() => checkTimes({ exp: NOW }, { now: Number.NaN })).toThrow(TypeError);
  });
});
