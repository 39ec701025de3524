/** The same faults on the Socket.IO door, for clients of the real library. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createFakeClock, type FakeClock } from '../../../testkit/src/fake-clock.ts';
import { createLog } from '../../src/operations/log.ts';
import { type Any, ask, type House, next, openHouse, pass, record, until } from '../socketio/kit.ts';

let clock: FakeClock;
let house: House;
const logged: Any[] = [];
beforeAll(async () => {
  clock = createFakeClock();
  const log = createLog({
    level: 'info',
    destination: { write: (line: string) => void logged.push(JSON.parse(line)) },
  });
  // Pings are the library's, by the machine's own clock: only what the gateway does is moved.
  house = await openHouse({ sandbox: { faults: true } }, { clock, log });
});
afterAll(() => house.close());

interface Following {
  client: Awaited<ReturnType<House['connected']>>;
  /** Numbers of the trades that came. */
  numbers: number[];
  /** Everything that was sent before this has come when it resolves: answers are never lost, and they queue up behind the rest. */
  settled(): Promise<unknown>;
}

let trades = 0;
async function publish(count: number): Promise<number[]> {
  const numbers = Array.from({ length: count }, () => ++trades);
  await house.publish(
    ...numbers.map((n) => ({
      channel: 'market_trades',
      key: 'ETH-USD',
      data: { trades: [{ trade_id: String(n) }] },
    })),
  );
  return numbers;
}

async function follow(faults: string, seed = '7', token?: string): Promise<Following> {
  if (trades === 0) await publish(1);
  const { secret } = await house.token();
  const client = await house.connected(token ?? secret, {
    ...(faults === '' ? {} : { query: { faults, seed } }),
  });
  const numbers: number[] = [];
  client.on('market_trades', ({ type, data }: Any) => {
    if (type === 'update') numbers.push(Number(data.trades[0].trade_id));
  });
  const settled = () => ask(client, 'unsubscribe', { channel: 'ticker', product: 'none' });
  expect(await ask(client, 'subscribe', { channel: 'market_trades', product: 'ETH-USD' })).toMatchObject({
    success: true,
  });
  return { client, numbers, settled };
}

describe('stream frames of one Socket.IO connection', () => {
  it.each(['drop:0.3', 'duplicate:0.3', 'reorder:0.3', 'gap:0.1'])(
    '%s: a client with the same seed sees the same, and one without faults sees all',
    async (faults) => {
      const [one, two, whole] = [await follow(faults), await follow(faults), await follow('')];
      const published = await publish(100);
      await until(() => whole.numbers.length === published.length);
      // A frame that was to be overtaken and found nobody.
      await pass(clock, 1000);
      await Promise.all([one.settled(), two.settled()]);
      expect(whole.numbers).toEqual(published);
      expect(one.numbers).not.toEqual(published);
      expect(one.numbers).toEqual(two.numbers);
      const there = new Set(one.numbers);
      if (faults.startsWith('drop') || faults.startsWith('gap')) expect(there.size).toBeLessThan(100);
      else expect(there.size).toBe(100);
    },
  );

  it('have the same fates for a seed in every version', async () => {
    const one = await follow('drop:0.3', 'abc');
    const published = await publish(60);
    await one.settled();
    // A change of the dice would change the runs of everyone who kept a seed.
    const lost = published.flatMap((n, i) => (one.numbers.includes(n) ? [] : [i]));
    expect(lost).toMatchInlineSnapshot(`
      [
        6,
        9,
        11,
        14,
        16,
        26,
        29,
        35,
        40,
        44,
        45,
        54,
      ]
    `);
  });
});

