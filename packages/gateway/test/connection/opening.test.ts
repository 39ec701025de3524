import { describe, expect, test } from 'vitest';
import type { Broker, History } from '../../src/broker/broker.ts';
import type { BookLevel } from '../../src/streams/publication.ts';
import { draft, principalOf, settle } from './kit.ts';
import { heard, kit, login, MARKET, ORDERS, order, pushes, subscribe, wants } from './people.ts';

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
