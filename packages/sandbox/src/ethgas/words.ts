/** The `P` objects of the ETHGas channels, from the venue's state. */
import { decimal, ratio } from '../engine/decimal.ts';
import { type DeskOrder, type Fill, MONEY_SCALE } from '../engine/desk.ts';
import type { Side } from '../engine/order-book.ts';
import type { Candle, Trade } from '../engine/tape.ts';
import type { BookLevel, Json, JsonObject } from '../publication.ts';
import { BLOCK_GAS, type MarketType, marketId, type SlotMarket } from './slot-market.ts';
import { deadlineTime, expiryTime, finalityTime, slotTime } from './slots.ts';

export const MARKET_STATUS = { enabled: 1, expired: 2, submissionEnded: 3 } as const;

const ORDER_STATUS = { open: 1, filled: 10, cancelled: 11, expired: 14 } as const;
const PARTIALLY_FILLED = 13;

export interface Top {
  bid: string | null;
  ask: string | null;
  mid: string | null;
  last: string | null;
}

/** Best prices and last trade as strings; the middle has one more digit than the prices. */
export function top({ market }: Pick<SlotMarket, 'market'>): Top {
  const { priceScale } = market.spec;
  const price = (units: number | null | undefined): string | null =>
    units === null || units === undefined ? null : decimal(units, priceScale);
  const double = market.doubleMid();
  return {
    bid: price(market.book.best('bid')),
    ask: price(market.book.best('ask')),
    mid: double === null ? null : decimal(double * 5, priceScale + 1),
    last: price(market.tape.last?.price),
  };
}

/** How the last price compares to the first one, in percent. */
export function change({ market }: Pick<SlotMarket, 'market'>, now: number): string {
  const day = market.tape.day(now);
  return day === null ? '0' : percent(day.close - day.open, day.open);
}

export const percent = (difference: number, base: number): string =>
  ratio(BigInt(difference) * 100n, BigInt(base), 4);

const limits = ({ market }: SlotMarket) => {
  const { spec } = market;
  return {
    step: decimal(1, spec.quantityScale),
    minQuantity: decimal(spec.minQuantity, spec.quantityScale),
    maxQuantity: decimal(spec.maxQuantity, spec.quantityScale),
    priceStep: decimal(1, spec.priceScale),
    minPrice: decimal(spec.minPrice, spec.priceScale),
    maxPrice: decimal(spec.maxPrice, spec.priceScale),
  };
};

export const marketName = (type: MarketType, slot: number): string =>
  type === 'inclusionPreconf' ? `Eth Preconf Inclusion Slot #${slot}` : `ETH Whole Block Slot #${slot}`;

const sold = (slotMarket: SlotMarket): number =>
  slotMarket.type === 'inclusionPreconf' ? Math.min(BLOCK_GAS, slotMarket.market.tape.sold) : 0;

export function marketUpdate(slotMarket: SlotMarket, status: number, now: number): JsonObject {
  const { type, slot, market } = slotMarket;
  const { step, minQuantity, maxQuantity, priceStep, minPrice, maxPrice } = limits(slotMarket);
  const { bid, ask, mid, last } = top(slotMarket);
  const optional: JsonObject = {};
  if (last !== null) Object.assign(optional, { p: last, PC: change(slotMarket, now) });
  if (bid !== null) optional.BB = bid;
  if (ask !== null) optional.BA = ask;
  if (mid !== null) optional.o = mid;
  return {
    m: marketId(type, slot),
    T: type,
    s: slot,
    i: market.spec.id,
    n: marketName(type, slot),
    M: expiryTime(slot),
    f: finalityTime(slot),
    b: slotTime(slot),
    q: step,
    mQ: minQuantity,
    MQ: maxQuantity,
    PS: priceStep,
    mP: minPrice,
    MP: maxPrice,
    d: market.tape.direction > 0,
    ...optional,
    C: '3.99996',
    A: BLOCK_GAS - sold(slotMarket),
    r: 0,
    S: sold(slotMarket),
    e: status,
    a: deadlineTime(slot),
    c: slotMarket.createdAt,
    u: slotMarket.updatedAt,
    tp: BLOCK_GAS,
  };
}

