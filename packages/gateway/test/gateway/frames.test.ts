import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestGateway, type TestGateway } from '../../../testkit/src/index.ts';
import { closeAll, connectTo, openRaw, subscribeOn } from './socket.ts';

let gateway: TestGateway;
let url: string;

beforeAll(async () => {
  gateway = await startTestGateway({
    websocket: {
      messagesPerSecond: 10,
      messageBurst: 40,
      // What is looked at here is bytes and words, by whoever they come from.
      beforeLogin: { messages: 1000, bytes: 1_000_000 },
    },
  });
  url = gateway.urls.websocket;
});
afterAll(async () => {
  closeAll();
  await gateway.close();
});

const TEXT = 0x81;
const LIMIT = 64 * 1024;

describe('bytes that break the rules of RFC 6455', () => {
  test('a message of 64 KiB is read, and one byte more closes with 1009', async () => {
    const message = (size: number) => `{"op":"ping","id":1,"x":"${'x'.repeat(size - 27)}"}`;
    const client = await connectTo(url);
    client.send(message(LIMIT));
    expect(await client.hear(({ id }) => id === 1)).toMatchObject({ event: 'pong' });
    client.send(message(LIMIT + 1));
    expect((await client.closed).code).toBe(1009);
  });

  test('a length of 2^63 - 1 that is only declared closes with 1009 before anything is kept', async () => {
    const raw = await openRaw(url);
    raw.socket.write(Buffer.from([TEXT, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4]));
    expect([1009, 1002]).toContain(await raw.closeCode());
  });

  test('64 fragments make a message, and more close with 1008', async () => {
    const client = await connectTo(url);
    const text = '{"op":"ping","id":"whole"}'.padEnd(64, ' ');
    for (let i = 0; i < 64; i += 1) client.socket.send(text[i] ?? '', { fin: i === 63 });
    expect(await client.hear(({ id }) => id === 'whole')).toMatchObject({ event: 'pong' });
    const raw = await openRaw(url);
    raw.frame(0x01, ' ');
    for (let i = 0; i < 70; i += 1) raw.frame(0x00, ' ');
    expect([1008, 1009]).toContain(await raw.closeCode());
    client.close();
  });

  test('21,000 fragments of one byte do not cost memory', async () => {
    const before = process.memoryUsage().arrayBuffers;
    const raw = await openRaw(url);
    raw.frame(0x01, ' ');
    for (let i = 0; i < 21_000 && !raw.socket.destroyed; i += 1) raw.frame(0x00, ' ');
    expect([1008, 1009, null]).toContain(await raw.closeCode());
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(10_000_000);
  });

  test.each<[string, number, (raw: Awaited<ReturnType<typeof openRaw>>) => void]>([
    [
      'text that is not UTF-8',
      1007,
      (raw) => raw.frame(TEXT, Buffer.from([0xce, 0xba, 0xe1, 0xbd, 0xb9, 0xcf, 0x80, 0xed, 0xa0, 0x80])),
    ],
    ['a surrogate', 1007, (raw) => raw.frame(TEXT, Buffer.from([0xed, 0xa0, 0x80]))],
    ['a frame without a mask', 1002, (raw) => raw.frame(TEXT, '{}', { masked: false })],
    ['reserved bit 1', 1002, (raw) => raw.frame(0xc1, '{}')],
    ['reserved bit 2', 1002, (raw) => raw.frame(0xa1, '{}')],
    ['reserved bit 3', 1002, (raw) => raw.frame(0x91, '{}')],
    ['a reserved opcode', 1002, (raw) => raw.frame(0x83, '{}')],
    ['a reserved control opcode', 1002, (raw) => raw.frame(0x8b, '')],
    ['a fragmented ping', 1002, (raw) => raw.frame(0x09, 'x')],
    ['a ping of 126 bytes', 1002, (raw) => raw.frame(0x89, 'x'.repeat(126))],
    ['a continuation of nothing', 1002, (raw) => raw.frame(0x80, 'x')],
    ['a close frame of one byte', 1002, (raw) => raw.frame(0x88, 'x')],
    ['a close code that nobody may send', 1002, (raw) => raw.frame(0x88, Buffer.from([0x03, 0xed]))],
  ])('%s closes with %i', async (_name, code, send) => {
    const raw = await openRaw(url);
    send(raw);
    expect(await raw.closeCode()).toBe(code);
  });

  test('more pings than anybody needs close with 1008', async () => {
    const raw = await openRaw(url);
    for (let i = 0; i < 30; i += 1) raw.frame(0x89, 'x');
    expect(await raw.closeCode()).toBe(1008);
  });

  test('a binary frame is read as the UTF-8 that it holds', async () => {
    const client = await connectTo(url);
    client.send(Buffer.from('{"op":"ping","id":"bytes"}'));
    expect(await client.hear(({ id }) => id === 'bytes')).toMatchObject({ event: 'pong' });
    client.send(Buffer.from([0xff, 0xfe, 0x00]));
    expect(await client.hear(({ event }) => event === 'error')).toMatchObject({ code: 1001 });
    client.close();
  });

  test('a peer that hangs up in the middle of a frame leaves nothing behind', async () => {
    const raw = await openRaw(url);
    raw.frame(TEXT, '{"op":', { length: 5000 });
    raw.socket.resetAndDestroy();
    const client = await connectTo(url);
    client.send('ping');
    expect(await client.hear((message) => message === 'pong')).toBe('pong');
    client.close();
  });
});

