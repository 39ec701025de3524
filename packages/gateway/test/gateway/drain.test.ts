import { afterEach, expect, test } from 'vitest';
import { startTestGateway } from '../../../testkit/src/index.ts';
import { closeAll, connectTo, subscribeOn } from './socket.ts';

afterEach(closeAll);

test('a drain refuses new sockets, closes the others with 1012 over its window, and ends', async () => {
  const gateway = await startTestGateway({ drain: { window: 1 } });
  const { websocket } = gateway.urls;
  const clients = await Promise.all(Array.from({ length: 20 }, () => connectTo(websocket)));
  for (const client of clients) await subscribeOn(client, { channel: 'blockBuilderUpdate' }, 1);
  const started = performance.now();
  const drained = gateway.gateway.drain();
  const refused = await connectTo(websocket).catch((error) => error);
  expect(refused.status).toBe(503);
  const ends = await Promise.all(clients.map(({ closed }) => closed));
  expect(new Set(ends.map(({ code }) => code))).toEqual(new Set([1012]));
  expect(clients.map(({ heard }) => heard.at(-1)?.next)).toEqual(clients.map(() => 'recover'));
  const times = ends.map(({ at }) => at - started).sort((a, b) => a - b);
  // Spread: not all in one moment, and none long after the window.
  expect((times.at(-1) ?? 0) - (times[0] ?? 0)).toBeGreaterThan(500);
  expect(times.at(-1)).toBeLessThan(3000);
  await drained;
  await gateway.close();
});