/** A row of `/v1/p/<market type>/markets`. */
export function marketRow(slotMarket: SlotMarket): JsonObject {
  const { type, slot, market } = slotMarket;
  const { step, minQuantity, maxQuantity, priceStep, minPrice, maxPrice } = limits(slotMarket);
  const { bid, ask, mid, last } = top(slotMarket);
  return {
    marketId: marketId(type, slot),
    slot,
    instrumentId: market.spec.id,
    name: marketName(type, slot),
    quantityStep: step,
    minQuantity,
    maxQuantity,
    priceStep,
    minPrice,
    maxPrice,
    collateralPerSlot: '3.99996',
    availablePreconf: BLOCK_GAS - sold(slotMarket),
    direction: market.tape.direction > 0,
    price: last,
    midPrice: mid,
    bestBid: bid,
    bestAsk: ask,
    status: MARKET_STATUS.enabled,
    maturityTime: expiryTime(slot),
    trxSubmitTime: deadlineTime(slot),
    blockTime: slotTime(slot),
    finalityTime: finalityTime(slot),
    totalGas: BLOCK_GAS,
    updateDate: slotMarket.updatedAt,
  };
}

export function ticker(slotMarket: SlotMarket, now: number): JsonObject {
  const { market } = slotMarket;
  const { bid, ask, mid, last } = top(slotMarket);
  return {
    d: market.tape.direction > 0,
    p: last,
    b: bid,
    M: mid,
    A: ask,
    g: decimal(market.tape.sold, market.spec.quantityScale),
    P: change(slotMarket, now),
    u: slotMarket.updatedAt,
  };
}

export function tradeUpdate({ market }: SlotMarket, trade: Trade): JsonObject {
  const { id, priceScale, quantityScale } = market.spec;
  return {
    i: id,
    p: decimal(trade.price, priceScale),
    q: decimal(trade.quantity, quantityScale),
    s: trade.taker === 'bid',
    d: trade.time,
    t: trade.id,
  };
}

/** `closed`: nothing can be added to the candle any more. */
export function candleUpdate(
  { type, slot, market }: SlotMarket,
  candle: Candle,
  closed: boolean,
): JsonObject {
  const { id, priceScale, quantityScale, candleInterval } = market.spec;
  const price = (units: number): string => decimal(units, priceScale);
  return {
    I: id,
    m: marketId(type, slot),
    t: candle.start,
    i: candleInterval,
    o: price(candle.open),
    h: price(candle.high),
    l: price(candle.low),
    c: price(candle.close),
    v: decimal(candle.volume, quantityScale),
    F: closed,
  };
}

export function bookLevels(
  { market }: Pick<SlotMarket, 'market'>,
  levels: readonly [Side, number, number][],
): BookLevel[] {
  const { priceScale, quantityScale } = market.spec;
  return levels.map(([side, price, quantity]) => [
    side,
    decimal(price, priceScale),
    decimal(quantity, quantityScale),
  ]);
}

/** The whole book, as the `orderBook` query gives it. */
export function orderBook({ type, slot, market }: SlotMarket, now: number): JsonObject {
  const { priceScale, quantityScale } = market.spec;
  const side = (which: Side): Json[] =>
    market.book
      .levels(which)
      .map(([price, quantity]) => ({ p: decimal(price, priceScale), q: decimal(quantity, quantityScale) }));
  return { a: side('ask'), b: side('bid'), I: market.spec.id, m: marketId(type, slot), t: now };
}

export function orderUpdate(
  own: DeskOrder,
  userId: string,
  accountId: number,
  slotMarket: SlotMarket,
): JsonObject {
  const { priceScale, quantityScale, id } = own.market.spec;
  const partly = own.status === 'open' && own.filled > 0;
  return {
    o: own.order.id,
    c: own.clientId,
    a: accountId,
    C: Number.isSafeInteger(Number(userId)) ? Number(userId) : userId,
    t: own.timeInForce === 'FOK' ? 3 : own.type === 'market' ? 1 : 2,
    i: id,
    m: marketId(slotMarket.type, slotMarket.slot),
    p: decimal(own.order.price, priceScale),
    q: decimal(own.order.quantity, quantityScale),
    F: decimal(own.filled, quantityScale),
    fp: decimal(own.value, MONEY_SCALE),
    f: decimal(own.fees, MONEY_SCALE),
    s: own.order.side === 'bid',
    P: own.postOnly,
    S: partly ? PARTIALLY_FILLED : ORDER_STATUS[own.status],
    d: own.createdAt,
    u: own.updatedAt,
  };
}

export function transactionUpdate(fill: Fill, accountId: number): JsonObject {
  const { id, priceScale, quantityScale } = fill.order.market.spec;
  return {
    t: fill.tradeId,
    i: id,
    o: fill.order.order.id,
    a: accountId,
    s: fill.order.order.side === 'bid',
    p: decimal(fill.price, priceScale),
    q: decimal(fill.quantity, quantityScale),
    f: decimal(fill.fee, MONEY_SCALE),
    d: fill.time,
  };
}
