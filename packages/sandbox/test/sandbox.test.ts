import { afterEach, expect, test } from 'vitest';
import { slotTime } from '../src/ethgas/slots.ts';
import type { JsonObject, Publication } from '../src/publication.ts';
import { createSandbox, type Sandbox, type SandboxOptions } from '../src/sandbox.ts';
import { FakeClock } from './support/fake-clock.ts';
import { tinyGateway } from './support/gateway.ts';

const closing: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of closing.splice(0).reverse()) await each.close();
});

const START = slotTime(4_417_832) + 500;

async function setUp(options: SandboxOptions = {}) {
  const tiny = await tinyGateway();
  const clock = new FakeClock(START);
  const sandbox: Sandbox = await createSandbox({ clock, seed: 'e2e', ...options });
  closing.push(tiny, sandbox);
  return { tiny, clock, sandbox };
}

const identity = (claims: object): string =>
  `e30.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.c2ln`;
const ANN = { sub: '78', accounts: [{ accountId: 243, type: 2 }] };

async function record(seed: string): Promise<Publication[]> {
  const { tiny, clock, sandbox } = await setUp({ seed });
  await sandbox.start(tiny.gateway);
  let count = 0;
  for (let i = 0; i < 30; i++) {
    clock.advance(100);
    await tiny.until(() => tiny.all().length > count && tiny.all().at(-1)!.time >= START + i * 100);
    count = tiny.all().length;
  }
  return tiny.all();
}

test('two sandboxes with one seed and one clock publish the same over HTTP', async () => {
  const [one, two] = [await record('same'), await record('same')];
  const shared = Math.min(one.length, two.length);
  expect(shared).toBeGreaterThan(400);
  expect(one.slice(0, shared)).toEqual(two.slice(0, shared));
});

test('the venue is reachable before it knows a gateway, and publishes from its start on', async () => {
  const { tiny, clock, sandbox } = await setUp();
  const response = await fetch(`${sandbox.url}/api/v3/brokerage/time`);
  expect(await response.json()).toMatchObject({ epochMillis: String(START) });
  expect(tiny.state.attempts).toBe(0);
  await sandbox.start(tiny.gateway);
  clock.advance(100);
  await tiny.until(() => tiny.all().length > 0);
  expect(tiny.all()[0]).toMatchObject({ channel: 'level2', key: 'BTC-USD', data: { reset: true } });
  await expect(sandbox.start(tiny.gateway)).rejects.toThrow('started');
});

test('an order placed through REST reaches the user channel, fills against the book, and can be cancelled', async () => {
  const { tiny, clock, sandbox } = await setUp({ activity: 0 });
  await sandbox.start(tiny.gateway);
  const call = async (path: string, body: object) => {
    const headers = { 'x-countersign-identity': identity(ANN), 'content-type': 'application/json' };
    const response = await fetch(`${sandbox.url}/api/v3/brokerage${path}`, {
      method: 'POST',
      headers,
      body: JSON.stringify(body),
    });
    return (await response.json()) as JsonObject;
  };
  const bought = await call('/orders', {
    client_order_id: 'one',
    product_id: 'BTC-USD',
    side: 'BUY',
    order_configuration: { market_market_ioc: { quote_size: '100' } },
  });
  const rested = await call('/orders', {
    client_order_id: 'two',
    product_id: 'BTC-USD',
    side: 'BUY',
    order_configuration: { limit_limit_gtc: { base_size: '0.001', limit_price: '1000', post_only: true } },
  });
  expect(bought).toMatchObject({ success: true, success_response: { client_order_id: 'one', side: 'BUY' } });
  const id = (rested.success_response as JsonObject).order_id!;
  expect(await call('/orders/batch_cancel', { order_ids: [id, 'nonsense'] })).toEqual({
    results: [
      { success: true, failure_reason: 'UNKNOWN_CANCEL_FAILURE_REASON', order_id: id },
      { success: false, failure_reason: 'UNKNOWN_CANCEL_ORDER', order_id: 'nonsense' },
    ],
  });
  clock.advance(100);
  await tiny.until(() => tiny.all().some(({ channel }) => channel === 'user'));
  const orders = tiny
    .all()
    .filter(({ channel }) => channel === 'user')
    .map(({ key, data }) => [key, (data.orders as JsonObject[])[0]!] as const);
  expect(
    orders.map(([key, { client_order_id, status, product_id }]) => [
      key,
      client_order_id,
      status,
      product_id,
    ]),
  ).toEqual([
    ['78', 'one', 'FILLED', 'BTC-USD'],
    ['78', 'two', 'OPEN', 'BTC-USD'],
    ['78', 'two', 'CANCELLED', 'BTC-USD'],
  ]);
  expect(Number(orders[0]![1].filled_value)).toBeGreaterThan(99);
  expect(Number(orders[0]![1].filled_value)).toBeLessThanOrEqual(100);
});

test('users whom the gateway names get orders of their own', async () => {
  const { tiny, clock, sandbox } = await setUp({ activity: 100, rate: 1000 });
  tiny.state.principals = [{ userId: 78, address: '0x00', accounts: [{ accountId: 243, type: 2 }] }];
  await sandbox.start(tiny.gateway);
  for (let i = 0; i < 1000 && !tiny.all().some(({ channel }) => channel === 'accountOrderUpdate'); i++) {
    clock.advance(100);
    await tiny.until(() => (tiny.all().at(-1)?.time ?? 0) >= clock.now());
  }
  const own = tiny.all().find(({ channel }) => channel === 'accountOrderUpdate');
  expect(own!.key).toMatch(/^(inclusionPreconf|wholeBlock)\/243$/);
  expect(own!.data).toMatchObject({ a: 243, C: 78 });
});

test('close stops the timers and the service, also twice, also before the start', async () => {
  const { tiny, clock, sandbox } = await setUp();
  await sandbox.start(tiny.gateway);
  await Promise.all([sandbox.close(), sandbox.close()]);
  clock.advance(5000);
  expect(clock.pending).toBe(0);
  await expect(fetch(sandbox.url)).rejects.toThrow();
  const other = await createSandbox({ clock });
  await other.close();
  await expect(other.start(tiny.gateway)).rejects.toThrow('closed');
});

test.each([{ rate: -1 }, { rate: 1e9 }, { tick: 1 }, { activity: Number.NaN }])(
  '%j is refused',
  async (options) => {
    await expect(createSandbox(options)).rejects.toThrow(RangeError);
  },
);
