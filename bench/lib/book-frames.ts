/** Frames of a level2 stream in the shape of the live Coinbase service; the same ones in every run. */

export interface BookFrames {
  /** The first one is a snapshot, all others are updates. `sequence_num` counts from 0. */
  readonly frames: readonly string[];
  /** Best prices after the last frame: whoever keeps a book has to get there. */
  readonly best: { readonly bid: number; readonly ask: number };
}

const PRODUCT = 'ETH-USD';
const TICK = 0.01;
const MIDDLE = 430_127;

/**
 * @param updates frames after the snapshot: one to five levels each, most of them near the best price
 * @param depth levels of each side in the snapshot
 */
export function bookFrames(updates: number, depth: number): BookFrames {
  let seed = 7;
  const random = () => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return seed / 2 ** 32;
  };
  const sides = { bid: new Set<number>(), offer: new Set<number>() };
  const frames: string[] = [];
  let time = Date.UTC(2026, 8, 7, 9, 41);
  const level = (side: 'bid' | 'offer', ticks: number, quantity: string) => {
    if (Number(quantity) === 0) sides[side].delete(ticks);
    else sides[side].add(ticks);
    return {
      side,
      event_time: `${new Date(time).toISOString().slice(0, -1)}045Z`,
      price_level: String(Math.round(ticks) / (1 / TICK)),
      new_quantity: quantity,
    };
  };
  const frame = (type: string, list: object[]) => {
    time += 50;
    frames.push(
      JSON.stringify({
        channel: 'l2_data',
        client_id: '',
        timestamp: `${new Date(time).toISOString().slice(0, -1)}113045Z`,
        sequence_num: frames.length,
        events: [{ type, product_id: PRODUCT, updates: list }],
      }),
    );
  };
  const size = () => (random() * 40).toFixed(8);
  frame(
    'snapshot',
    Array.from({ length: depth * 2 }, (_, n) =>
      n % 2 === 0
        ? level('bid', MIDDLE - 1 - (n >> 1), size())
        : level('offer', MIDDLE + 1 + (n >> 1), size()),
    ),
  );
  while (frames.length <= updates) {
    const count = 1 + Math.floor(random() * 5);
    const changes = Array.from({ length: count }, () => {
      const away = 1 + Math.floor(random() ** 4 * depth);
      const quantity = random() < 0.35 ? '0' : size();
      return random() < 0.5 ? level('bid', MIDDLE - away, quantity) : level('offer', MIDDLE + away, quantity);
    });
    frame('update', changes);
  }
  const price = (ticks: number) => Math.round(ticks) / (1 / TICK);
  return { frames, best: { bid: price(Math.max(...sides.bid)), ask: price(Math.min(...sides.offer)) } };
}
