import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Any, ask, type House, next, openHouse, record, until } from './kit.ts';

let house: House;
let secret: string;
beforeAll(async () => {
  house = await openHouse();
  ({ secret } = await house.token());
});
afterAll(() => house.close());

const trade = (product: string, id: number) => ({
  channel: 'market_trades',
  key: product,
  data: { trades: [{ trade_id: String(id) }] },
});
const book = (product: string, reset: boolean, ...levels: [string, string, string][]) => ({
  channel: 'level2',
  key: product,
  data: { ...(reset ? { reset } : {}), levels },
});

describe('a subscription', () => {
  it('is answered with where the stream is; pushes are events named like the channel, numbered without a gap', async () => {
    await house.publish(trade('AA-USD', 1));
    const client = await house.connected(secret);
    const seen = record(client);
    const { success, result } = await ask(client, 'subscribe', {
      channel: 'market_trades',
      product: 'AA-USD',
    });
    expect(success).toBe(true);
    expect(result).toEqual({
      channel: 'market_trades',
      key: 'AA-USD',
      position: { epoch: expect.any(String), sequence: 1 },
    });
    await house.publish(trade('AA-USD', 2), trade('AA-USD', 3));
    await until(() => seen.length === 3);
    expect(seen.map(({ event }) => event)).toEqual(Array(3).fill('market_trades'));
    expect(seen.map(({ data }) => [data.sequence, data.type])).toEqual([
      [1, 'snapshot'],
      [2, 'update'],
      [3, 'update'],
    ]);
    expect(seen[2]?.data).toEqual({
      channel: 'market_trades',
      key: 'AA-USD',
      sequence: 3,
      type: 'update',
      time: expect.any(Number),
      data: { trades: [{ trade_id: '3' }] },
    });
  });

  it('to a book begins with a snapshot, best levels first, and goes on with absolute quantities', async () => {
    await house.publish(book('BB-USD', true, ['bid', '9', '1'], ['bid', '10', '2'], ['ask', '11', '3']));
    const client = await house.connected(secret);
    const seen = record(client);
    await ask(client, 'subscribe', { channel: 'level2', key: 'BB-USD' });
    await house.publish(book('BB-USD', false, ['bid', '10', '0'], ['ask', '11', '5']));
    await until(() => seen.length === 2);
    expect(seen[0]?.data).toMatchObject({
      type: 'snapshot',
      epoch: expect.any(String),
      data: {
        bids: [
          ['10', '2'],
          ['9', '1'],
        ],
        asks: [['11', '3']],
      },
    });
    expect(seen[1]?.data).toMatchObject({
      type: 'update',
      sequence: 2,
      data: { bids: [['10', '0']], asks: [['11', '5']] },
    });
  });

  it('ends when it is told to, and only that one', async () => {
    await house.publish(trade('CC-USD', 1), trade('DD-USD', 1));
    const client = await house.connected(secret);
    for (const product of ['CC-USD', 'DD-USD'])
      await ask(client, 'subscribe', { channel: 'market_trades', product });
    expect(await ask(client, 'unsubscribe', { channel: 'market_trades', product: 'CC-USD' })).toEqual({
      success: true,
      result: { channel: 'market_trades', key: 'CC-USD' },
    });
    const seen = record(client);
    await house.publish(trade('CC-USD', 2), trade('DD-USD', 2));
    await until(() => seen.length > 0);
    expect(seen.map(({ data }) => data.key)).toEqual(['DD-USD']);
  });

  it.each<[string, object, RegExp]>([
    ['a channel that is not there', { channel: 'nope' }, /no channel "nope"/],
    ['no channel', {}, /"channel" is missing/],
    ['a product that is not there', { channel: 'ticker', product: 'XX-USD' }, /no stream "XX-USD"/],
    ['no product', { channel: 'ticker' }, /needs "product"/],
    ['a strange key', { channel: 'ticker', key: { a: 1 } }, /is a string/],
    ['a strange position', { channel: 'ticker', key: 'a', recover: 5 }, /"recover" is/],
  ])('to %s fails and says why', async (_, params, message) => {
    const client = await house.connected(secret);
    const reply = await ask(client, 'subscribe', params);
    expect(reply).toMatchObject({ success: false, error: { code: 'MISSING_PARAMETER' } });
    expect(reply.error.message).toMatch(message);
  });

  it('that is there already is no error', async () => {
    const client = await house.connected(secret);
    const want = { channel: 'tickerUpdate', marketType: 'wholeBlock' };
    expect(await ask(client, 'subscribe', want)).toMatchObject({ result: { position: { sequence: 0 } } });
    expect(await ask(client, 'subscribe', want)).toEqual({
      success: true,
      result: { channel: 'tickerUpdate', key: 'wholeBlock' },
    });
  });

  it('after a lost connection continues where it was: every trade once, in order', async () => {
    await house.publish(trade('EE-USD', 1));
    const client = await house.connected(secret, { reconnection: true, reconnectionDelay: 20 });
    const got: number[] = [];
    let place: Any = null;
    client.on('market_trades', ({ epoch, sequence, data }: Any) => {
      place = { epoch: epoch ?? place.epoch, sequence };
      got.push(Number(data.trades[0].trade_id));
    });
    await ask(client, 'subscribe', { channel: 'market_trades', product: 'EE-USD' });
    await house.publish(trade('EE-USD', 2));
    await until(() => got.length === 2);
    const back = next(client, 'connect');
    client.io.engine.close();
    await house.publish(trade('EE-USD', 3), trade('EE-USD', 4));
    await back;
    const reply = await ask(client, 'subscribe', {
      channel: 'market_trades',
      product: 'EE-USD',
      recover: place,
    });
    expect(reply.result.recovered).toBe(true);
    await house.publish(trade('EE-USD', 5));
    await until(() => got.length === 5);
    expect(got).toEqual([1, 2, 3, 4, 5]);
  });

  it('that cannot continue says so and begins with a snapshot', async () => {
    await house.publish(book('FF-USD', true, ['bid', '1', '1']));
    const client = await house.connected(secret);
    const seen = record(client);
    const reply = await ask(client, 'subscribe', {
      channel: 'level2',
      product: 'FF-USD',
      recover: { epoch: 'gone', sequence: 7 },
    });
    expect(reply.result.recovered).toBe(false);
    await until(() => seen.length === 1);
    expect(seen[0]?.data.type).toBe('snapshot');
  });
});

