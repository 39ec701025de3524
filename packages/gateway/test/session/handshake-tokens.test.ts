/** Handshake tokens over a real store: who may use one, for how long, and what is left of them on disk. */
import { randomBytes } from 'node:crypto';
import type { Refusal } from '@countersign/protocol';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { newPrefixedToken } from '../../src/operations/prefixed-token.ts';
import type { BearerContext } from '../../src/session/authenticate.ts';
import { createFailureLimiter } from '../../src/session/failure-limiter.ts';
import {
  createHandshakeTokenScheme,
  type HandshakeTokenScheme,
} from '../../src/session/handshake-token-scheme.ts';
import {
  createHandshakeTokenUsage,
  type HandshakeTokenUsage,
} from '../../src/session/handshake-token-usage.ts';
import { createHandshakeTokens, type HandshakeTokens } from '../../src/session/handshake-tokens.ts';
import type { Store } from '../../src/store/store.ts';
import { type House, MINUTE, openHouse, SECOND } from './support.ts';

let house: House;
let tokens: HandshakeTokens;
let scheme: HandshakeTokenScheme;
let usage: HandshakeTokenUsage;
let userId: number;
let lookUps: number;

const by = { actor: 'operator:test', source: null };
const context: BearerContext = { door: 'socketio', address: '192.0.2.7', source: '192.0.2.7' };

beforeEach(async () => {
  house = await openHouse();
  const { store, changes, directory, clock } = house;
  lookUps = 0;
  const counted: Pick<Store, 'handshakeTokens'> = {
    handshakeTokens: {
      ...store.handshakeTokens,
      findByDigest(digest) {
        lookUps += 1;
        return store.handshakeTokens.findByDigest(digest);
      },
    },
  };
  usage = createHandshakeTokenUsage({ store, clock });
  scheme = createHandshakeTokenScheme({
    store: counted,
    changes,
    directory,
    failures: createFailureLimiter({ clock, capacity: 3, refillPerSecond: 1 }),
    usage,
    clock,
  });
  tokens = createHandshakeTokens({ store, changes, clock, random: randomBytes, usage });
  ({ userId } = await store.users.create({
    address: null,
    displayName: 'desk',
    roles: [],
    permissions: ['market_data', 'trading'],
    tier: 'free',
    createdAt: clock.now(),
  }));
});
afterEach(async () => {
  await usage.close();
  await house.dispose();
});

const make = (wish: object = {}) =>
  tokens.create({ userId, name: 'desk', permissions: ['market_data', 'trading'], ...wish }, by);
const refused = async (token: string, where = context): Promise<string> => {
  try {
    await scheme.authenticate(token, where);
    return 'let in';
  } catch (error) {
    return (error as Refusal).code;
  }
};

