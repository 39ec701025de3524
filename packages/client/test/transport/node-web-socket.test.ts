import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { WebSocketServer } from 'ws';
import { createFeed, ethgasDialect, type LinkState } from '../../src/index.ts';
import { NodeWebSocket } from '../../src/node.ts';

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function listen(
  refusals: number,
  retryAfter: string,
): Promise<{ url: string; upgrades: () => number }> {
  const http = createServer();
  const wss = new WebSocketServer({ noServer: true });
  let upgrades = 0;
  http.on('upgrade', (request, socket, head) => {
    upgrades += 1;
    if (upgrades > refusals) wss.handleUpgrade(request, socket, head, () => {});
    else
      socket.end(`HTTP/1.1 429 Too Many Requests\r\nRetry-After: ${retryAfter}\r\nContent-Length: 0\r\n\r\n`);
  });
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  closers.push(() => {
    for (const client of wss.clients) client.terminate();
    http.closeAllConnections();
    http.close();
  });
  return { url: `ws://127.0.0.1:${(http.address() as AddressInfo).port}`, upgrades: () => upgrades };
}

test('an upgrade that is refused with Retry-After is not repeated sooner', async () => {
  const { url, upgrades } = await listen(1, '1');
  const feed = createFeed({ url, dialect: ethgasDialect(), WebSocket: NodeWebSocket, random: () => 0 });
  closers.push(() => feed.close());
  const states: LinkState[] = [];
  const opened = new Promise<void>((resolve) => {
    feed.on('state', ({ state }) => {
      states.push(state);
      if (state.status === 'open') resolve();
    });
  });
  feed.open();
  await opened;
  const waiting = states.find((state) => state.status === 'waiting');
  expect(waiting).toMatchObject({ delay: 1000, drop: { why: 'refused', code: 1006 } });
  expect(upgrades()).toBe(2);
});

test('a port that nobody listens on is tried again and harms nobody', async () => {
  const feed = createFeed({
    url: 'ws://127.0.0.1:1',
    dialect: ethgasDialect(),
    WebSocket: NodeWebSocket,
    maxAttempts: 2,
    random: () => 0,
  });
  const subscription = feed.subscribe({ channel: 'tickerUpdate', market: 'wholeBlock' });
  await expect(subscription.ready).rejects.toMatchObject({ code: 'unreachable', remedy: 'retry' });
});
