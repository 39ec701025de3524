/** Every fault as a client sees it: a real gateway, real sockets, and time that the test moves. */
import { once } from 'node:events';
import { ERRORS } from '@countersign/protocol';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { createFakeClock, type FakeClock } from '../../../testkit/src/fake-clock.ts';
import { startTestGateway, type TestGateway } from '../../../testkit/src/in-process-gateway.ts';
import { createLog } from '../../src/operations/log.ts';

// biome-ignore lint/suspicious/noExplicitAny: frames are looked into freely by tests
type Frame = any;

let clock: FakeClock;
let open: TestGateway;
const logged: Frame[] = [];
beforeAll(async () => {
  clock = createFakeClock();
  const log = createLog({
    level: 'info',
    destination: { write: (line: string) => void logged.push(JSON.parse(line)) },
  });
  // Nothing here shall end for idleness or silence while the test moves the time.
  const beforeLogin = { messages: 1000, bytes: 1_000_000 };
  const websocket = { pingInterval: 300, loginDeadline: 300, beforeLogin };
  const coinbase = { firstSubscribe: 300 };
  open = await startTestGateway({ sandbox: { faults: true }, websocket, coinbase }, { clock, log });
});
afterAll(() => open.close());

/** Lets time pass second by second, so that what the gateway asks of its store meanwhile is answered in time. */
async function pass(ms: number): Promise<void> {
  for (let left = ms; left > 0; left -= 1000) {
    clock.advance(Math.min(left, 1000));
    await new Promise(setImmediate);
  }
}

interface Client {
  /** Parsed frames in order; texts that are no JSON as they are. */
  frames: Frame[];
  closed: { code: number; reason: string } | null;
  send(message: object | string): void;
  /** Resolves to the first frame, past or to come, that passes. */
  next(test: (frame: Frame) => boolean): Promise<Frame>;
  /** Resolves once everything that the gateway has sent so far is here: a protocol ping passes no frame. */
  settled(): Promise<void>;
  ended: Promise<{ code: number; reason: string }>;
}

const sockets: WebSocket[] = [];
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.terminate();
});

async function connect(faults: string, seed = '7', gateway = open): Promise<Client> {
  const query = new URLSearchParams({ faults, seed });
  const socket = new WebSocket(`${gateway.urls.websocket}?${faults === '' ? '' : query}`);
  sockets.push(socket);
  const waiting = new Set<() => void>();
  const look = () => {
    for (const each of [...waiting]) each();
  };
  const client: Client = {
    frames: [],
    closed: null,
    send: (message) => socket.send(typeof message === 'string' ? message : JSON.stringify(message)),
    next: (test) =>
      new Promise((resolve) => {
        const check = () => {
          const found = client.frames.find(test);
          if (found === undefined) return;
          waiting.delete(check);
          resolve(found);
        };
        waiting.add(check);
        check();
      }),
    async settled() {
      const answered = once(socket, 'pong');
      // Twice: what an outbox flushes in the next turn of the loop is behind the first one.
      socket.ping();
      await answered;
      const again = once(socket, 'pong');
      socket.ping();
      await again;
    },
    ended: once(socket, 'close').then(([code, reason]) => ({ code: Number(code), reason: String(reason) })),
  };
  socket.on('message', (data) => {
    const text = String(data);
    client.frames.push(text.startsWith('{') ? JSON.parse(text) : text);
    look();
  });
  await once(socket, 'open');
  return client;
}

let trades = 0;
const PRODUCT = 'ETH-USD';
/** Publishes trades numbered in one series. @returns the numbers */
async function publish(count: number): Promise<number[]> {
  const numbers = Array.from({ length: count }, () => ++trades);
  await open.publish(
    ...numbers.map((n) => ({
      channel: 'market_trades',
      key: PRODUCT,
      data: {
        trades: [
          {
            trade_id: String(n),
            product_id: PRODUCT,
            price: '1',
            size: '1',
            side: 'BUY',
            time: '2026-01-01T00:00:00Z',
          },
        ],
      },
    })),
  );
  return numbers;
}

/** The numbers of the trades that came as updates. */
const received = (client: Client): number[] =>
  client.frames
    .filter(({ channel, events }) => channel === 'market_trades' && events[0].type === 'update')
    .flatMap(({ events }) => events[0].trades.map((trade: Frame) => Number(trade.trade_id)));

async function follow(faults: string, seed?: string): Promise<Client> {
  if (trades === 0) await publish(1);
  const client = await connect(faults, seed);
  client.send({ type: 'subscribe', channel: 'market_trades', product_ids: [PRODUCT] });
  await client.next(({ channel }) => channel === 'subscriptions');
  return client;
}