describe('a handshake token', () => {
  it('stands for its user, cut down to what it may do, with a tier and an end of its own', async () => {
    const expiresAt = house.clock.now() + MINUTE;
    const { secret, token } = await make({ permissions: ['trading', 'transfer'], tier: 'pro', expiresAt });
    const proof = await scheme.authenticate(secret, context);
    expect(proof).toEqual({ principal: expect.anything(), expiresAt: null });
    expect(proof.principal).toMatchObject({
      userId,
      tier: 'pro',
      endsAt: expiresAt,
      credential: { kind: 'handshake-token', tokenId: token.tokenId },
    });
    expect([...proof.principal.permissions]).toEqual(['trading']);
  });

  it('with a wrong checksum costs no look-up; an unknown one costs one, and a guesser soon none', async () => {
    const { secret } = await make();
    const wrong = `${secret.slice(0, -1)}${secret.endsWith('a') ? 'b' : 'a'}`;
    expect(await refused(wrong)).toBe('unauthorized');
    expect(await refused('cst_')).toBe('unauthorized');
    expect(lookUps).toBe(0);
    const stranger = newPrefixedToken('cst_', randomBytes);
    for (let i = 0; i < 5; i += 1) expect(await refused(stranger)).toBe('unauthorized');
    expect(lookUps).toBe(1);
    const codes = [];
    for (let i = 0; i < 5; i += 1) codes.push(await refused(newPrefixedToken('cst_', randomBytes)));
    expect(codes).toEqual(['unauthorized', 'unauthorized', ...Array(3).fill('rate_limited')]);
    expect(lookUps).toBe(3);
    // Neither the guesser's neighbours nor good tokens from the same place that are known already.
    await make();
    expect(await refused(secret, { ...context, source: '192.0.2.8' })).toBe('let in');
    expect(await refused(secret)).toBe('let in');
  });

  it('is looked up once, until it changes', async () => {
    const { secret, token } = await make();
    for (let i = 0; i < 3; i += 1) await scheme.authenticate(secret, context);
    expect(lookUps).toBe(1);
    await tokens.change(token.tokenId, { permissions: [] }, by);
    expect((await scheme.authenticate(secret, context)).principal.permissions.size).toBe(0);
    expect(lookUps).toBe(2);
  });

  it('ends for this node and for others that only follow the log', async () => {
    const { secret, token } = await make();
    const other = await house.secondNode();
    const there = createHandshakeTokenScheme({
      ...house,
      changes: other.changes,
      directory: other.directory,
      failures: createFailureLimiter({ clock: house.clock }),
      usage,
    });
    await there.authenticate(secret, context);
    await tokens.revoke(token.tokenId, by);
    expect(await refused(secret)).toBe('unauthorized');
    await house.pass(2 * SECOND);
    await expect(there.authenticate(secret, context)).rejects.toMatchObject({ code: 'unauthorized' });
    expect(await there.principal(token.tokenId, context.address)).toBeNull();
  });

  it('is refused on the WebSocket door, from outside its allow list, and after its end', async () => {
    const { secret } = await make();
    expect(await refused(secret, { ...context, door: 'websocket' })).toBe('unauthorized');
    const fenced = await make({ allowedIps: ['192.0.2.0/29', '2001:db8::/32'] });
    expect(await refused(fenced.secret)).toBe('let in');
    expect(await refused(fenced.secret, { ...context, address: '192.0.2.8' })).toBe('unauthorized');
    expect(await refused(fenced.secret, { ...context, address: '2001:db8::1' })).toBe('let in');
    const short = await make({ expiresAt: house.clock.now() + SECOND });
    expect(await refused(short.secret)).toBe('let in');
    await house.pass(SECOND);
    expect(await refused(short.secret)).toBe('unauthorized');
  });

  it('is refused, and not called wrong, while the store does not answer', async () => {
    const { secret } = await make();
    await house.store.close();
    expect(await refused(secret)).toBe('unavailable');
  });
});

describe('an operator', () => {
  it.each<[string, object]>([
    ['no name', { name: '' }],
    ['a name with a line break', { name: 'a\nb' }],
    ['an unknown permission', { permissions: ['everything'] }],
    ['a block that is none', { allowedIps: ['10.0.0.0/33'] }],
    ['an end in the past', { expiresAt: 5 }],
  ])('cannot make a token with %s', async (_, wish) => {
    await expect(make(wish)).rejects.toMatchObject({ code: 'invalid_request' });
  });

  it('is in the audit log with every change, and no secret is', async () => {
    const made = await make();
    await tokens.change(made.token.tokenId, { name: 'other' }, by);
    const next = await tokens.rotate(made.token.tokenId, 0, by);
    await tokens.revoke(next.token.tokenId, by);
    await expect(tokens.revoke(next.token.tokenId, by)).rejects.toMatchObject({ code: 'conflict' });
    await expect(tokens.rotate(next.token.tokenId, 5, by)).rejects.toMatchObject({ code: 'conflict' });
    const entries = await house.audited();
    expect(entries.map(({ action }) => action).sort()).toEqual([
      'handshake-token.change',
      'handshake-token.create',
      'handshake-token.revoke',
      'handshake-token.rotate',
    ]);
    const kept = JSON.stringify([entries, await tokens.list({ limit: 10 })]);
    for (const { secret } of [made, next]) expect(kept).not.toContain(secret.slice(4, 20));
  });
});

describe('usage', () => {
  it('is written once a minute, and what is not written yet is shown all the same', async () => {
    const { secret, token } = await make();
    await scheme.authenticate(secret, context);
    await scheme.authenticate(secret, { ...context, door: 'rest' });
    usage.count(token.tokenId, 'request');
    const stored = () => house.store.handshakeTokens.findById(token.tokenId);
    expect(await stored()).toMatchObject({ connects: 0, requests: 0, lastUsedAt: null });
    const now = house.clock.now();
    expect(await tokens.find(token.tokenId)).toMatchObject({ connects: 1, requests: 2, lastUsedAt: now });
    await house.pass(MINUTE);
    expect(await tokens.find(token.tokenId)).toMatchObject({ connects: 1, requests: 2 });
    await new Promise((resolve) => setImmediate(resolve));
    expect(await stored()).toMatchObject({ connects: 1, requests: 2, lastUsedAt: now });
    expect(usage.pending(token.tokenId)).toBeNull();
  });
});
