import { CLOSE, Refusal } from '@countersign/protocol';
import { describe, expect, test } from 'vitest';
import type { Broker, History } from '../../src/broker/broker.ts';
import type { Proof } from '../../src/connection/services.ts';
import type { Credential, Permission } from '../../src/session/principal.ts';
import type { BookLevel } from '../../src/streams/publication.ts';
import { createKit, draft, type Kit, type KitOptions, type Line, principalOf, START, settle } from './kit.ts';

const MARKET = 'inclusionPreconf';
const ORDERS = `accountOrderUpdate`;
const wants = (channel: string, more: object = {}) => ({ channel, marketType: MARKET, ...more });

const proofs: Record<string, Omit<Proof, 'asOf'>> = {};
function proof(
  name: string,
  userId: number,
  credential: Credential,
  life: number | null,
  permissions: readonly Permission[] = ['market_data', 'account_updates'],
): void {
  const expiresAt = life === null ? null : START + life;
  proofs[name] = { principal: principalOf(userId, credential, permissions), expiresAt };
}
proof('ada', 1, { kind: 'session', sid: 'a1' }, 10_000);
proof('ada-later', 1, { kind: 'session', sid: 'a1' }, 60_000);
proof('ada-again', 1, { kind: 'session', sid: 'a2' }, 20_000);
proof('bob', 2, { kind: 'session', sid: 'b1' }, 10_000);
proof('key', 1, { kind: 'api-key', keyId: 'k1' }, null);
proof('other-key', 1, { kind: 'api-key', keyId: 'k2' }, null);
proof('narrow-key', 1, { kind: 'api-key', keyId: 'k3' }, null, ['market_data']);

function kit(options: Partial<KitOptions> = {}): Kit {
  const made: Kit = createKit({
    authenticate: (token) => {
      const found = proofs[token];
      if (found === undefined) throw new Refusal('unauthorized', 'the test says so');
      return { ...found, asOf: made.applied };
    },
    principal: async (userId, credential) => principalOf(userId, credential),
    ...options,
  });
  return made;
}

// biome-ignore lint/suspicious/noExplicitAny: messages are looked into freely
const heard = (line: Line): any[] => line.said.map((text) => JSON.parse(text));
const pushes = (line: Line, channel: string) =>
  heard(line).filter(({ e, channel: named }) => (e ?? named) === channel);
const login = (token: string) => ({ op: 'login', args: [{ accessToken: token }], id: 1 });
const subscribe = (arg: object, id = 2) => ({ op: 'subscribe', args: [arg], id });
const order = (account: number, n: number) => draft(ORDERS, `${MARKET}/${account}`, { n });

describe('what a login opens', () => {
  test('a place per account is where each account stream goes on', async () => {
    const { publish, open } = kit();
    publish(order(11, 1), order(11, 2), order(11, 3), order(12, 1), order(12, 2));
    const first = open();
    first.send(login('ada'));
    first.send(subscribe(wants(ORDERS)));
    await settle();
    const { epoch } = heard(first)[1].position['11'];
    const line = open();
    line.send(login('ada'));
    line.send(subscribe(wants(ORDERS, { recover: { 11: { epoch, sequence: 1 } } })));
    await settle();
    const ack = heard(line)[1];
    expect(ack.recovered).toEqual({ 11: true });
    expect(pushes(line, ORDERS).map(({ key, sequence }) => [key, sequence])).toEqual([
      [`${MARKET}/11`, 2],
      [`${MARKET}/11`, 3],
    ]);
  });

  test('a private want may come before its login, and each waits its own time', async () => {
    const { open, clock } = kit();
    const line = open();
    line.send(subscribe(wants(ORDERS), 5));
    clock.advance(1400);
    line.send(subscribe(wants('accountPositionUpdate'), 6));
    clock.advance(200);
    expect(heard(line).map(({ event, id }) => [event, id])).toEqual([['error', 5]]);
    line.send(login('ada'));
    await settle();
    expect(heard(line).map(({ event, id }) => [event, id])).toEqual([
      ['error', 5],
      ['login', 1],
      ['subscribe', 6],
    ]);
  });

  test('a want that was taken back does not wait for a login any more', async () => {
    const { open, publish } = kit();
    const line = open();
    line.send(subscribe(wants(ORDERS), 5));
    line.send({ op: 'unsubscribe', args: [wants(ORDERS)], id: 6 });
    line.send(login('ada'));
    await settle();
    publish(order(11, 1));
    expect(heard(line).map(({ event, id }) => [event, id])).toEqual([
      ['error', 5],
      ['unsubscribe', 6],
      ['login', 1],
    ]);
  });

  test('no more wants wait than a connection may hold streams', async () => {
    const { open } = kit({ limits: { subscriptionsPerConnection: 3 } });
    const line = open();
    for (let id = 1; id <= 5; id += 1) line.send(subscribe(wants(ORDERS), id));
    await settle();
    expect(heard(line).map(({ id, code }) => [id, code])).toEqual([
      [4, 1003],
      [5, 1003],
    ]);
  });
});