describe('private streams', () => {
  it('carry what happens to the user’s own accounts, by account', async () => {
    const mine = await house.token();
    const other = await house.token();
    const client = await house.connected(mine.secret);
    const stranger = await house.connected(other.secret);
    const [seen, unseen] = [record(client), record(stranger)];
    for (const one of [client, stranger]) {
      const want = { channel: 'accountOrderUpdate', marketType: 'wholeBlock' };
      expect(Object.keys((await ask(one, 'subscribe', want)).result.positions)).toHaveLength(2);
      expect(await ask(one, 'subscribe', { channel: 'user' })).toMatchObject({ success: true });
    }
    await house.sendEvent(mine.userId, {
      channel: 'accountOrderUpdate',
      key: 'wholeBlock',
      data: { id: 'o1' },
    });
    await house.sendEvent(mine.userId, { channel: 'user', data: { orders: [] } });
    await until(() => seen.length === 3);
    expect(seen.map(({ event }) => event).sort()).toEqual([
      'accountOrderUpdate',
      'accountOrderUpdate',
      'user',
    ]);
    expect(unseen).toEqual([]);
  });

  it('need the permission, and stop with it', async () => {
    const blind = await house.token({ permissions: ['market_data'] });
    const client = await house.connected(blind.secret);
    const want = { channel: 'accountOrderUpdate', marketType: 'wholeBlock' };
    expect(await ask(client, 'subscribe', want)).toMatchObject({ error: { code: 'UNAUTHORIZED' } });
    const path = `/handshake-tokens/${blind.tokenId}`;
    await house.adminFetch(path, { permissions: ['account_updates'] }, 'PATCH');
    expect(await ask(client, 'subscribe', want)).toMatchObject({ success: true });
    await house.adminFetch(path, { permissions: [] }, 'PATCH');
    const seen = record(client);
    await house.sendEvent(blind.userId, {
      channel: 'accountOrderUpdate',
      key: 'wholeBlock',
      data: { id: 'o1' },
    });
    await ask(client, 'subscribe', { channel: 'tickerUpdate', marketType: 'wholeBlock' });
    expect(seen.filter(({ data }) => data.channel !== undefined)).toEqual([]);
  });
});

describe('a slow reader', () => {
  it('of a log is cut off so that it comes back and recovers, and nobody else is held up', async () => {
    const small = await openHouse({ websocket: { softBacklog: 4096, hardBacklog: 16384 } });
    const token = await small.token();
    await small.publish(trade('GG-USD', 0));
    const slow = await small.connected(token.secret);
    const quick = await small.connected(token.secret);
    for (const one of [slow, quick])
      await ask(one, 'subscribe', { channel: 'market_trades', product: 'GG-USD' });
    let got = 0;
    quick.on('market_trades', () => {
      got += 1;
    });
    const lost = next(slow, 'disconnect');
    // The ws socket below stops reading.
    (slow.io.engine.transport as Any).ws._socket.pause();
    const filler = 'x'.repeat(20_000);
    let sent = 0;
    await until(async () => {
      await small.publish({ ...trade('GG-USD', sent), data: { trades: [], filler } });
      sent += 1;
      return (await small.adminFetch('/connections')).body.data.total === 1 || sent > 2000;
    });
    (slow.io.engine.transport as Any).ws._socket.resume();
    expect(await lost).toBe('transport close');
    await until(() => got === sent);
    await small.close();
  });
});
