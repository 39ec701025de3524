/** The promise of a feed, against a venue that loses, doubles, swaps and cuts: every hole is told, at its place. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { FeedUpdate, StreamUpdate } from '../../src/index.ts';
import type { FakeVenue, Fate } from '../support/fake-venue.ts';
import { settle } from '../support/fake-venue.ts';
import { collect, kit } from '../support/feed-kit.ts';

type Act =
  | { do: 'publish'; count: number }
  | { do: 'cut'; code: number }
  | { do: 'epoch' }
  | { do: 'pass'; ms: number }
  | { do: 'settle' };

const acts: fc.Arbitrary<Act> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ do: fc.constant('publish' as const), count: fc.integer({ min: 1, max: 6 }) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.integer({ min: 1, max: 4000 }) }),
  },
  { weight: 3, arbitrary: fc.constant({ do: 'settle' as const }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('cut' as const),
      code: fc.constantFrom(1000, 1001, 1006, 1012, 4101),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ do: 'epoch' as const }) },
);
const fates: fc.Arbitrary<Fate[]> = fc.array(
  fc.constantFrom<Fate>('pass', 'pass', 'pass', 'pass', 'pass', 'pass', 'drop', 'double', 'late'),
  { minLength: 1, maxLength: 200 },
);
const scenario = fc.record({
  acts: fc.array(acts, { maxLength: 25 }),
  fates,
  history: fc.constantFrom(0, 3, 1000),
});

/** What a consumer saw, against what was published. */
function checkLog(
  updates: FeedUpdate[],
  truth: ReturnType<FakeVenue['truth']['get']>,
  value: (data: never) => number,
  head: number,
): void {
  let last: number | null = null;
  let told = true;
  for (const update of updates) {
    if (update.type === 'resync') {
      if (!update.recovered) told = true;
      continue;
    }
    const seen = value(update.data as never);
    if (update.type === 'snapshot') continue;
    const published = truth?.[seen - 1];
    expect(published).toBeDefined();
    if (update.sequence !== null) {
      expect([update.epoch, update.sequence]).toEqual([published?.epoch, published?.sequence]);
    }
    if (last !== null && !told) expect(seen).toBe(last + 1);
    // Told or not, nothing comes twice and nothing comes back.
    if (last !== null) expect(seen).toBeGreaterThan(last);
    last = seen;
    told = false;
  }
  expect(last).toBe(head);
}

async function play(
  { venue, pass }: Pick<ReturnType<typeof kit>, 'venue' | 'pass'>,
  given: { acts: Act[]; fates: Fate[] },
  publish: () => void,
  epoch: () => void,
): Promise<void> {
  let drawn = 0;
  venue.fate = () => given.fates[drawn++ % given.fates.length] ?? 'pass';
  for (const act of given.acts) {
    if (act.do === 'publish') for (let i = 0; i < act.count; i++) publish();
    else if (act.do === 'cut') venue.cut(act.code);
    else if (act.do === 'epoch') epoch();
    else if (act.do === 'settle') await settle();
    else await pass(act.ms, 500);
  }
  venue.fate = () => 'pass';
  await pass(8000, 1000);
  for (let i = 0; i < 3; i++) publish();
  await pass(20_000, 1000);
  publish();
  await pass(30_000, 2000);
}

const RUNS = { numRuns: 60 };

