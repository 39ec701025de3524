/** What every broker promises. Called with a way to make one; each test gets a fresh broker. */
import { Refusal } from '@countersign/protocol';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Broker, Draft, History, Signal } from '../../src/broker/broker.ts';
import { type ChannelTable, channelTable } from '../../src/streams/channel.ts';
import type { Publication } from '../../src/streams/publication.ts';

const base = { kind: 'log', audience: 'public', permission: null, keyedBy: 'product' } as const;

export const contractChannels: ChannelTable = channelTable([
  { ...base, name: 'trades', history: 5 },
  { ...base, name: 'level2', kind: 'book', history: 5 },
  { ...base, name: 'forgetful', history: 0 },
]);

export interface BrokerUnderTest {
  broker: Broker;
  /** Lets time pass for idempotency keys, to within a second; absent where that cannot be done. */
  pass?: (ms: number) => void;
  /** True where publications of different streams may be heard in another order than they were published. */
  unordered?: boolean;
}

const draft = (n: number, key = 'ETH-USD', channel = 'trades'): Draft => ({
  channel,
  key,
  time: n,
  data: { n },
});
const numbers = (publications: readonly Publication[]) => publications.map(({ data }) => data.n);

/** @param make a broker over {@link contractChannels} that nothing else publishes to */
export function brokerContract(name: string, make: () => Promise<BrokerUnderTest>): void {
  describe(`${name} keeps the broker contract`, () => {
    let broker: Broker;
    let pass: BrokerUnderTest['pass'];
    let unordered: BrokerUnderTest['unordered'];
    let heard: Publication[];

    beforeEach(async () => {
      ({ broker, pass, unordered } = await make());
      heard = [];
      broker.onPublication((publication) => heard.push(publication));
    });
    afterEach(() => broker.close());

    /** Delivery may be a moment behind the receipt on a network. */
    async function hear(count: number): Promise<void> {
      const end = Date.now() + 5000;
      while (heard.length < count && Date.now() < end) await new Promise((resolve) => setImmediate(resolve));
      expect(heard).toHaveLength(count);
    }

    test('sequences begin at 1 and are consecutive in each stream by itself', async () => {
      const receipts = await broker.publish([
        draft(1),
        draft(2, 'BTC-USD'),
        draft(3),
        draft(4, 'ETH-USD', 'level2'),
      ]);
      expect(receipts.map(({ stream, sequence }) => [stream, sequence])).toEqual([
        ['trades/ETH-USD', 1],
        ['trades/BTC-USD', 1],
        ['trades/ETH-USD', 2],
        ['level2/ETH-USD', 1],
      ]);
      expect(receipts.every(({ duplicate }) => !duplicate)).toBe(true);
      await hear(4);
      expect(unordered ? numbers(heard).sort() : numbers(heard)).toEqual([1, 2, 3, 4]);
    });

    test('a delivered publication carries what the publisher handed in and the position of its receipt', async () => {
      const full: Draft = { ...draft(7), item: 'A', action: 'NewEpoch', remove: true };
      const [receipt] = await broker.publish([full]);
      await hear(1);
      expect(heard[0]).toEqual({ ...full, epoch: receipt?.epoch, sequence: 1 });
    });

    test('history gives everything after a position', async () => {
      const receipts = await broker.publish([1, 2, 3, 4].map((n) => draft(n)));
      const history = await broker.history('trades/ETH-USD', receipts[1]!);
      expect(history.complete && numbers(history.publications)).toEqual([3, 4]);
      expect(history.head).toEqual({ epoch: receipts[3]!.epoch, sequence: 4 });
    });

    test('history after the newest position is complete and empty', async () => {
      const [receipt] = await broker.publish([draft(1)]);
      expect(await broker.history('trades/ETH-USD', receipt!)).toMatchObject({
        complete: true,
        publications: [],
      });
    });

    test('history from the beginning is complete until something was dropped', async () => {
      await broker.publish([1, 2, 3, 4, 5].map((n) => draft(n)));
      const whole = await broker.history('trades/ETH-USD', null);
      expect(whole.complete && numbers(whole.publications)).toEqual([1, 2, 3, 4, 5]);
      await broker.publish([draft(6)]);
      const cut = await broker.history('trades/ETH-USD', null);
      expect(cut.complete ? null : numbers(cut.tail)).toEqual([2, 3, 4, 5, 6]);
      expect(cut.head.sequence).toBe(6);
    });

    test.each<[string, (epoch: string) => { epoch: string; sequence: number }]>([
      ['lies further back than history reaches', (epoch) => ({ epoch, sequence: 1 })],
      ['is of another epoch', () => ({ epoch: 'another', sequence: 8 })],
      ['lies ahead of the stream', (epoch) => ({ epoch, sequence: 9 })],
    ])('history is never a silent part: incomplete when the position %s', async (_, since) => {
      const receipts = await broker.publish([1, 2, 3, 4, 5, 6, 7, 8].map((n) => draft(n)));
      const history: History = await broker.history('trades/ETH-USD', since(receipts[0]!.epoch));
      expect(history.complete ? null : numbers(history.tail)).toEqual([4, 5, 6, 7, 8]);
      expect(history.head.sequence).toBe(8);
    });

    test('a channel without history still counts', async () => {
      await broker.publish([draft(1, 'x', 'forgetful'), draft(2, 'x', 'forgetful')]);
      const head = await broker.head('forgetful/x');
      expect(head.sequence).toBe(2);
      expect(await broker.history('forgetful/x', head)).toMatchObject({ complete: true, publications: [] });
      expect(await broker.history('forgetful/x', { ...head, sequence: 1 })).toMatchObject({
        complete: false,
        tail: [],
      });
    });

    test('knows the products that were published to', async () => {
      expect(broker.knows('trades', 'ETH-USD')).toBe(false);
      await broker.publish([draft(1)]);
      await hear(1);
      expect(broker.knows('trades', 'ETH-USD')).toBe(true);
      expect(broker.knows('trades', 'none')).toBe(false);
    });

    test('a stream that never had a publication stands at sequence 0', async () => {
      expect((await broker.head('trades/none')).sequence).toBe(0);
      expect(await broker.history('trades/none', null)).toMatchObject({ complete: true, publications: [] });
    });

    test('the same idempotency key publishes once and gets the first receipts again', async () => {
      const first = await broker.publish([draft(1), draft(2)], { idempotencyKey: 'k' });
      const again = await broker.publish([draft(1), draft(2)], { idempotencyKey: 'k' });
      expect(again).toEqual(first.map((receipt) => ({ ...receipt, duplicate: true })));
      await broker.publish([draft(3)], { idempotencyKey: 'other' });
      await hear(3);
      expect(numbers(heard)).toEqual([1, 2, 3]);
    });

    test('an idempotency key is forgotten after five minutes', async (context) => {
      if (pass === undefined) return context.skip();
      await broker.publish([draft(1)], { idempotencyKey: 'k' });
      pass(5 * 60_000 - 2000);
      expect((await broker.publish([draft(1)], { idempotencyKey: 'k' }))[0]).toMatchObject({
        duplicate: true,
      });
      pass(2000);
      const [receipt] = await broker.publish([draft(1)], { idempotencyKey: 'k' });
      expect(receipt).toMatchObject({ sequence: 2, duplicate: false });
    });

    test('one unknown channel in a batch publishes nothing of it', async () => {
      const batch = [draft(1), draft(2, 'x', 'nonsense')];
      await expect(broker.publish(batch)).rejects.toThrow(Refusal);
      expect((await broker.head('trades/ETH-USD')).sequence).toBe(0);
      expect(heard).toEqual([]);
    });

    test('what the listener publishes itself is delivered after it returns, in order', async () => {
      const order: string[] = [];
      broker.onPublication(({ data }) => {
        order.push(`in ${data.n}`);
        if (data.n === 1) void broker.publish([draft(2)]);
        order.push(`out ${data.n}`);
        heard.push({} as Publication);
      });
      await broker.publish([draft(1)]);
      await hear(2);
      expect(order).toEqual(['in 1', 'out 1', 'in 2', 'out 2']);
    });

    test('whoever reads history sees everything later delivered', async () => {
      const seen: number[] = [];
      broker.onPublication(({ sequence }) => seen.push(sequence));
      const publishing = (async () => {
        for (let n = 1; n <= 50; n++) await broker.publish([draft(n)]);
      })();
      await new Promise((resolve) => setImmediate(resolve));
      const { head } = await broker.history('trades/ETH-USD', null);
      await publishing;
      const end = Date.now() + 5000;
      while (seen.at(-1) !== 50 && Date.now() < end) await new Promise((resolve) => setImmediate(resolve));
      const later = seen.filter((sequence) => sequence > head.sequence);
      expect(later).toEqual(Array.from({ length: 50 - head.sequence }, (_, i) => head.sequence + 1 + i));
    });

    test('a signal reaches the node that gave it too, but not within the call', async () => {
      const signals: Signal[] = [];
      const arrived = new Promise<void>((resolve) => {
        broker.onSignal((signal) => {
          signals.push(signal);
          resolve();
        });
      });
      const given = broker.signal({ kind: 'access-changed', sequence: 3 });
      expect(signals).toEqual([]);
      await Promise.all([given, arrived]);
      expect(signals).toEqual([{ kind: 'access-changed', sequence: 3 }]);
    });

    test('close may be called twice, and nothing is published after it', async () => {
      await broker.close();
      await broker.close();
      await expect(broker.publish([draft(1)])).rejects.toThrow(Refusal);
    });
  });
}