describe('words', () => {
  test('both phrasings are answered in kind, on one connection too', async () => {
    const client = await connectTo(url);
    client.send({ op: 'subscribe', args: [{ channel: 'tickerUpdate', marketType: 'wholeBlock' }], id: 1 });
    client.send({
      cmd: 'subscribe',
      data: { channel: 'recentTradeUpdate', marketType: 'wholeBlock' },
      id: 2,
    });
    expect(await client.hear(({ id }) => id === 1)).toMatchObject({ event: 'subscribe', code: 0 });
    expect(await client.hear(({ id }) => id === 2)).toMatchObject({ cmd: 'subscribe', status: 'success' });
    await gateway.publish({ channel: 'recentTradeUpdate', key: 'wholeBlock', data: { p: '1.5' } });
    expect(await client.hear(({ e }) => e === 'recentTradeUpdate')).toMatchObject({
      cmd: 'recentTradeUpdate',
      data: { p: '1.5' },
    });
    client.close();
  });

  test('the other dialect is spoken on the same address, and snapshots come before its answer', async () => {
    await gateway.publish({
      channel: 'level2',
      key: 'BTC-USD',
      data: { reset: true, levels: [['bid', '1', '2']] },
    });
    const client = await connectTo(url);
    client.send({ type: 'subscribe', channel: 'level2', product_ids: ['BTC-USD'] });
    await client.hear(({ channel }) => channel === 'subscriptions');
    expect(client.heard.map(({ channel }) => channel)).toEqual(['l2_data', 'subscriptions']);
    client.close();
  });

  test('what is missed while away is made up for', async () => {
    const arg = { channel: 'recentTradeUpdate', marketType: 'inclusionPreconf' };
    const publish = (n: number) =>
      gateway.publish({ channel: 'recentTradeUpdate', key: 'inclusionPreconf', data: { n } });
    const first = await connectTo(url);
    const { position } = await subscribeOn(first, arg, 1);
    first.close();
    await publish(1);
    await publish(2);
    const second = await connectTo(url);
    const ack = await subscribeOn(second, { ...arg, recover: position }, 2);
    expect(ack.recovered).toBe(true);
    await publish(3);
    await second.hear(({ P }) => P?.n === 3);
    expect(second.heard.filter(({ e }) => e).map(({ P }) => P.n)).toEqual([1, 2, 3]);
    const third = await connectTo(url);
    const lost = await subscribeOn(third, { ...arg, recover: { epoch: 'another', sequence: 1 } }, 3);
    expect(lost.recovered).toBe(false);
    second.close();
    third.close();
  });

  test('a flood is answered with 429 and then closed with 1008, and nobody else notices', async () => {
    const other = await connectTo(url);
    const flood = await connectTo(url);
    for (let id = 0; id < 200; id += 1) flood.send({ cmd: 'ping', id });
    expect((await flood.closed).code).toBe(1008);
    const refused = flood.heard.filter(({ error }) => error?.code === 429);
    expect(refused.length).toBeGreaterThan(20);
    expect(flood.heard.filter(({ cmd }) => cmd === 'pong').length).toBeGreaterThanOrEqual(40);
    other.send({ op: 'ping', id: 'still here' });
    await other.hear(({ id }) => id === 'still here');
    other.close();
  });
});