describe.each([
  { dialect: 'ethgas', channel: 'recentTradeUpdate', market: 'inclusionPreconf', connectionSequence: false },
  { dialect: 'coinbase', channel: 'market_trades', product: 'ETH-USD', connectionSequence: false },
  { dialect: 'coinbase', channel: 'market_trades', product: 'ETH-USD', connectionSequence: true },
] as const)(
  'a log over $dialect, connection sequence $connectionSequence',
  ({ dialect, connectionSequence, ...what }) => {
    const key = 'market' in what ? what.market : what.product;
    const value = (data: { i?: number; trades?: { trade_id: string }[] }) =>
      data.i ?? Number(data.trades?.[0]?.trade_id);

    test('arrives whole and in order, or with a resync where it does not join', async () => {
      await fc.assert(
        fc.asyncProperty(scenario, async (given) => {
          const parts = kit(dialect, { venue: { connectionSequence, history: given.history } });
          const { venue, feed } = parts;
          const { updates } = collect(feed.subscribe(what));
          await parts.pass(10);
          const publish = () => void venue.publish(what.channel, key);
          // A log has no state to begin an epoch with: the venue cuts its readers (as the gateway does).
          const epoch = () => {
            venue.cut(4101);
            venue.newEpoch(what.channel, key);
          };
          await play(parts, given, publish, epoch);
          const truth = venue.truth.get(`${what.channel}/${key}`);
          checkLog(updates, truth, value as never, truth?.length ?? 0);
          await feed.close();
        }),
        RUNS,
      );
    });
  },
);

describe.each([
  { dialect: 'ethgas', id: 'orderBookUpdate/inclusionPreconf', product: 'X', connectionSequence: false },
  { dialect: 'coinbase', id: 'level2/ETH-USD', product: 'ETH-USD', connectionSequence: false },
  { dialect: 'coinbase', id: 'level2/ETH-USD', product: 'ETH-USD', connectionSequence: true },
] as const)(
  'a book over $dialect, connection sequence $connectionSequence',
  ({ dialect, id, product, ...rest }) => {
    const [channel = '', key = ''] = id.split('/');

    test('equals the venue at every change, and in the end', async () => {
      await fc.assert(
        fc.asyncProperty(scenario, fc.integer({ min: 1, max: 1000 }), async (given, seed) => {
          const parts = kit(dialect, { venue: { ...rest, history: given.history } });
          const { venue, feed } = parts;
          let n = seed;
          const publish = () => {
            n = (n * 1103515245 + 12345) % 2147483648;
            const side = n % 2 === 0 ? 'bid' : 'ask';
            const price = side === 'bid' ? String(90 + (n % 7)) : String(100 + (n % 7));
            venue.publish(channel, key, [[side, price, String(n % 3)]]);
          };
          publish();
          const book = feed.orderBook(product);
          const sorted = (levels: readonly (readonly [string, string, string])[]) =>
            levels.map(String).sort();
          const shown = () =>
            sorted([
              ...book.bids().map(({ price, quantity }) => ['bid', price, quantity] as const),
              ...book.asks().map(({ price, quantity }) => ['ask', price, quantity] as const),
            ]);
          book.on('change', () => {
            if (book.sequence === null) return;
            // Frames of coinbase name no epoch, so any publication of that number will do.
            const { sequence } = book;
            const possible = (venue.truth.get(id) ?? []).filter((one) => one.sequence === sequence);
            expect(possible.map((one) => sorted(venue.bookAt(id, one.epoch, sequence)))).toContainEqual(
              shown(),
            );
          });
          const errors: unknown[] = [];
          const before = console.error;
          console.error = (...said: unknown[]) => void errors.push(said);
          try {
            await parts.pass(10);
            await play(parts, given, publish, () => venue.newEpoch(channel, key));
          } finally {
            console.error = before;
          }
          expect(errors).toEqual([]);
          expect(book.stale).toBe(false);
          const { epoch, sequence } = venue.position(channel, key);
          if (book.sequence !== null) expect(book.sequence).toBe(sequence);
          expect(shown()).toEqual(sorted(venue.bookAt(id, epoch, sequence)));
          await feed.close();
        }),
        RUNS,
      );
    });
  },
);

test('what the oracle of a log would call a silent hole is one', () => {
  const hole = [1, 3].map(
    (sequence): StreamUpdate => ({
      type: 'update',
      channel: 'c',
      key: 'k',
      item: null,
      action: null,
      sequence,
      epoch: 'e',
      time: 0,
      data: { i: sequence },
    }),
  );
  const truth = [1, 2, 3].map((sequence) => ({ epoch: 'e', sequence, value: sequence, levels: [] }));
  expect(() => checkLog(hole, truth, (({ i }: { i: number }) => i) as never, 3)).toThrow();
});
