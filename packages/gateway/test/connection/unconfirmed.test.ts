/** What a connection does while its node cannot know what was revoked (R47). */
import { Refusal } from '@countersign/protocol';
import { expect, test } from 'vitest';
import type { Proof } from '../../src/connection/services.ts';
import { createKit, draft, type Kit, type KitOptions, type Line, principalOf, START, settle } from './kit.ts';

const MARKET = 'inclusionPreconf';
const ORDERS = 'accountOrderUpdate';

function kit(options: Partial<KitOptions> = {}): Kit {
  const made: Kit = createKit({
    authenticate: (token) => {
      if (!made.confirmed) throw new Refusal('unavailable', 'the test says so');
      const credential =
        token === 'key'
          ? ({ kind: 'api-key', keyId: 'k1' } as const)
          : ({ kind: 'session', sid: token } as const);
      const expiresAt = token === 'short' ? START + 10_000 : null;
      return { principal: principalOf(1, credential), expiresAt, asOf: made.applied } satisfies Proof;
    },
    principal: async (userId, credential) => principalOf(userId, credential),
    ...options,
  });
  return made;
}

// biome-ignore lint/suspicious/noExplicitAny: messages are looked into freely
const heard = (line: Line): any[] => line.said.map((text) => JSON.parse(text));
const numbers = (line: Line) =>
  heard(line)
    .filter(({ e }) => e === ORDERS)
    .map(({ P }) => P.n);
const login = (token: string) => ({ op: 'login', args: [{ accessToken: token }], id: 1 });
const subscribe = (channel: string, id: number) => ({
  op: 'subscribe',
  args: [{ channel, marketType: MARKET }],
  id,
});
const order = (n: number) => draft(ORDERS, `${MARKET}/11`, { n });

async function reading(made: Kit, token = 'ada'): Promise<Line> {
  const line = made.open();
  line.send(login(token));
  line.send(subscribe(ORDERS, 2));
  line.send(subscribe('recentTradeUpdate', 3));
  await settle();
  return line;
}

async function confirm(made: Kit): Promise<void> {
  made.confirmed = true;
  made.clock.advance(250);
  await settle();
}

test('private streams rest within a tick and go on from where they were; public ones never stop', async () => {
  const made = kit();
  const line = await reading(made);
  made.publish(order(1));
  made.confirmed = false;
  made.clock.advance(250);
  made.publish(order(2), draft('recentTradeUpdate', MARKET, { n: 7 }));
  expect(numbers(line)).toEqual([1]);
  expect(heard(line).at(-1)).toMatchObject({ e: 'recentTradeUpdate', P: { n: 7 } });
  expect(heard(line).filter(({ event }) => event === 'access_unconfirmed')).toEqual([
    expect.objectContaining({ code: 9999, connId: 'c1' }),
  ]);
  made.clock.advance(60_000);
  await confirm(made);
  made.publish(order(3));
  expect(numbers(line)).toEqual([1, 2, 3]);
  expect(heard(line).filter(({ event }) => event === 'access_confirmed')).toHaveLength(1);
  expect(line.ended).toBeNull();
});

test('commands that need somebody signed in are refused as unavailable, others are carried out', async () => {
  const asked: string[] = [];
  const made = kit({
    query: async (name) => {
      asked.push(name);
      return {};
    },
  });
  const line = await reading(made);
  made.confirmed = false;
  made.clock.advance(250);
  line.send(subscribe('accountPositionUpdate', 10));
  line.send(login('ada'));
  line.send(subscribe('tickerUpdate', 12));
  line.send({ op: 'unsubscribe', args: [{ channel: ORDERS, marketType: MARKET }], id: 13 });
  await settle();
  const codes = heard(line)
    .filter(({ id, event }) => id >= 10 || (id === 1 && event === 'error'))
    .map(({ id, event, code }) => [id, event, code]);
  expect(codes).toEqual([
    [10, 'error', 9999],
    [1, 'error', 9999],
    [12, 'subscribe', 0],
    [13, 'unsubscribe', 0],
  ]);
  expect(asked).toEqual([]);
});

test('an answer that the venue was asked for before does not leave afterwards', async () => {
  let answer: (payload: object) => void = () => {};
  const made = kit({
    query: () => new Promise((resolve) => (answer = resolve as (payload: object) => void)),
  });
  const line = await reading(made);
  line.send({ op: 'query', args: [{ q: 'fundList' }], id: 20 });
  await settle();
  made.confirmed = false;
  made.clock.advance(250);
  answer({ secret: 1 });
  await settle();
  expect(JSON.stringify(heard(line))).not.toContain('secret');
});