describe('who a connection belongs to', () => {
  test('another user is refused after a login, after its expiry and after a logout', async () => {
    const { open, clock } = kit();
    const line = open();
    line.send(login('ada'));
    line.send(login('bob'));
    await settle();
    expect(heard(line).at(-1)).toMatchObject({ event: 'error', code: 2 });
    clock.advance(11_000);
    line.send(login('bob'));
    await settle();
    expect(heard(line).at(-1)).toMatchObject({ event: 'error', code: 2 });
    line.send({ op: 'logout', id: 9 });
    line.send(login('bob'));
    await settle();
    expect(heard(line).at(-1)).toMatchObject({ event: 'error', code: 2 });
    expect(line.connection.userId).toBeNull();
  });

  test('an older token of the session does not shorten what a newer one gave', async () => {
    const { open, publish, clock } = kit();
    const line = open();
    line.send(login('ada-later'));
    line.send(login('ada'));
    line.send(subscribe(wants(ORDERS)));
    await settle();
    clock.advance(30_000);
    publish(order(11, 1));
    expect(pushes(line, ORDERS)).toHaveLength(1);
  });

  test('a refresh of one session does not lengthen another', async () => {
    const { open, publish, clock, registry } = kit();
    const line = open();
    line.send(login('ada'));
    await settle();
    // The refresh arrives while the login with another session is being carried out.
    line.send(login('ada-again'));
    registry.extend('a1', START + 60_000);
    line.send(subscribe(wants(ORDERS)));
    await settle();
    clock.advance(21_000);
    publish(order(11, 1));
    expect(pushes(line, ORDERS)).toHaveLength(0);
  });

  test('the end of a key ends the connection that it was last shown on', async () => {
    const { open, publish, change } = kit();
    const line = open();
    line.send({ type: 'subscribe', channel: 'user', jwt: 'key' });
    line.send({ type: 'subscribe', channel: 'ticker', product_ids: ['BTC-USD'], jwt: 'other-key' });
    await settle();
    await change('api-key-ended', 'k2');
    publish(draft('user', '1', { orders: [] }));
    expect(line.ended?.code).toBe(4000);
    expect(pushes(line, 'user').filter(({ events }) => events[0].type === 'update')).toEqual([]);
  });

  test('a key with narrower scopes ends the streams that it may not read', async () => {
    const { open, publish } = kit();
    const line = open();
    line.send({ type: 'subscribe', channel: 'user', jwt: 'key' });
    line.send({ type: 'subscribe', channel: 'ticker', product_ids: ['BTC-USD'], jwt: 'narrow-key' });
    await settle();
    publish(draft('user', '1', { orders: [{ order_id: 'o', status: 'OPEN' }] }));
    expect(JSON.stringify(heard(line).at(-1))).not.toContain('user');
    expect(heard(line).some(({ type }) => type === 'error')).toBe(true);
  });

  test('a change that arrives while a login is being verified is not missed', async () => {
    let active = true;
    let verified: (() => void) | null = null;
    const made: Kit = kit({
      authenticate: (token) => {
        const answer = { ...(proofs[token] as Proof), asOf: made.applied };
        return new Promise((resolve) => {
          verified = () => resolve(answer);
        });
      },
      principal: async (userId, credential) => (active ? principalOf(userId, credential) : null),
    });
    const line = made.open();
    line.send(login('ada'));
    line.send(subscribe(wants(ORDERS)));
    active = false;
    await made.change('user-ended', '1');
    (verified as (() => void) | null)?.();
    await settle();
    expect(line.ended?.code).toBe(4000);
    expect(heard(line).map(({ event }) => event)).toEqual(['closing']);
  });

  test('the same holds for a token that came with the connection', async () => {
    const made = kit({ principal: async () => null });
    const asOf = made.applied;
    await made.change('session-ended', 'a1');
    const line = made.open({ ...(proofs.ada as Proof), asOf });
    await settle();
    expect(line.ended?.code).toBe(4000);
    expect(made.registry.size).toBe(0);
  });

  test('a look-up that a further change has overtaken is made again', async () => {
    let permissions: Permission[] = ['market_data', 'account_updates'];
    const looked: (() => void)[] = [];
    const made: Kit = kit({
      principal: (userId, credential) => {
        const answer = principalOf(userId, credential, permissions);
        return new Promise((resolve) => looked.push(() => resolve(answer)));
      },
    });
    const line = made.open({ ...(proofs.ada as Proof), asOf: -1 });
    permissions = ['market_data'];
    const told = made.change('user-changed', '1');
    // The change is told first; the answer from before it comes in last.
    looked[1]?.();
    await told;
    looked[0]?.();
    await settle();
    looked[2]?.();
    line.send(subscribe(wants(ORDERS)));
    await settle();
    expect(heard(line).at(-1)).toMatchObject({ event: 'error', code: 2 });
  });

  test('connections are closed when nobody can say what they may still do', async () => {
    let fails = false;
    const made = kit({
      principal: async (userId, credential) => {
        if (fails) throw new Error('the store is away');
        return principalOf(userId, credential);
      },
    });
    const lines = [made.open(), made.open()];
    for (const line of lines) line.send(login('ada'));
    await settle();
    fails = true;
    await expect(made.change('user-changed', '1')).rejects.toThrow('the store is away');
    expect(lines.map(({ ended }) => ended?.code)).toEqual([1013, 1013]);
  });
});