describe('stream frames of one connection', () => {
  it.each(['drop:0.3', 'duplicate:0.3', 'reorder:0.3', 'gap:0.1'])(
    '%s: a client with the same seed sees the same, and one without faults sees all',
    async (faults) => {
      const [one, two, whole] = [await follow(faults), await follow(faults), await follow('')];
      const numbers = await publish(100);
      await whole.next(() => received(whole).length === numbers.length);
      // A frame that was to be overtaken and found nobody.
      await pass(1000);
      await Promise.all([one.settled(), two.settled()]);
      expect(received(whole)).toEqual(numbers);
      expect(received(one)).not.toEqual(numbers);
      expect(received(one)).toEqual(received(two));
      const there = new Set(received(one));
      const sorted = [...received(one)].sort((a, b) => a - b);
      const [kind] = faults.split(':');
      if (kind === 'drop' || kind === 'gap') {
        expect(there.size).toBeLessThan(100);
        expect(received(one)).toEqual(sorted);
      } else {
        expect(there.size).toBe(100);
        if (kind === 'duplicate') expect(received(one)).toEqual(sorted);
        else expect(received(one)).not.toEqual(sorted);
      }
      if (kind === 'gap') {
        const lost = numbers.filter((n) => !there.has(n));
        expect(lost.some((n) => lost.includes(n + 1))).toBe(true);
      }
    },
  );

  it('shows a gap as the sequence numbers that the words of the venue promise to be without one', async () => {
    const client = await follow('drop:0.2');
    await publish(50);
    await client.settled();
    const sequences = client.frames
      .filter(({ channel, events }) => channel === 'market_trades' && events[0].type === 'update')
      .map(({ sequence_num }) => sequence_num as number);
    expect(sequences.some((sequence, i) => i > 0 && sequence > (sequences[i - 1] ?? 0) + 1)).toBe(true);
  });
});

describe('time on one connection', () => {
  it('delay: frames and answers come so many milliseconds late', async () => {
    const client = await connect('delay:50-80');
    client.send('ping');
    await client.settled();
    await pass(49);
    await client.settled();
    expect(client.frames).toEqual([]);
    await pass(31);
    await client.next((frame) => frame === 'pong');
  });

  it('freeze: nothing comes while it lasts, the socket stays, and then everything does', async () => {
    const client = await follow('freeze:20-25');
    const before = await publish(2);
    await client.next(() => received(client).length === 2);
    await pass(20_000);
    const during = await publish(3);
    await pass(4_999);
    await client.settled();
    expect(received(client)).toEqual(before);
    await pass(1);
    await client.next(() => received(client).length === 5);
    expect(received(client)).toEqual([...before, ...during]);
  });

  it('close: the connection is closed with the code at its time, not before', async () => {
    const client = await connect('close:1012@45');
    await pass(44_999);
    await client.settled();
    await pass(1);
    expect(await client.ended).toEqual({ code: 1012, reason: 'fault' });
  });
});

