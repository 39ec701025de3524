/** What becomes of open sockets when the key behind them changes (R25, R26): over real sockets and a real store. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestGateway, type TestGateway } from '../../../testkit/src/in-process-gateway.ts';
import { type Feed, type MadeKey, openFeed, requests } from './key-support.ts';

let open: TestGateway;
let http: ReturnType<typeof requests>;
let userId: number;
beforeAll(async () => {
  open = await startTestGateway();
  http = requests(open);
  ({ userId } = await open.logIn(0));
  await tick();
});
afterAll(() => open.close());

let events = 0;
/** A private event of the user, told apart by its number. */
const sendEvent = async (): Promise<number> => {
  events += 1;
  const order = { order_id: `order-${events}`, status: 'OPEN' };
  await open.sendEvent(userId, { channel: 'user', item: order.order_id, data: { orders: [order] } });
  return events;
};
const tick = () =>
  open.publish({
    channel: 'ticker',
    key: 'ETH-USD',
    data: { tickers: [{ product_id: 'ETH-USD', price: '1' }] },
  });
const isTicker = ({ channel }: { channel?: string }) => channel === 'ticker';
const mentions = (order: number) => (frame: object) => JSON.stringify(frame).includes(`"order-${order}"`);

/** A socket that reads a public channel and, with a token of the key, its owner's orders. */
async function follow(key: MadeKey): Promise<Feed> {
  const feed = await openFeed(open.urls.websocket);
  feed.send({ type: 'subscribe', channel: 'ticker', product_ids: ['ETH-USD'] });
  await feed.next(({ channel }) => channel === 'subscriptions');
  feed.send({ type: 'subscribe', channel: 'user', product_ids: [], jwt: http.sign(key) });
  await feed.next(
    ({ channel, events: sent }) => channel === 'subscriptions' && 'user' in sent[0].subscriptions,
  );
  await feed.next(mentions(await sendEvent()));
  return feed;
}

/** The public stream goes on, and the private one does not. */
async function expectNothingPrivate(feed: Feed): Promise<void> {
  const missed = await sendEvent();
  const before = feed.frames.length;
  await tick();
  await feed.next(isTicker);
  await tick();
  await feed.next(isTicker);
  expect(feed.frames.slice(before).filter(mentions(missed))).toEqual([]);
}

const patch = async (key: MadeKey, change: object) => {
  const { status, body } = await open.adminFetch(`/keys/${key.keyId}`, change, 'PATCH');
  expect([status, body.success]).toEqual([200, true]);
};

describe('an open socket, when its key', () => {
  it('loses the scope to view: the private stream ends, and the public one goes on', async () => {
    const key = await http.make(userId);
    const feed = await follow(key);
    await patch(key, { scopes: ['trade'] });
    await feed.next(({ type }) => type === 'error');
    await expectNothingPrivate(feed);
    feed.send({ type: 'subscribe', channel: 'user', jwt: http.sign(key) });
    expect(await feed.next(({ type }) => type === 'error')).toEqual({
      type: 'error',
      message: 'authentication failure',
    });
    feed.close();
  });

  it.each<[string, (key: MadeKey) => Promise<unknown>]>([
    ['is disabled', (key) => patch(key, { enabled: false })],
    ['is deleted', (key) => open.adminFetch(`/keys/${key.keyId}`, {}, 'DELETE')],
    ['may be used from other addresses only', (key) => patch(key, { allowedIps: ['10.9.8.7/32'] })],
    [
      'is rotated without overlap',
      (key) => open.adminFetch(`/keys/${key.keyId}/rotate`, { overlapSeconds: 0 }),
    ],
    ['is given an end that comes', (key) => patch(key, { expiresAt: Date.now() + 300 })],
  ])('%s: it is closed within two seconds, and nothing private arrives meanwhile', async (_what, change) => {
    const key = await http.make(userId);
    const other = await http.make(userId);
    const feed = await follow(key);
    const bystander = await follow(other);
    const started = performance.now();
    await change(key);
    expect(await feed.closed).toBeGreaterThanOrEqual(3000);
    expect(performance.now() - started).toBeLessThan(2000);
    const missed = await sendEvent();
    expect(feed.frames.filter(mentions(missed))).toEqual([]);
    await bystander.next(mentions(missed));
    bystander.close();

    const again = await openFeed(open.urls.websocket);
    again.send({ type: 'subscribe', channel: 'user', jwt: http.sign(key) });
    const refused = await again.next(({ type }) => type === 'error');
    again.close();
    expect(refused.message).toBe('authentication failure');
  });

  it('belongs to a user who is suspended: it is closed like every other of the user', async () => {
    const feeds = [await follow(await http.make(userId)), await follow(await http.make(userId))];
    await open.adminFetch(`/users/${userId}`, { status: 2 }, 'PATCH');
    await Promise.all(feeds.map(({ closed }) => closed));
    await open.adminFetch(`/users/${userId}`, { status: 1 }, 'PATCH');
  });

  it('is given more rights or another name: it goes on as if nothing had happened', async () => {
    const key = await http.make(userId, { scopes: ['view'] });
    const feed = await follow(key);
    await patch(key, { scopes: ['view', 'trade'], nickname: 'renamed', tier: 'pro' });
    await feed.next(mentions(await sendEvent()));
    expect(feed.frames.filter(({ type }) => type === 'error')).toEqual([]);
    feed.close();
  });

  it('takes effect on REST in the very next request, on a connection that is kept alive too', async () => {
    const key = await http.make(userId);
    const path = '/api/v1/user/keys';
    expect((await http.call(key, 'GET', path)).status).toBe(200);
    await patch(key, { scopes: ['trade'] });
    expect((await http.call(key, 'GET', path)).status).toBe(403);
    await patch(key, { enabled: false });
    expect((await http.call(key, 'GET', path)).status).toBe(401);
  });
});