describe('what a reader is told', () => {
  test('a permission that is taken away ends its streams with a word', async () => {
    const made = kit({
      principal: async (userId, credential) => principalOf(userId, credential, ['market_data']),
    });
    const line = made.open();
    line.send(login('ada'));
    line.send(subscribe(wants(ORDERS), 7));
    await settle();
    await made.change('user-changed', '1');
    made.publish(order(11, 1));
    expect(heard(line).at(-1)).toMatchObject({ event: 'error', code: 2, arg: { channel: ORDERS }, id: 7 });
  });

  test('an account that is not the user’s any more ends its own stream and no other', async () => {
    const made = kit({
      principal: async (userId, credential) => {
        const before = principalOf(userId, credential);
        return { ...before, accounts: before.accounts.slice(0, 1) };
      },
    });
    const line = made.open();
    line.send(login('ada'));
    line.send(subscribe(wants(ORDERS)));
    await settle();
    await made.change('user-changed', '1');
    made.publish(order(11, 1), order(12, 1));
    expect(pushes(line, ORDERS).map(({ key }) => key)).toEqual([`${MARKET}/11`]);
    expect(heard(line).some(({ event, code }) => event === 'error' && code === 2)).toBe(true);
  });

  test('a private stream that cannot go on after an expiry is cut rather than continued with a hole', async () => {
    const { open, publish, clock } = kit({ history: 3 });
    const line = open();
    line.send(login('ada'));
    line.send(subscribe(wants(ORDERS)));
    await settle();
    publish(order(11, 1));
    clock.advance(10_000);
    for (let n = 2; n < 8; n += 1) publish(order(11, n));
    line.send(login('ada-again'));
    await settle();
    publish(order(11, 8));
    expect(line.ended).toBe(CLOSE.slow);
    expect(pushes(line, ORDERS).map(({ sequence }) => sequence)).toEqual([1]);
  });

  test('a wall clock that is set back does not lengthen it', async () => {
    const { publish, open, clock } = kit();
    const line = open();
    line.send(login('ada'));
    line.send(subscribe(wants(ORDERS)));
    await settle();
    clock.jump(-3_600_000);
    clock.advance(9_000);
    publish(order(11, 1));
    clock.advance(2_000);
    publish(order(11, 2));
    expect(pushes(line, ORDERS).map(({ P }) => P.n)).toEqual([1]);
    expect(heard(line).filter(({ event }) => event === 'token_expired')).toHaveLength(1);
  });

  test('a stream that starts over is told in both dialects: by a snapshot, or by a close that says recover', async () => {
    // Two streams remembered: publishing to others makes the broker forget these, and they come back in a new epoch.
    const { open, publish } = kit({ streams: 2 });
    publish(draft('market_trades', 'BTC-USD', { trades: [{ trade_id: '1', product_id: 'BTC-USD' }] }));
    const coinbase = open();
    coinbase.send({ type: 'subscribe', channel: 'market_trades', product_ids: ['BTC-USD'] });
    const ethgas = open();
    ethgas.send(login('ada'));
    ethgas.send(subscribe(wants(ORDERS)));
    await settle();
    publish(order(11, 1));
    for (let n = 0; n < 4; n += 1) publish(draft('tickerUpdate', `m${n}`, { n }));
    publish(draft('market_trades', 'BTC-USD', { trades: [{ trade_id: '9', product_id: 'BTC-USD' }] }));
    publish(order(11, 1));
    await settle();
    const trades = pushes(coinbase, 'market_trades');
    expect(trades.map(({ events, sequence_num: n }) => [events[0].type, n])).toEqual([
      ['snapshot', 1],
      ['snapshot', 1],
    ]);
    expect(ethgas.ended).toBe(CLOSE.slow);
  });
});

