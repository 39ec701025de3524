/** One market of the ETHGas side: the inclusion preconfirmations, or the whole block, of one slot. */
import { Crowd } from '../engine/crowd.ts';
import { type Counter, type FillListener, Market, type MarketSpec } from '../engine/market.ts';
import { seeded } from '../engine/random.ts';

export const MARKET_TYPES = ['inclusionPreconf', 'wholeBlock'] as const;
export type MarketType = (typeof MARKET_TYPES)[number];

/** Gas of one block that may be sold ahead. */
export const BLOCK_GAS = 36_000_000;

/** `ETH-PC-<slot>` or `ETH-WB-<slot>`. */
export const instrumentId = (type: MarketType, slot: number): string =>
  `ETH-${type === 'inclusionPreconf' ? 'PC' : 'WB'}-${slot}`;

/** The market type's code in the millions of millions, and the slot: 1000000603410 is the slot 603410. */
export const marketId = (type: MarketType, slot: number): number =>
  (type === 'inclusionPreconf' ? 1 : 2) * 1_000_000_000_000 + slot;

const spec = (type: MarketType, slot: number): MarketSpec => ({
  id: instrumentId(type, slot),
  base: instrumentId(type, slot),
  quote: 'ETH',
  // Gas is priced in 10^-11 ETH a unit; a whole block in 10^-5 ETH.
  priceScale: type === 'inclusionPreconf' ? 11 : 5,
  quantityScale: 0,
  minPrice: 1,
  maxPrice: 1_000_000,
  minQuantity: 1,
  maxQuantity: type === 'inclusionPreconf' ? BLOCK_GAS : 1,
  candleInterval: 1000,
});

export interface SlotMarket {
  readonly type: MarketType;
  readonly slot: number;
  readonly market: Market;
  readonly crowd: Crowd;
  readonly createdAt: number;
  updatedAt: number;
}

export function openSlotMarket(
  seed: string,
  type: MarketType,
  slot: number,
  ids: Counter,
  onFill: FillListener,
  now: number,
): SlotMarket {
  const market = new Market(spec(type, slot), ids, onFill);
  const random = seeded(seed, market.spec.id);
  const gas = type === 'inclusionPreconf';
  const crowd = new Crowd(market, random, {
    value: gas ? 480 + random.int(240) : 3000 + random.int(3000),
    spread: gas ? 8 : 60,
    size: gas ? 120_000 : 1,
    depth: 20,
  });
  crowd.open(8, now);
  return { type, slot, market, crowd, createdAt: now, updatedAt: now };
}