test('what was revoked meanwhile ends before anything flows again', async () => {
  const made = kit();
  const line = await reading(made);
  made.confirmed = false;
  made.clock.advance(250);
  made.publish(order(1));
  await made.change('session-ended', 'ada');
  await confirm(made);
  expect(line.ended?.code).toBe(4000);
  expect(numbers(line)).toEqual([]);
});

test('a narrower right is looked up before anything flows again, however long that takes', async () => {
  const looked: (() => void)[] = [];
  const made = kit({
    principal: (userId, credential) =>
      new Promise((resolve) => looked.push(() => resolve(principalOf(userId, credential, ['market_data'])))),
  });
  const line = await reading(made);
  made.confirmed = false;
  made.clock.advance(250);
  made.publish(order(1));
  const told = made.change('user-changed', '1');
  made.confirmed = true;
  made.clock.advance(5000);
  await settle();
  expect(numbers(line)).toEqual([]);
  for (const answer of looked.splice(0)) answer();
  await told;
  await settle();
  expect(numbers(line)).toEqual([]);
  expect(heard(line).at(-1)).toMatchObject({ event: 'access_confirmed' });
  expect(heard(line).some(({ event, code }) => event === 'error' && code === 2)).toBe(true);
});

test('a token that expires meanwhile is told of, and what is private does not come back with the log', async () => {
  const made = kit();
  const line = await reading(made, 'short');
  made.confirmed = false;
  made.clock.advance(11_000);
  await confirm(made);
  made.publish(order(1));
  expect(heard(line).map(({ event }) => event)).toContain('token_expired');
  expect(numbers(line)).toEqual([]);
  line.send(login('ada'));
  await settle();
  expect(numbers(line)).toEqual([1]);
});

test('the cmd form has the notice in its own words, and coinbase as an error with its reason', async () => {
  const made = kit();
  const cmd = made.open();
  cmd.send({ cmd: 'login', args: { accessToken: 'ada' }, id: 1 });
  const coinbase = made.open();
  coinbase.send({ type: 'subscribe', channel: 'user', jwt: 'key' });
  const anonymous = made.open();
  anonymous.send({ type: 'subscribe', channel: 'market_trades', product_ids: ['BTC-USD'] });
  await settle();
  const before = anonymous.said.length;
  made.confirmed = false;
  made.clock.advance(250);
  expect(heard(cmd).at(-1)).toMatchObject({ cmd: 'access_unconfirmed' });
  expect(heard(coinbase).at(-1)).toMatchObject({
    type: 'error',
    message: 'service unavailable',
    reason: expect.stringMatching(/^access_unconfirmed: /),
  });
  await confirm(made);
  made.publish(draft('user', '1', { orders: [{ order_id: 'o', status: 'OPEN' }] }));
  expect(heard(cmd).at(-1)).toMatchObject({ cmd: 'access_confirmed' });
  expect(heard(coinbase).at(-1)).toMatchObject({ channel: 'user', events: [{ type: 'update' }] });
  expect(anonymous.said).toHaveLength(before);
});

test('a store that is back before the broker closes nobody: private streams rest until both are', async () => {
  let away = false;
  let gap = () => {};
  const refuse = () => Promise.reject(new Refusal('unavailable', 'the test says so'));
  const made = kit({
    wrap: (broker) => ({
      ...broker,
      onGap: (listener) => {
        gap = listener;
      },
      history: (...asked) => (away ? refuse() : broker.history(...asked)),
      head: (stream) => (away ? refuse() : broker.head(stream)),
    }),
  });
  const line = await reading(made);
  made.publish(order(1));
  made.confirmed = false;
  made.clock.advance(250);
  made.publish(order(2));
  away = true;
  gap();
  await settle();
  for (let look = 0; look < 20; look += 1) await confirm(made);
  expect(line.ended).toBeNull();
  expect(numbers(line)).toEqual([1]);
  expect(heard(line).some(({ event }) => event === 'access_confirmed')).toBe(false);
  away = false;
  gap();
  await settle();
  for (let look = 0; look < 20; look += 1) await confirm(made);
  made.publish(order(3));
  expect(numbers(line)).toEqual([1, 2, 3]);
  expect(heard(line).filter(({ event }) => event === 'access_confirmed')).toHaveLength(1);
  expect(line.ended).toBeNull();
});
