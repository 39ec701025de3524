/** R57: what a connection may send before it has signed in or asked for a public channel. */
import { Refusal } from '@countersign/protocol';
import { describe, expect, test } from 'vitest';
import type { Proof } from '../../src/connection/services.ts';
import { createKit, type Kit, type KitOptions, type Line, principalOf, settle } from './kit.ts';

const MARKET = 'inclusionPreconf';
const PROBATION = { messages: 5, bytes: 16 * 1024, whole: 80 * 1024 };

function kit(options: Partial<KitOptions> = {}): Kit {
  const made: Kit = createKit({
    limits: { probation: PROBATION },
    authenticate: (token) => {
      if (token !== 'good') throw new Refusal('unauthorized', 'the test says so');
      return { principal: principalOf(1), expiresAt: null, asOf: made.applied } satisfies Proof;
    },
    principal: async (userId, credential) => principalOf(userId, credential),
    ...options,
  });
  return made;
}

// biome-ignore lint/suspicious/noExplicitAny: messages are looked into freely
const heard = (line: Line): any[] => line.said.map((text) => JSON.parse(text));
const login = (token: string) => ({ op: 'login', args: [{ accessToken: token }], id: 1 });
const ethgas = (channel: string, id = 2) => ({
  op: 'subscribe',
  args: [{ channel, marketType: MARKET }],
  id,
});
const coinbase = (channel: string, ids: string[] = [], jwt?: string) => ({
  type: 'subscribe',
  channel,
  product_ids: ids,
  ...(jwt === undefined ? {} : { jwt }),
});

describe('a connection that leads nowhere', () => {
  test.each([
    ['pings', { op: 'ping' }],
    ['nonsense', 'x'],
    ['logins that are refused', login('bad')],
    [
      'commands that need a login',
      { op: 'query', args: [{ queryType: 'openOrders', q: 'openOrders' }], id: 3 },
    ],
    ['channels that do not exist', ethgas('nothing')],
    ['channels that do not exist, in coinbase', coinbase('nothing')],
    ['tokens that are refused, in coinbase', coinbase('ticker', ['BTC-USD'], 'bad')],
    ['private channels without a token, in coinbase', coinbase('user')],
  ])('of %s is answered five times and closed with 1008 at the sixth', async (_, message) => {
    const line = kit().open();
    for (let n = 0; n < 5; n += 1) line.send(message);
    await settle();
    expect(line.ended).toBeNull();
    line.send(message);
    await settle();
    expect(line.ended?.code).toBe(1008);
  });

  test('of 16 KiB is closed, in however few messages', async () => {
    const line = kit().open();
    line.send({ op: 'ping', x: 'x'.repeat(16 * 1024 - 30) });
    await settle();
    expect(line.ended).toBeNull();
    line.send({ op: 'ping', x: 'x'.repeat(30) });
    await settle();
    expect(line.ended?.code).toBe(1008);
  });

  test('cannot fill memory behind a login that is being checked', () => {
    const line = kit({ authenticate: () => new Promise(() => {}) }).open();
    line.send(login('slow'));
    for (let n = 0; n < 3; n += 1) line.send({ op: 'ping', x: 'x'.repeat(30_000) });
    expect(line.ended?.code).toBe(1008);
  });

  test('of private wants that no login follows is closed once they have waited', async () => {
    const { open, clock } = kit();
    const line = open();
    for (let id = 1; id <= 6; id += 1) line.send(ethgas('accountOrderUpdate', id));
    await settle();
    expect(line.ended).toBeNull();
    clock.advance(1500);
    expect(heard(line).filter(({ event }) => event === 'error')).toHaveLength(6);
    expect(line.ended?.code).toBe(1008);
  });
});

describe('a connection that comes in', () => {
  test('as python-ethgas does, with a login and all its channels at once, or the channels first', async () => {
    for (const early of [true, false]) {
      const line = kit().open();
      const channels = () => {
        for (let id = 10; id < 40; id += 1)
          line.send(ethgas(id % 2 ? 'accountOrderUpdate' : 'tickerUpdate', id));
      };
      if (early) channels();
      line.send(login('good'));
      if (!early) channels();
      await settle();
      expect(line.ended).toBeNull();
      expect(heard(line).filter(({ event }) => event === 'subscribe')).toHaveLength(30);
    }
  });

  test('as coinbase clients do, with one public channel after the other and no login ever', async () => {
    const line = kit().open();
    for (let n = 0; n < 40; n += 1) line.send(coinbase(n % 2 ? 'ticker' : 'market_trades', [`P${n}-USD`]));
    await settle();
    for (let n = 0; n < 40; n += 1) line.send({ type: 'unsubscribe', channel: 'ticker' });
    await settle();
    expect(line.ended).toBeNull();
  });

  test('with a first message as large as any may be', async () => {
    const line = kit().open();
    line.send(
      coinbase(
        'level2',
        Array.from({ length: 30 }, (_, n) => `${'P'.repeat(40)}${n}-USD`),
        'good',
      ),
    );
    line.send({ ...coinbase('ticker', ['BTC-USD']), x: 'x'.repeat(60_000) });
    await settle();
    expect(line.ended).toBeNull();
  });

  test('after four mistakes is as welcome as any other', async () => {
    const line = kit().open();
    for (let n = 0; n < 4; n += 1) line.send(login('bad'));
    line.send(login('good'));
    for (let id = 10; id < 60; id += 1) line.send({ op: 'ping', id });
    await settle();
    expect(heard(line).filter(({ event }) => event === 'pong')).toHaveLength(50);
  });
});

test('whoever has not signed in may hold fewer streams', async () => {
  const made = kit({
    limits: { probation: PROBATION, subscriptionsPerConnection: 6, anonymousSubscriptions: 3 },
  });
  const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g'].map((name) => `${name}-USD`);
  const anonymous = made.open();
  anonymous.send(coinbase('ticker', names.slice(0, 3)));
  anonymous.send(coinbase('ticker', names.slice(3, 4)));
  const signedIn = made.open();
  signedIn.send(coinbase('ticker', names.slice(0, 6), 'good'));
  signedIn.send(coinbase('ticker', names.slice(6)));
  await settle();
  expect([anonymous, signedIn].map(({ connection }) => connection.subscriptions)).toEqual([3, 6]);
  expect(heard(anonymous).at(-1)).toMatchObject({ type: 'error' });
});
