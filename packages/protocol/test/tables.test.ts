import { describe, expect, it } from 'vitest';
import * as everything from '../src/index.ts';
import {
  CLOSE,
  COINBASE_CHANNELS,
  ERRORS,
  type ErrorCode,
  ETHGAS_CHANNELS,
  ETHGAS_QUERIES,
  errorBody,
  Refusal,
} from '../src/index.ts';

describe('the package', () => {
  it('exports these names and no others', () => {
    expect(Object.keys(everything).sort()).toEqual([
      'ACCESS_NOTICES',
      'CHAINWORKS_NOTICES',
      'CHAINWORKS_REQUESTS',
      'CLOSE',
      'COINBASE_CHANNELS',
      'COINBASE_FINAL_ORDER_STATES',
      'COINBASE_ORDERS_PER_FRAME',
      'ERRORS',
      'ETHGAS_ACTIONS',
      'ETHGAS_CHANNELS',
      'ETHGAS_QUERIES',
      'MARKET_TYPES',
      'REFRESH_COOKIES',
      'Refusal',
      'SOCKETIO_RESERVED',
      'errorBody',
    ]);
  });
});

describe('the channel tables', () => {
  it.each([
    ['ethgas channels', ETHGAS_CHANNELS],
    ['ethgas queries', ETHGAS_QUERIES],
    ['coinbase channels', COINBASE_CHANNELS],
  ])('name each of the %s once, in letters that need no escaping', (_name, rows) => {
    const names = rows.map((row) => row.name);
    expect(new Set(names).size).toBe(names.length);
    for (const name of names) expect(name).toMatch(/^[A-Za-z0-9_]+$/);
  });

  it('keep what belongs to an account private', () => {
    const open = (rows: readonly { name: string; private: boolean }[]) =>
      rows.filter((row) => !row.private).map((row) => row.name);
    expect(open(ETHGAS_CHANNELS).filter((name) => /account|user|bundle/i.test(name))).toEqual([]);
    expect(open(ETHGAS_QUERIES).filter((name) => /account|orders|position|bundle/i.test(name))).toEqual([]);
    expect(open(COINBASE_CHANNELS).filter((name) => /user|balance/.test(name))).toEqual([]);
  });

  it('send level2 as l2_data and every other coinbase channel under its own name', () => {
    const renamed = COINBASE_CHANNELS.filter((row) => row.name !== row.wireName);
    expect(renamed.map((row) => [row.name, row.wireName])).toEqual([['level2', 'l2_data']]);
  });

  it('cannot be changed', () => {
    expect(Object.isFrozen(ETHGAS_CHANNELS) && ETHGAS_CHANNELS.every(Object.isFrozen)).toBe(true);
    expect(Object.isFrozen(ETHGAS_QUERIES) && ETHGAS_QUERIES.every(Object.isFrozen)).toBe(true);
    expect(Object.isFrozen(COINBASE_CHANNELS) && COINBASE_CHANNELS.every(Object.isFrozen)).toBe(true);
  });
});

describe('the close codes', () => {
  it('never include 1000 and 1001, after which clients fall silent', () => {
    for (const { code } of Object.values(CLOSE)) expect([1000, 1001]).not.toContain(code);
  });

  it('fit a close frame', () => {
    for (const { code, reason } of Object.values(CLOSE)) {
      expect(code).toBeGreaterThanOrEqual(1000);
      expect(code).toBeLessThan(5000);
      expect(new TextEncoder().encode(reason).length).toBeLessThanOrEqual(123);
    }
  });
});

describe('the error table', () => {
  const codes = Object.keys(ERRORS) as ErrorCode[];

  it.each(codes)('has a REST body for %s that connectors can read', (code) => {
    expect(Object.keys(errorBody(code))).toEqual(['success', 'errorCode', 'errorMsgKey', 'message', 'data']);
    expect(errorBody(code)).toMatchObject({
      success: false,
      errorCode: expect.any(Number),
      errorMsgKey: expect.stringMatching(/^error\.[a-zA-Z.]+$/),
      data: {},
    });
  });

  it('answers a refused refresh with 403: after a 401 python-ethgas throws its token away', () => {
    expect(ERRORS.refresh_refused.status).toBe(403);
    expect(ERRORS.unauthorized.status).toBe(401);
  });

  it('gives a refusal the public sentence and keeps the reason apart', () => {
    const refusal = new Refusal('unauthorized', 'signature', { retryAfter: 3 });
    expect(refusal.message).toBe(ERRORS.unauthorized.message);
    expect(refusal).toMatchObject({ name: 'Refusal', reason: 'signature', retryAfter: 3 });
    expect(refusal.message).not.toContain('signature');
  });
});
