import { afterEach, expect, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { silentLog } from '../../src/log.ts';
import type { Publication } from '../../src/publication.ts';
import { createPublisher, type Publisher } from '../../src/publishing/publisher.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { tinyGateway } from '../support/gateway.ts';

type Tiny = Awaited<ReturnType<typeof tinyGateway>>;

const closing: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of closing.splice(0).reverse()) await each.close();
});

const trade = (n: number): Publication => ({ channel: 'market_trades', key: 'A-B', time: n, data: { n } });
const book = (n: number): Publication => ({
  channel: 'level2',
  key: 'A-B',
  time: n,
  data: { levels: [['bid', '1', String(n)]] },
});
const ticker = (n: number): Publication => ({ channel: 'ticker', key: 'A-B', time: n, data: { n } });
const order = (n: number): Publication => ({ channel: 'user', key: '7', time: n, data: { n } });
const RESET: Publication = { channel: 'level2', key: 'A-B', time: 99, data: { reset: true, levels: [] } };
/** Retries at once: what waits is the network, not the test. */
const hasty = { ...systemClock, after: (_ms: number, task: () => void) => systemClock.after(0, task) };

async function setUp(port = 0) {
  const tiny = await tinyGateway(port);
  closing.push(tiny);
  const publisher = createPublisher({
    ...tiny.gateway,
    clock: hasty,
    log: silentLog,
    snapshot: () => [RESET],
  });
  closing.push(publisher);
  return { tiny, publisher };
}
const numbers = (list: Publication[], channel: string) =>
  list.filter((each) => each.channel === channel).map(({ data }) => data.n);

test('publications arrive in order, with the token, in few requests', async () => {
  const { tiny, publisher } = await setUp();
  for (let n = 0; n < 1200; n++) publisher.publish([trade(n)]);
  await tiny.until(() => tiny.all().length === 1200);
  expect(numbers(tiny.all(), 'market_trades')).toEqual([...Array(1200).keys()]);
  expect(tiny.batches.length).toBeLessThan(10);
  expect([...tiny.state.authorizations]).toEqual(['Bearer backend-token']);
  expect(new Set(tiny.batches.map(({ idempotencyKey }) => idempotencyKey)).size).toBe(tiny.batches.length);
});

test.each([[500], [503], [429], [401], [0]])(
  'after failure %i the same request is sent again, and then books are reset',
  async (failure) => {
    const { tiny, publisher } = await setUp();
    tiny.state.failures = [failure, failure];
    publisher.publish([book(1), trade(1)]);
    await tiny.until(() => tiny.state.attempts === 1);
    publisher.publish([trade(2), book(2), ticker(1), order(1), ticker(2), trade(3)]);
    await tiny.until(() => tiny.all().some(({ data }) => data.reset === true));
    expect(tiny.batches[0]!.publications).toEqual([book(1), trade(1)]);
    const rest = tiny.all().slice(2);
    expect(numbers(rest, 'market_trades')).toEqual([2, 3]);
    expect(numbers(rest, 'user')).toEqual([1]);
    expect(numbers(rest, 'ticker')).toEqual([2]);
    expect(rest.filter(({ channel }) => channel === 'level2')).toEqual([RESET]);
    publisher.publish([book(3)]);
    await tiny.until(() => tiny.all().at(-1)?.time === 3);
    expect(publisher.connected).toBe(true);
  },
);

test('a request whose answer was lost is repeated under the same idempotency key', async () => {
  const { tiny, publisher } = await setUp();
  tiny.state.failures = [-1];
  publisher.publish([trade(1)]);
  await tiny.until(() => tiny.batches.length >= 2);
  expect(tiny.batches[1]).toEqual(tiny.batches[0]);
});

test('publications that the gateway refuses are not sent for ever', async () => {
  const { tiny, publisher } = await setUp();
  tiny.state.failures = [400];
  publisher.publish([trade(1)]);
  await tiny.until(() => tiny.state.attempts === 1);
  publisher.publish([trade(2)]);
  await tiny.until(() => tiny.all().length === 1);
  expect(numbers(tiny.all(), 'market_trades')).toEqual([2]);
  expect(tiny.state.attempts).toBe(2);
});

