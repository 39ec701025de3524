import { CLOSE } from '@countersign/protocol';
import { describe, expect, test } from 'vitest';
import type { Proof } from '../../src/connection/services.ts';
import type { Permission } from '../../src/session/principal.ts';
import { draft, type Kit, principalOf, START, settle } from './kit.ts';
import { heard, kit, login, MARKET, ORDERS, order, proofs, pushes, subscribe, wants } from './people.ts';

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