describe('time and access on one Socket.IO connection', () => {
  it('delay: answers and pushes come so many milliseconds late', async () => {
    const { secret } = await house.token();
    const client = await house.connected(secret, { query: { faults: 'delay:50-80', seed: '7' } });
    const seen: Any[] = [];
    const answer = ask(client, 'subscribe', { channel: 'market_trades', product: 'ETH-USD' });
    void answer.then((reply) => seen.push(reply));
    await until(() => logged.length > 0);
    await settledByAnother();
    clock.advance(49);
    await settledByAnother();
    expect(seen).toEqual([]);
    // Bounded by what was asked for: the answer was held at some time in between.
    await until(() => {
      clock.advance(10);
      return seen.length > 0;
    });
    expect(await answer).toMatchObject({ success: true });
  });

  it('freeze: nothing comes while it lasts, the connection stays, and then everything does', async () => {
    const one = await follow('freeze:20-25');
    const before = await publish(2);
    await until(() => one.numbers.length === 2);
    await pass(clock, 20_000);
    const during = await publish(3);
    await pass(clock, 4900);
    await settledByAnother();
    expect(one.numbers).toEqual(before);
    await pass(clock, 200);
    await until(() => one.numbers.length === 5);
    expect(one.numbers).toEqual([...before, ...during]);
    expect(one.client.connected).toBe(true);
  });

  it('close: the transport is closed at its time, with the code in a last word', async () => {
    const one = await follow('close:1012@45');
    const seen = record(one.client);
    const end = next(one.client, 'disconnect');
    await pass(clock, 44_000);
    await one.settled();
    expect(one.client.connected).toBe(true);
    await pass(clock, 1000);
    expect(await end).toBe('transport close');
    expect(seen).toContainEqual({
      event: 'closing',
      data: { code: 1012, message: 'fault', next: 'recover' },
    });
  });

  it('close with a code that says stop is a disconnect by the server, after which the library stays away', async () => {
    const one = await follow('close:4000@5');
    const end = next(one.client, 'disconnect');
    await pass(clock, 5000);
    expect(await end).toBe('io server disconnect');
  });

  it('expire: the client is told, and its connection ends when the leeway does, unless it logs in again', async () => {
    const { accessToken } = await house.logIn(0);
    const [one, two] = [
      await follow('expire:30', '7', accessToken),
      await follow('expire:30', '7', accessToken),
    ];
    const [told, alsoTold] = [next(one.client, 'token_expired'), next(two.client, 'token_expired')];
    const end = next(one.client, 'disconnect');
    await pass(clock, 31_000);
    expect(await told).toMatchObject({ code: 'UNAUTHORIZED' });
    await alsoTold;
    expect(await ask(two.client, 'login', { token: accessToken })).toMatchObject({ success: true });
    await pass(clock, 61_000);
    expect(await end).toBe('io server disconnect');
    const [number] = await publish(1);
    await until(() => two.numbers.includes(number!));
  });

  it('revoke: the connection ends as by a revocation, and its token lives on', async () => {
    const { secret } = await house.token();
    const one = await follow('revoke:60', '7', secret);
    const seen = record(one.client);
    const end = next(one.client, 'disconnect');
    await pass(clock, 60_000);
    expect(await end).toBe('io server disconnect');
    expect(seen.map(({ event }) => event)).toContain('unauthorized');
    await house.connected(secret);
  });

  it('429: a request is answered that there were too many, and is not carried out', async () => {
    const { secret } = await house.token();
    const client = await house.connected(secret, { query: { faults: '429:1' } });
    const before = house.venue.asked.length;
    for (const event of ['subscribe', '/evm/buy/quote']) {
      expect(await ask(client, event, { channel: 'market_trades', product: 'ETH-USD' })).toMatchObject({
        success: false,
        error: { code: 'RATE_LIMITED' },
      });
    }
    expect(house.venue.asked.length).toBe(before);
  });

  /** What the gateway has sent to anybody so far has arrived. */
  async function settledByAnother(): Promise<void> {
    const other = await follow('');
    await other.settled();
    other.client.disconnect();
  }
});

describe('who may ask for faults on Socket.IO', () => {
  const handshake = (of: House, query: string) =>
    fetch(`${of.urls.socketio}/socket.io/?EIO=4&transport=polling&${query}`);

  it('is whoever connects to a sandbox, by the query of the handshake, and the log says which and which seed', async () => {
    logged.length = 0;
    const { secret } = await house.token();
    await house.connected(secret, { query: { faults: 'drop:0.01', seed: 'abc' } });
    await house.connected(secret, { query: { faults: 'none' } });
    expect(logged.filter(({ event }) => event === 'faults')).toMatchObject([
      { faults: 'drop:0.01', seed: 'abc', connectionId: expect.any(String) },
    ]);
  });

  it('is told what is wrong with the words, before any token is looked at', async () => {
    await using sandbox = await openHouse({ sandbox: { faults: true }, socketio: { polling: true } });
    const answer = await handshake(sandbox, 'faults=drop:2');
    expect(answer.status).toBe(400);
    expect(JSON.stringify(await answer.json())).toContain('faults: drop: \\"2\\" must be a probability');
    const client = house.client((await house.token()).secret, { query: { faults: 'drop:2' } });
    const error = await new Promise<Any>((resolve) => client.once('connect_error', resolve));
    expect(error.data).toBeUndefined();
    expect(logged).toContainEqual(expect.objectContaining({ event: 'socketio.refused', reason: 'faults' }));
  });

  it('is nobody elsewhere, over either transport', async () => {
    await using other = await openHouse({ socketio: { polling: true } });
    expect((await handshake(other, 'faults=drop:0.1')).status).toBe(403);
    const { secret } = await other.token();
    const client = other.client(secret, { query: { faults: 'drop:0.1' } });
    await new Promise((resolve) => client.once('connect_error', resolve));
    await other.connected(secret);
  });

  it('may be everyone without asking', async () => {
    await using all = await openHouse({ sandbox: { faults: true, everywhere: 'close:3999@0.01' } });
    const { secret } = await all.token();
    expect(await next(await all.connected(secret), 'disconnect')).toBe('transport close');
    const spared = await all.connected(secret, { query: { faults: 'none' } });
    expect(await ask(spared, '/evm/buy/quote')).toMatchObject({ success: true });
  });
});