test('a gateway that restarts gets the log of its absence, and books that start over', async () => {
  const first = await tinyGateway();
  let noticed = () => {};
  const absence = new Promise<void>((resolve) => {
    noticed = resolve;
  });
  const publisher: Publisher = createPublisher({
    ...first.gateway,
    clock: systemClock,
    log: { info() {}, warn: () => noticed() },
    snapshot: () => [RESET],
  });
  closing.push(publisher);
  publisher.publish([trade(1)]);
  await first.until(() => first.all().length === 1);
  await first.close();
  for (let n = 2; n <= 300; n++) publisher.publish([trade(n), book(n), ticker(n), order(n)]);
  await absence;
  expect(publisher.connected).toBe(false);
  const again = await tinyGateway(Number(new URL(first.gateway.internalUrl).port));
  closing.push(again);
  await again.until(() => again.all().some(({ data }) => data.reset === true));
  const wanted = Array.from({ length: 299 }, (_, i) => i + 2);
  expect(numbers(again.all(), 'market_trades')).toEqual(wanted);
  expect(numbers(again.all(), 'user')).toEqual(wanted);
  expect(numbers(again.all(), 'ticker').at(-1)).toBe(300);
  expect(again.all().at(-1)).toEqual(RESET);
});

test('a gateway that restarted between two requests is told everything once', async () => {
  const { tiny, publisher } = await setUp();
  const resets = () => tiny.all().filter(({ data }) => data.reset === true).length;
  tiny.state.epoch = 'a';
  publisher.publish([book(1), ticker(1)]);
  await tiny.until(() => tiny.all().length === 2);
  publisher.publish([book(2), trade(1)]);
  await tiny.until(() => tiny.all().length === 4);
  expect(resets()).toBe(0);
  tiny.state.epoch = 'b';
  publisher.publish([book(3)]);
  await tiny.until(() => resets() === 1);
  // Streams that are heard of in the new epoch only now are no second restart.
  publisher.publish([ticker(2), trade(2)]);
  await tiny.until(() => tiny.all().some(({ channel, time }) => channel === 'market_trades' && time === 2));
  publisher.publish([book(4)]);
  await tiny.until(() => tiny.all().some(({ time }) => time === 4));
  expect(resets()).toBe(1);
});

test.each([
  ['a whole batch', (tiny: Tiny) => void tiny.state.failures.push(400)],
  ['some of a batch', (tiny: Tiny) => void tiny.state.refuses.add('level2')],
])('books start over when the gateway refuses %s with changes of them', async (_title, refuse) => {
  const { tiny, publisher } = await setUp();
  tiny.state.epoch = 'a';
  refuse(tiny);
  publisher.publish([trade(1), book(1)]);
  await tiny.until(() => tiny.state.attempts === 1);
  tiny.state.refuses.clear();
  await tiny.until(() => tiny.all().some(({ data }) => data.reset === true));
  expect(tiny.state.attempts).toBe(2);
});

test('what is no change of a book is refused without a reset', async () => {
  const { tiny, publisher } = await setUp();
  tiny.state.failures = [400];
  publisher.publish([trade(1), ticker(1)]);
  await tiny.until(() => tiny.state.attempts === 1);
  publisher.publish([trade(2)]);
  await tiny.until(() => tiny.all().length === 1);
  expect(tiny.all()).toEqual([trade(2)]);
});

test('a gateway that refuses the reset too is sent it again only after a pause', async () => {
  const tiny = await tinyGateway();
  const clock = new FakeClock(0);
  const publisher = createPublisher({ ...tiny.gateway, clock, log: silentLog, snapshot: () => [RESET] });
  closing.push(tiny, publisher);
  tiny.state.epoch = 'a';
  tiny.state.refuses.add('level2');
  publisher.publish([book(1)]);
  await tiny.until(() => tiny.state.attempts === 2);
  // The answer to the reset has been read once this has come through on the same lane.
  publisher.publish([trade(1)]);
  await tiny.until(() => tiny.state.attempts === 3);
  expect(numbers(tiny.all(), 'market_trades')).toEqual([1]);
  tiny.state.refuses.clear();
  clock.advance(5000);
  await tiny.until(() => tiny.state.attempts === 4);
  expect(tiny.all().at(-1)).toEqual(RESET);
});

test('close ends a publisher that cannot reach anybody, and is idempotent', async () => {
  const gone = await tinyGateway();
  await gone.close();
  const publisher = createPublisher({
    ...gone.gateway,
    clock: systemClock,
    log: silentLog,
    snapshot: () => [],
  });
  publisher.publish([trade(1)]);
  await Promise.all([publisher.close(), publisher.close()]);
  publisher.publish([trade(2)]);
  await publisher.close();
});