describe('what a reader gets first', () => {
  const levels = (count: number): BookLevel[] =>
    Array.from({ length: count }, (_, n) => ['bid', String(1_000_000 - n), `${n}.00000001`]);

  test('a book larger than the hard limit opens a stream, and the next one waits for it to leave', async () => {
    const { open, publish } = kit({ backlog: { soft: 10_000, hard: 50_000 } });
    for (const key of ['BTC-USD', 'ETH-USD'])
      publish(draft('level2', key, { reset: true, levels: levels(5000) }));
    const line = open();
    line.sink.stalled = true;
    line.send({ type: 'subscribe', channel: 'level2', product_ids: ['BTC-USD', 'ETH-USD'] });
    await settle();
    expect(pushes(line, 'l2_data')).toHaveLength(1);
    expect(line.said[0]?.length).toBeGreaterThan(500_000);
    publish(draft('level2', 'BTC-USD', { levels: [['bid', '7', '1']] }));
    line.sink.drain();
    await settle();
    publish(draft('level2', 'ETH-USD', { levels: [['bid', '7', '1']] }));
    expect(heard(line).map(({ channel, sequence_num: n }) => [channel, n])).toEqual([
      ['l2_data', 1],
      ['l2_data', 1],
      ['subscriptions', 0],
      ['l2_data', 2],
      ['l2_data', 2],
    ]);
    expect(line.ended).toBeNull();
  });

  test('where frames are numbered per connection, none is skipped, doubled or overtaken', async () => {
    const { open, publish } = kit({ sequence: 'connection', backlog: { soft: 5000, hard: 400_000 } });
    const products = ['BTC-USD', 'ETH-USD', 'SOL-USD'];
    for (const key of products) {
      publish(draft('ticker', key, { tickers: [{ product_id: key }] }));
      publish(draft('level2', key, { reset: true, levels: levels(200) }));
    }
    const line = open();
    line.send({ type: 'subscribe', channel: 'ticker', product_ids: products });
    await settle();
    line.sink.stalled = true;
    line.send({ type: 'subscribe', channel: 'level2', product_ids: products });
    for (let n = 0; n < 20; n += 1) {
      for (const key of products) {
        publish(draft('ticker', key, { tickers: [{ product_id: key, n }] }));
        publish(draft('level2', key, { levels: [['bid', '7', String(n)]] }));
      }
      if (n % 5 === 4) {
        line.sink.drain();
        line.sink.stalled = n < 15;
      }
      await settle();
    }
    const numbers = heard(line).map(({ sequence_num: n }) => n);
    expect(numbers).toEqual(numbers.map((_, n) => n));
    expect(numbers.length).toBeGreaterThan(20);
  });

  test('a private opening that waits for room is not sent once the right to it is gone', async () => {
    const { open, publish, clock } = kit({ backlog: { soft: 500, hard: 100_000 } });
    publish(draft('accountPositionUpdate', `${MARKET}/11`, { secret: 1 }, { item: 'x' }));
    publish(draft('recentTradeUpdate', MARKET, { filler: 'x'.repeat(2000) }));
    const line = open();
    line.send(login('ada'));
    await settle();
    line.sink.stalled = true;
    line.send(subscribe(wants('recentTradeUpdate'), 3));
    line.send(subscribe(wants('accountPositionUpdate'), 4));
    await settle();
    clock.advance(10_500);
    line.sink.drain();
    await settle();
    expect(pushes(line, 'accountPositionUpdate')).toEqual([]);
    expect(heard(line).at(-1)).toMatchObject({ event: 'error', id: 4 });
  });
});

