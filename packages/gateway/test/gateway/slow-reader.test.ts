/** R63, D17: whoever does not read is cut or conflated in bounded memory, and nobody else notices. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestGateway, type TestGateway } from '../../../testkit/src/index.ts';
import { type Client, closeAll, connectTo, subscribeOn, until } from './socket.ts';

let gateway: TestGateway;

beforeAll(async () => {
  gateway = await startTestGateway();
});
afterAll(async () => {
  closeAll();
  await gateway.close();
});

const TRADES = { channel: 'recentTradeUpdate', marketType: 'wholeBlock' };
const TICKER = { channel: 'tickerUpdate', marketType: 'wholeBlock' };
const BATCH = 50;

const batch = (channel: string, from: number, filler: string) =>
  gateway.publish(
    ...Array.from({ length: BATCH }, (_, n) => ({
      channel,
      key: 'wholeBlock',
      ...(channel === 'tickerUpdate' ? { item: 'one' } : {}),
      data: { n: from + n, filler },
    })),
  );

/** Stops reading for real: the kernel's buffers fill up, and then the gateway's. */
const stop = ({ socket }: Client): void => socket.pause();

test('a log reader that stops is cut with 4101 after a bounded backlog; the others get everything, in order', async () => {
  const [slow, ...healthy] = await Promise.all([1, 2, 3, 4].map(() => connectTo(gateway.urls.websocket)));
  for (const client of [slow, ...healthy]) await subscribeOn(client as Client, TRADES, 1);
  stop(slow as Client);
  const before = process.memoryUsage().rss;
  const filler = 'x'.repeat(4000);
  let published = 0;
  const connections = async () => (await gateway.adminFetch('/connections')).body.data.total;
  // Kernel buffers on loopback take a few megabytes before anything piles up here.
  for (let round = 0; round < 100 && (await connections()) === 4; round += 1) {
    await batch('recentTradeUpdate', published, filler);
    published += BATCH;
    for (const client of healthy) await client.hear(({ P }) => P?.n === published - 1);
  }
  expect(await connections()).toBe(3);
  for (const { heard } of healthy) {
    const numbers = heard.filter(({ e }) => e === 'recentTradeUpdate').map(({ P }) => P.n);
    expect(numbers).toEqual(Array.from({ length: published }, (_, n) => n));
  }
  expect(process.memoryUsage().rss - before).toBeLessThan(400_000_000);
  (slow as Client).socket.resume();
  const end = await (slow as Client).closed;
  // What the kernel still held arrives, then the word that says recover, if the peer reads in time for it.
  expect([4101, 1006]).toContain(end.code);
  const heard = (slow as Client).heard.filter(({ e }) => e === 'recentTradeUpdate').map(({ P }) => P.n);
  expect(heard).toEqual(Array.from({ length: heard.length }, (_, n) => n));
  expect(heard.length).toBeLessThan(published);
  for (const client of healthy) client.close();
});

test('a latest reader that stops is kept, and gets the newest value when it reads again', async () => {
  const slow = await connectTo(gateway.urls.websocket);
  await subscribeOn(slow, TICKER, 1);
  stop(slow);
  const filler = 'x'.repeat(4000);
  let published = 0;
  for (let round = 0; round < 60; round += 1) {
    await batch('tickerUpdate', published, filler);
    published += BATCH;
  }
  slow.socket.resume();
  await slow.hear(({ P }) => P?.n === published - 1, 'the newest value');
  const numbers = slow.heard.filter(({ e }) => e === 'tickerUpdate').map(({ P }) => P.n);
  expect(numbers).toEqual([...numbers].sort((a, b) => a - b));
  expect(numbers.length).toBeLessThan(published);
  expect(slow.socket.readyState).toBe(1);
  slow.close();
  await until(
    async () => (await gateway.adminFetch('/connections')).body.data.total === 0,
    'an idle gateway',
  );
});
