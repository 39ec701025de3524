import { generateKeyPairSync } from 'node:crypto';
import { TokenError } from '@countersign/tokens';
import { importPrivateKey, verifyParsed } from '@countersign/tokens/node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  freshPair,
  type KeyHouse,
  OPERATOR,
  openKeyHouse,
  parts,
  signParts,
  type TestKey,
  token,
  twin,
  websocket,
} from './api-key-support.ts';
import { DAY, refusal, SECOND } from './support.ts';

let open: KeyHouse;
let userId: number;
let key: TestKey;
beforeAll(async () => {
  open = await openKeyHouse();
  ({ userId } = await open.user('ada'));
  key = await open.make(userId);
});
afterAll(() => open.house.dispose());

const now = () => open.house.clock.now();
const ask: KeyHouse['ask'] = (...token) => open.ask(...token);
const answer: KeyHouse['answer'] = (...token) => open.answer(...token);

describe('strict keys after a restart', () => {
  it('refuse what was signed before it, for its replay may not be remembered, and accept a fresh token', async () => {
    const strict = await open.make(userId, { replay: 'strict' });
    // This node's own replay cache is as young as the test.
    await open.house.pass(2 * SECOND);
    const spent = token(strict, now());
    await ask(spent);
    const unspent = token(strict, now());
    open.house.clock.advance(300);
    const { node } = await open.restart();
    const later = async (jwt: string) => node.authenticator.bearer(jwt, websocket());
    await expect(later(spent)).rejects.toMatchObject({ code: 'unauthorized' });
    await expect(later(unspent)).rejects.toMatchObject({ code: 'unauthorized' });
    await open.house.pass(2 * SECOND);
    await expect(later(spent)).rejects.toMatchObject({ code: 'unauthorized' });
    expect((await later(token(strict, now()))).principal.userId).toBe(userId);
    // A key that allows reuse is not held up.
    expect((await later(token(key, now()))).principal.userId).toBe(userId);
  });

  it('let one of two hundred copies through that come at once', async () => {
    await open.house.pass(3 * SECOND);
    const jwt = token(await open.make(userId, { replay: 'strict' }), now());
    const answers = await Promise.all(
      Array.from({ length: 200 }, (_, index) => answer(index % 2 ? twin(jwt) : jwt)),
    );
    expect(answers.filter((one) => one === 'accepted')).toHaveLength(1);
  });
});

describe('a key', () => {
  it('refuses the tokens of another, in both orders, also under the name of the other (R12)', async () => {
    const { userId: other } = await open.user('bob');
    const [mine, theirs] = [await open.make(userId), await open.make(other)];
    for (const [named, signing] of [
      [mine, theirs],
      [theirs, mine],
    ] as const) {
      expect(await answer(token({ ...named, signer: signing.signer }, now()))).toBe('unauthorized');
      expect((await ask(token(named, now()))).principal.userId).toBe(named.key.userId);
      expect(await answer(token({ ...named, signer: signing.signer }, now()))).toBe('unauthorized');
    }
  });

  it('narrows what its owner may do, and never widens it', async () => {
    const permissions = async (scopes: ('view' | 'trade' | 'transfer')[]) => {
      const own = await open.make(userId, { scopes });
      return [...(await ask(token(own, now()))).principal.permissions].sort();
    };
    expect(await permissions(['view'])).toEqual(['account_updates', 'market_data']);
    expect(await permissions(['trade'])).toEqual(['trading']);
    // The owner has no right to transfer.
    expect(await permissions(['transfer'])).toEqual([]);
  });

  it('applies a change in the very next request, however warm the caches are (R12, R26)', async () => {
    const own = await open.make(userId, { scopes: ['view', 'trade'], tier: 'pro' });
    const jwt = () => token(own, now());
    const principal = async () => (await ask(jwt())).principal;
    expect(await principal()).toMatchObject({ tier: 'pro' });
    await open.keys.change(own.keyId, { scopes: ['view'] }, OPERATOR);
    expect((await principal()).permissions.has('trading')).toBe(false);
    await open.keys.change(own.keyId, { tier: null }, OPERATOR);
    expect((await principal()).tier).toBe('free');
    await open.keys.change(own.keyId, { allowedIps: ['10.0.0.1'] }, OPERATOR);
    expect(await answer(jwt())).toBe('unauthorized');
    await open.keys.change(own.keyId, { allowedIps: [], enabled: false }, OPERATOR);
    expect(await answer(jwt())).toBe('unauthorized');
    await open.keys.change(own.keyId, { enabled: true }, OPERATOR);
    expect(await answer(jwt())).toBe('accepted');
    await open.keys.change(own.keyId, { expiresAt: now() + DAY }, OPERATOR);
    expect((await principal()).endsAt).toBe(now() + DAY);
    await open.keys.remove(own.keyId, OPERATOR);
    expect(await answer(jwt())).toBe('unauthorized');
  });

  it('applies a change that falls between reading a key and keeping it', async () => {
    let during: (() => Promise<void>) | null = null;
    const held = await openKeyHouse({
      apiKeys: (store) => ({
        async findByName(name) {
          const found = await store.apiKeys.findByName(name);
          const task = during;
          during = null;
          await task?.();
          return found;
        },
      }),
    });
    const { userId: owner } = await held.user('ada');
    const own = await held.make(owner);
    during = async () => void (await held.keys.change(own.keyId, { enabled: false }, OPERATOR));
    const go = async () => held.node.authenticator.bearer(token(own, held.house.clock.now()), websocket());
    await go().catch(() => {});
    await expect(go()).rejects.toMatchObject({ code: 'unauthorized' });
    await held.house.dispose();
  });

  it('that was disabled on another node is refused here within one poll', async () => {
    const own = await open.make(userId);
    expect(await answer(token(own, now()))).toBe('accepted');
    const other = await open.restart();
    await other.keys.change(own.keyId, { enabled: false }, OPERATOR);
    await open.house.pass(SECOND);
    expect(await answer(token(own, now()))).toBe('unauthorized');
  });

  it('is known here at once when it was made on another node', async () => {
    const other = await open.restart();
    const made = await other.keys.create(userId, { nickname: 'far', scopes: ['view'] }, OPERATOR);
    const signer = importPrivateKey(made.privateKey ?? '');
    const far = { ...made, name: made.key.name, keyId: made.key.keyId, signer };
    expect(await answer(token(far, now()))).toBe('accepted');
  });
});