describe('access on one connection', () => {
  const LEEWAY = 60_000;
  const order = (n: number) => ({
    channel: 'accountOrderUpdate',
    key: 'inclusionPreconf',
    data: { o: n },
  });
  const isOrder = (n: number) => (frame: Frame) => JSON.stringify(frame).includes(`"o":${n}`);

  async function signIn(faults: string) {
    const { accessToken, userId } = await open.logIn(0);
    const client = await connect(faults);
    const login = async (id: number) => {
      client.send({ op: 'login', id, args: [{ accessToken }] });
      return client.next((frame) => frame.id === id);
    };
    await login(1);
    client.send({
      op: 'subscribe',
      id: 2,
      args: [{ channel: 'accountOrderUpdate', marketType: 'inclusionPreconf' }],
    });
    await client.next(({ event }) => event === 'subscribe');
    await open.sendEvent(userId, order(1));
    await client.next(isOrder(1));
    return { client, userId, login, accessToken };
  }

  it('expire: the client is told, private pushes stop, and a new login brings what was missed', async () => {
    const { client, userId, login } = await signIn('expire:30');
    await pass(29_500);
    await client.settled();
    expect(client.frames.some((frame) => JSON.stringify(frame).includes('token_expired'))).toBe(false);
    await pass(750);
    await client.next((frame) => JSON.stringify(frame).includes('token_expired'));
    await pass(LEEWAY);
    await open.sendEvent(userId, order(2));
    await client.settled();
    expect(client.frames.some(isOrder(2))).toBe(false);
    // The token itself is good for an hour: only the connection was told otherwise.
    await login(3);
    await client.next(isOrder(2));
    await pass(60_000);
    await open.sendEvent(userId, order(3));
    await client.next(isOrder(3));
  });

  it('revoke: the connection ends as by a revocation, and the session lives on', async () => {
    const { client, accessToken } = await signIn('revoke:60');
    await pass(59_999);
    await client.settled();
    await pass(1);
    expect((await client.ended).code).toBe(4000);
    const headers = { authorization: `Bearer ${accessToken}` };
    expect((await fetch(`${open.urls.rest}/v1/user/info`, { headers })).status).toBe(200);
  });

  it('429: a request is answered that there were too many, in either dialect, and has no effect', async () => {
    const ethgas = await connect('429:1');
    const args = [{ channel: 'tickerUpdate', marketType: 'inclusionPreconf' }];
    ethgas.send({ op: 'subscribe', id: 9, args });
    await ethgas.next(({ id, code }) => id === 9 && code === ERRORS.rate_limited.errorCode);
    ethgas.send('ping');
    await ethgas.next((frame) => frame === 'pong');

    const coinbase = await connect('429:1');
    coinbase.send({ type: 'subscribe', channel: 'market_trades', product_ids: [PRODUCT] });
    const refusal = await coinbase.next(({ type }) => type === 'error');
    expect(refusal.message).toMatch(/rate/i);
    await publish(3);
    await coinbase.settled();
    expect(received(coinbase)).toEqual([]);
  });

  it('429: only about as many as asked for', async () => {
    const client = await connect('429:0.5');
    for (let id = 1; id <= 60; id += 1) {
      client.send({ op: 'query', id, args: [{ queryType: 'currentSlot' }] });
    }
    await client.next(() => client.frames.length === 60);
    // The others were carried out, and found no venue behind this gateway.
    const limited = client.frames.filter(({ code }) => code === ERRORS.rate_limited.errorCode).length;
    expect(limited).toBeGreaterThan(15);
    expect(limited).toBeLessThan(45);
  });
});

describe('who may ask for faults', () => {
  const upgrade = async (gateway: TestGateway, query: string) => {
    const socket = new WebSocket(`${gateway.urls.websocket}?${query}`);
    const [, response] = (await once(socket, 'unexpected-response')) as [unknown, Frame];
    let text = '';
    for await (const chunk of response) text += chunk;
    return { status: response.statusCode, body: JSON.parse(text) };
  };

  it('is everyone at a sandbox, and a line in the log says which faults and which seed', async () => {
    logged.length = 0;
    await connect('drop:0.01,delay:1', 'abc');
    const lines = logged.filter(({ event }) => event === 'faults');
    expect(lines).toMatchObject([
      { faults: 'drop:0.01,delay:1', seed: 'abc', connectionId: expect.any(String) },
    ]);
    await connect('none');
    await connect('');
    expect(logged.filter(({ event }) => event === 'faults')).toHaveLength(1);
  });

  it('is told what is wrong with the words', async () => {
    expect(await upgrade(open, 'faults=drop:2')).toMatchObject({
      status: 400,
      body: { success: false, message: 'faults: drop: "2" must be a probability above 0, up to 1.' },
    });
    expect((await upgrade(open, 'faults=drop:0.1&seed=a%20b')).body.message).toContain('seed');
  });

  it('is nobody elsewhere', async () => {
    await using other = await startTestGateway();
    const answer = await upgrade(other, 'faults=drop:0.1');
    expect([answer.status, answer.body.message]).toEqual([
      403,
      'faults: this gateway is no sandbox and makes no faults.',
    ]);
    expect((await connect('', '', other)).closed).toBeNull();
  });

  it('may be everyone without asking, and then whoever names faults has those, or none', async () => {
    await using all = await startTestGateway({
      sandbox: { faults: true, everywhere: 'close:3999@0.01', seed: '5' },
    });
    expect((await (await connect('', '', all)).ended).code).toBe(3999);
    expect((await (await connect('close:3998@0.01', '1', all)).ended).code).toBe(3998);
    const spared = await connect('none', '1', all);
    spared.send('ping');
    await spared.next((frame) => frame === 'pong');
  });

  it('is refused in the settings when the words are wrong or the gateway is no sandbox', async () => {
    const start = (sandbox: object) => startTestGateway({ sandbox });
    await expect(start({ faults: true, everywhere: 'drop:9' })).rejects.toThrow(
      'sandbox.everywhere: drop: "9" must be',
    );
    await expect(start({ everywhere: 'drop:0.1' })).rejects.toThrow('sandbox.faults');
    await expect(start({ faults: true, seed: 'a b' })).rejects.toThrow('sandbox.seed');
  });
});