describe('a broker that is slow or away', () => {
  function slowly(): { wrap: (broker: Broker) => Broker; answers: (() => void)[]; fails: { now: boolean } } {
    const answers: (() => void)[] = [];
    const fails = { now: false };
    const wrap = (broker: Broker): Broker => ({
      ...broker,
      history: (stream, since) =>
        new Promise<History>((resolve, reject) => {
          const failing = fails.now;
          answers.push(() => (failing ? reject(new Error('away')) : resolve(broker.history(stream, since))));
        }),
    });
    return { wrap, answers, fails };
  }

  test('permission lost while history is read: nothing is joined, and the reader is told', async () => {
    const { wrap, answers } = slowly();
    const made = kit({
      wrap,
      principal: async (userId, credential) => principalOf(userId, credential, ['market_data']),
    });
    const line = made.open();
    line.send(login('ada'));
    line.send(subscribe(wants(ORDERS)));
    await settle();
    await made.change('user-changed', '1');
    for (const answer of answers) answer();
    await settle();
    made.publish(order(11, 1));
    expect(heard(line).map(({ event }) => event)).toEqual(['login', 'error']);
    expect(made.hub.stats().subscriptions).toBe(0);
  });

  test('a stream that could not be read is not held, so that asking again works', async () => {
    const { wrap, answers, fails } = slowly();
    const { open, hub } = kit({ wrap });
    const line = open();
    fails.now = true;
    line.send(subscribe(wants('recentTradeUpdate'), 1));
    for (const answer of answers.splice(0)) answer();
    await settle();
    expect(heard(line).at(-1)).toMatchObject({ event: 'error', code: 9999, id: 1 });
    expect([line.connection.subscriptions, hub.stats().subscriptions]).toEqual([0, 0]);
    fails.now = false;
    line.send(subscribe(wants('recentTradeUpdate'), 2));
    for (const answer of answers.splice(0)) answer();
    await settle();
    expect(heard(line).at(-1)).toMatchObject({ event: 'subscribe', id: 2 });
  });

  test('a connection that closes while it joins leaves nothing behind', async () => {
    const { wrap, answers } = slowly();
    const { open, hub, registry } = kit({ wrap });
    const line = open();
    line.send(login('ada'));
    line.send(subscribe(wants(ORDERS)));
    await settle();
    line.connection.gone();
    for (const answer of answers) answer();
    await settle();
    expect([hub.stats().subscriptions, registry.size]).toEqual([0, 0]);
  });
});

test('a private answer of the venue is for whoever may still see it when it comes', async () => {
  let answer: ((payload: object) => void) | undefined;
  const made = kit({
    query: () =>
      new Promise((resolve) => {
        answer = resolve as (payload: object) => void;
      }),
    principal: async (userId, credential) => principalOf(userId, credential, ['market_data']),
  });
  const line = made.open();
  line.send(login('ada'));
  line.send({ op: 'query', args: [{ queryType: 'openOrders' }], id: 8 });
  await settle();
  await made.change('user-changed', '1');
  answer?.({ secret: 1 });
  await settle();
  expect(heard(line).at(-1)).toMatchObject({ event: 'error', code: 2, id: 8 });
  expect(line.said.join('')).not.toContain('secret');
});