describe('a store that fails', () => {
  it.each([
    ['throws', () => Promise.reject(new Error('disk'))],
    ['gives an empty record', async () => ({}) as never],
    ['gives a record without a key', async () => ({ ...key.key, publicJwk: '' })],
    ['gives a record with an empty key', async () => ({ ...key.key, publicJwk: '{}' })],
    ['gives a symmetric key', async () => ({ ...key.key, publicJwk: '{"kty":"oct","k":""}' })],
  ])('and %s lets nobody in (R11)', async (_what, findByName) => {
    const broken = await openKeyHouse({ apiKeys: () => ({ findByName }) });
    const jwt = token(key, broken.house.clock.now());
    const { code } = await refusal(async () => broken.node.authenticator.bearer(jwt, websocket()));
    await broken.house.dispose();
    expect(['unauthorized', 'unavailable']).toContain(code);
  });
});

describe('somebody who guesses', () => {
  it('names of keys costs no more look-ups than the limiter allows, and no one else notices (R10)', async () => {
    let lookups = 0;
    const counted = await openKeyHouse({
      apiKeys: (store) => ({
        findByName(name) {
          lookups += 1;
          return store.apiKeys.findByName(name);
        },
      }),
    });
    const { userId: owner } = await counted.user('ada');
    const own = await counted.make(owner);
    const at = counted.house.clock.now();
    const codes = new Set<string>();
    for (let guess = 0; guess < 2000; guess += 1) {
      const name = `organizations/o/apiKeys/${guess}`;
      const jwt = token({ ...own, name }, at);
      const { code } = await refusal(async () =>
        counted.node.authenticator.bearer(jwt, websocket({ source: '203.0.113.9' })),
      );
      codes.add(code);
    }
    expect(lookups).toBe(200);
    expect([...codes]).toEqual(['unauthorized', 'rate_limited']);
    const { principal } = await counted.node.authenticator.bearer(token(own, at), websocket());
    expect(principal.userId).toBe(owner);
    await counted.house.dispose();
  });

  it('the same unknown name again and again is held up like any other', async () => {
    const jwt = token({ ...key, name: 'organizations/o/apiKeys/nobody' }, now());
    const at = websocket({ source: '203.0.113.10' });
    const codes: string[] = [];
    for (let guess = 0; guess < 201; guess += 1) codes.push(await answer(jwt, at));
    expect(new Set(codes.slice(0, 200))).toEqual(new Set(['unauthorized']));
    expect(codes[200]).toBe('rate_limited');
  });

  it.each(['ES256', 'EdDSA'] as const)(
    'costs one check of a signature of %s, whether the name exists or not and whatever its algorithm is (R18)',
    async (alg) => {
      const checked: string[] = [];
      const watched = await openKeyHouse({
        checkSignature(parsed, expected) {
          try {
            verifyParsed(parsed, expected);
          } catch (error) {
            // Refused for its header: the signature was not looked at.
            if (!(error instanceof TokenError && error.code === 'algorithm'))
              checked.push(String(parsed.header.alg));
            throw error;
          }
        },
      });
      const { userId: owner } = await watched.user('ada');
      const own = await watched.make(owner);
      const stranger = alg === 'ES256' ? freshPair().privateKey : generateKeyPairSync('ed25519').privateKey;
      const { header, claims } = parts(own.name, watched.house.clock.now(), { header: { alg } });
      for (const kid of [own.name, `${own.name}0`]) {
        const jwt = signParts({ ...header, kid }, claims, stranger, alg);
        const { code } = await refusal(async () => watched.node.authenticator.bearer(jwt, websocket()));
        expect(code).toBe('unauthorized');
      }
      expect(checked).toEqual([alg, alg]);
      await watched.house.dispose();
    },
  );

  it('signatures of a known key, 5,000 a second from elsewhere, never costs its owner a request (R27)', async () => {
    const sources = Array.from({ length: 50 }, (_, index) => `198.51.100.${index}`);
    const forged = signParts(
      ...(Object.values(parts(key.name, now())) as [object, object]),
      freshPair().privateKey,
    );
    let owners = 0;
    let forgeries = 0;
    const codes = new Set<string>();
    for (let tick = 0; tick < 100; tick += 1) {
      open.house.clock.advance(10);
      for (let bad = 0; bad < 50; bad += 1) {
        const source = sources[bad] ?? '';
        codes.add(await answer(forged, websocket({ source, address: source })));
        forgeries += 1;
      }
      if ((await answer(token(key, now()))) === 'accepted') owners += 1;
    }
    expect([owners, forgeries]).toEqual([100, 5000]);
    expect(codes.has('accepted')).toBe(false);
    // One source that goes on by itself is held up.
    for (let bad = 0; bad < 300; bad += 1)
      codes.add(await answer(forged, websocket({ source: '198.51.100.0' })));
    expect(codes.has('rate_limited')).toBe(true);
    expect(await answer(token(key, now()))).toBe('accepted');
  });
});
