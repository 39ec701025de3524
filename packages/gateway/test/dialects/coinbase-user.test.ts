import { COINBASE_ORDERS_PER_FRAME } from '@countersign/protocol';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createCoinbaseDialect } from '../../src/dialects/coinbase.ts';
import type { Publication } from '../../src/streams/publication.ts';
import { publication, read, snapshot } from './support.ts';

const dialect = createCoinbaseDialect({ now: () => 0 });
const { encoder } = dialect.open('c');
const user = dialect.channels.get('user')!;

interface Event {
  type: string;
  orders: { order_id: string; status: string }[];
  positions?: object;
}
const frames = (publications: Publication[]): Event[][] =>
  encoder
    .snapshot(snapshot(user, { key: '78', publications }), false)
    .map((frame) => read(frame).events as unknown as Event[]);
const order = (order_id: string, status = 'OPEN') => ({ order_id, status });
const orders = (...list: object[]) => publication('user', { orders: list });

describe('the snapshot of a user', () => {
  it('without any order is one empty snapshot: the client learns that there is nothing', () => {
    expect(frames([])).toEqual([[{ type: 'snapshot', orders: [], positions: {} }]]);
  });

  it('has the newest state of each order that is still open', () => {
    const tail = [
      orders(order('a', 'PENDING'), order('b')),
      orders({ ...order('a'), leaves_quantity: '2' }),
      orders(order('b', 'FILLED'), order('c', 'CANCEL_QUEUED')),
      orders(order('d'), order('e', 'CANCELLED'), order('f', 'EXPIRED'), order('g', 'FAILED')),
    ];
    expect(frames(tail)).toEqual([
      [
        {
          type: 'snapshot',
          orders: [{ ...order('a'), leaves_quantity: '2' }, order('c', 'CANCEL_QUEUED'), order('d')],
          positions: {},
        },
      ],
    ]);
  });

  it('starts anew from a snapshot that the backend published', () => {
    const full = publication(
      'user',
      { orders: [order('x')], positions: { expiring_futures_positions: [] } },
      { action: 'snapshot' },
    );
    expect(frames([orders(order('a')), full, orders(order('y'))])).toEqual([
      [
        {
          type: 'snapshot',
          orders: [order('x'), order('y')],
          positions: { expiring_futures_positions: [] },
        },
      ],
    ]);
  });

  it.each([
    [0, [0]],
    [49, [49]],
    [50, [50, 0]],
    [51, [50, 1]],
    [109, [50, 50, 9]],
  ])('of %i orders comes in frames of %j: the first that is not full is the last', (count, sizes) => {
    const all = frames([orders(...Array.from({ length: count }, (_, i) => order(`o${i}`)))]);
    expect(all.map(([event]) => event?.orders.length)).toEqual(sizes);
    expect(all.map(([event]) => event?.type)).toEqual(sizes.map((_, i) => (i === 0 ? 'snapshot' : 'update')));
    expect(all.map(([event]) => event !== undefined && 'positions' in event)).toEqual(
      sizes.map((_, i) => i === 0),
    );
  });

  it('that a backend publishes to live readers keeps to the batches, in one frame', () => {
    const list = Array.from({ length: 60 }, (_, i) => order(`o${i}`));
    const full = publication('user', { orders: list }, { action: 'snapshot' });
    const { events } = read(encoder.publication(user, full)) as unknown as { events: Event[] };
    expect(events.map(({ type, orders: batch }) => [type, batch.length])).toEqual([
      ['snapshot', 50],
      ['update', 10],
    ]);
  });

  it('is never disturbed by what is not an order', () => {
    const odd = publication('user', { orders: [null, 7, {}, 'x', order('a')], positions: [] });
    expect(frames([odd, publication('user', { orders: {} })])).toEqual([
      [{ type: 'snapshot', orders: [order('a')], positions: {} }],
    ]);
  });

  it('equals the open orders of any history', () => {
    const step = fc.record({
      id: fc.integer({ min: 0, max: 80 }).map((n) => `o${n}`),
      status: fc.constantFrom('PENDING', 'OPEN', 'OPEN', 'CANCEL_QUEUED', 'FILLED', 'CANCELLED'),
    });
    fc.assert(
      fc.property(fc.array(fc.array(step, { maxLength: 9 }), { maxLength: 60 }), (history) => {
        const open = new Map<string, string>();
        for (const { id, status } of history.flat()) open.set(id, status);
        const expected = [...open].filter(([, status]) => !['FILLED', 'CANCELLED'].includes(status));
        const all = frames(history.map((steps) => orders(...steps.map((s) => order(s.id, s.status)))));
        const shown = all.flatMap(([event]) => event?.orders ?? []);
        expect(new Map(shown.map((o) => [o.order_id, o.status]))).toEqual(new Map(expected));
        expect(shown).toHaveLength(expected.length);
        expect(all.at(-1)?.[0]?.orders.length).toBeLessThan(COINBASE_ORDERS_PER_FRAME);
      }),
    );
  });
});
