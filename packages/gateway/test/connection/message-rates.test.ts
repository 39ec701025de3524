/** How often connections may speak: each for itself, or all of a user's together where the tier has a rate. */
import { expect, test } from 'vitest';
import type { RateOf } from '../../src/connection/message-rates.ts';
import type { Principal } from '../../src/session/principal.ts';
import { createKit, type Kit, type Line, principalOf, settle } from './kit.ts';

const TIERS: Record<string, { perSecond: number; burst: number } | null> = {
  free: { perSecond: 10, burst: 20 },
  pro: { perSecond: 100, burst: 200 },
  plain: null,
};
const rateOf: RateOf = ({ userId, tier }) => {
  const rate = TIERS[tier] ?? null;
  return rate === null ? null : { ...rate, payer: `${userId}/${tier}` };
};

function kit(state = { tier: 'free' }): Kit {
  const who = (userId: number): Principal => ({
    ...principalOf(userId, { kind: 'session', sid: `s${userId}` }),
    tier: state.tier,
  });
  const made: Kit = createKit({
    rateOf,
    limits: { messagesPerSecond: 5, messageBurst: 8 },
    authenticate: (token) => ({ principal: who(Number(token)), expiresAt: null, asOf: made.applied }),
    principal: async (userId) => who(userId),
  });
  return made;
}

const answers = (line: Line, from = 0): (string | number)[] =>
  line.said.slice(from).map((text) => {
    const { cmd, error } = JSON.parse(text);
    return error?.code ?? cmd;
  });
const count = (list: (string | number)[], what: string | number) => list.filter((one) => one === what).length;
const ping = (line: Line, times: number) => {
  for (let id = 0; id < times; id += 1) line.send({ cmd: 'ping', id });
};

async function signedIn(made: Kit, user: number): Promise<Line> {
  const line = made.open();
  line.send({ cmd: 'login', args: { accessToken: String(user) }, id: 'login' });
  await settle();
  return line;
}

test('an anonymous connection has the rate of connections for itself', async () => {
  const made = kit();
  for (const line of [made.open(), made.open()]) {
    ping(line, 10);
    await settle();
    expect(count(answers(line), 'pong')).toBe(8);
    expect(count(answers(line), 429)).toBe(2);
  }
});

test('all connections of a user share what the tier gives, and no other user pays for it', async () => {
  const made = kit();
  const [one, two, other] = [await signedIn(made, 1), await signedIn(made, 1), await signedIn(made, 2)];
  ping(one, 15);
  ping(two, 15);
  ping(other, 15);
  await settle();
  expect(count(answers(one), 'pong')).toBe(15);
  expect(count(answers(two), 'pong')).toBe(5);
  expect(count(answers(two), 429)).toBe(10);
  expect(count(answers(other), 'pong')).toBe(15);
  made.clock.advance(1000);
  ping(two, 15);
  await settle();
  expect(count(answers(two), 'pong')).toBe(15);
});

test('only the connection that does not listen to refusals is cut', async () => {
  const made = kit();
  const [flood, quiet] = [await signedIn(made, 1), await signedIn(made, 1)];
  ping(flood, 45);
  await settle();
  expect(flood.ended?.code).toBe(1008);
  ping(quiet, 1);
  expect(quiet.ended).toBeNull();
  expect(count(answers(quiet), 429)).toBe(1);
});

test('another tier counts from the next message on', async () => {
  const state = { tier: 'free' };
  const made = kit(state);
  const line = await signedIn(made, 1);
  ping(line, 25);
  await settle();
  expect(count(answers(line), 'pong')).toBe(20);
  state.tier = 'pro';
  await made.change('user-changed', '1');
  const before = line.said.length;
  ping(line, 150);
  await settle();
  expect(count(answers(line, before), 'pong')).toBe(150);
  state.tier = 'plain';
  await made.change('user-changed', '1');
  const then = line.said.length;
  ping(line, 10);
  await settle();
  expect(count(answers(line, then), 429)).toBeGreaterThan(0);
});

test('hanging up is no way to a new burst, and in time nothing is kept of who has gone', async () => {
  const made = kit();
  const first = await signedIn(made, 1);
  ping(first, 20);
  await settle();
  first.connection.gone();
  const second = await signedIn(made, 1);
  ping(second, 5);
  await settle();
  expect(count(answers(second), 429)).toBe(5);
  second.connection.gone();
  made.clock.advance(2000);
  const third = await signedIn(made, 1);
  ping(third, 20);
  await settle();
  expect(count(answers(third), 'pong')).toBe(20);
});
