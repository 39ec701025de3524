/** The objects of the brokerage channels, from the venue's state. All values are strings, as the live service sends them. */
import { decimal, ratio } from '../engine/decimal.ts';
import { type Desk, type DeskOrder, type Fill, MONEY_SCALE } from '../engine/desk.ts';
import type { Market } from '../engine/market.ts';
import type { Side } from '../engine/order-book.ts';
import type { Candle, Trade } from '../engine/tape.ts';
import type { BookLevel, Json, JsonObject } from '../publication.ts';
import type { Product } from './products.ts';

export interface Listing {
  readonly product: Product;
  readonly market: Market;
  /** The widest prices of a year: a made-up past, widened by what is traded. */
  yearLow: number;
  yearHigh: number;
}

export const iso = (time: number): string => new Date(time).toISOString();

/** What the live service writes where there is no time. */
export const NO_TIME = '0001-01-01T00:00:00Z';

const priceOf = (market: Market, units: number | null | undefined): string =>
  units === null || units === undefined ? '' : decimal(units, market.spec.priceScale);
const sizeOf = (market: Market, units: number): string => decimal(units, market.spec.quantityScale);

export function ticker(
  { product, market, yearLow, yearHigh }: Listing,
  now: number,
): { [name: string]: string } {
  const day = market.tape.day(now);
  return {
    type: 'ticker',
    product_id: product.id,
    price: priceOf(market, market.tape.last?.price),
    volume_24_h: sizeOf(market, day?.volume ?? 0),
    low_24_h: priceOf(market, day?.low),
    high_24_h: priceOf(market, day?.high),
    low_52_w: priceOf(market, Math.min(yearLow, day?.low ?? yearLow)),
    high_52_w: priceOf(market, Math.max(yearHigh, day?.high ?? yearHigh)),
    price_percent_chg_24_h:
      day === null ? '0' : ratio(BigInt(day.close - day.open) * 100n, BigInt(day.open), 8),
  };
}

export function bestQuotes({ market }: Listing): { [name: string]: string } {
  const bid = market.book.best('bid');
  const ask = market.book.best('ask');
  return {
    best_bid: priceOf(market, bid),
    best_ask: priceOf(market, ask),
    best_bid_quantity: bid === null ? '0' : sizeOf(market, market.book.quantityAt('bid', bid)),
    best_ask_quantity: ask === null ? '0' : sizeOf(market, market.book.quantityAt('ask', ask)),
  };
}

/** `side` is the maker's, as the live service has it. */
export function trade(market: Market, made: Trade): { [name: string]: string } {
  return {
    trade_id: String(made.id),
    product_id: market.spec.id,
    price: priceOf(market, made.price),
    size: sizeOf(market, made.quantity),
    side: made.taker === 'bid' ? 'SELL' : 'BUY',
    time: iso(made.time),
  };
}

export function candle(
  market: Market,
  { start, open, high, low, close, volume }: Candle,
): { [name: string]: string } {
  return {
    start: String(start / 1000),
    high: priceOf(market, high),
    low: priceOf(market, low),
    open: priceOf(market, open),
    close: priceOf(market, close),
    volume: sizeOf(market, volume),
  };
}

export function status({ product }: Listing): JsonObject {
  const { spec } = product;
  return {
    product_type: 'SPOT',
    id: product.id,
    base_currency: spec.base,
    quote_currency: spec.quote,
    base_increment: decimal(1, spec.quantityScale),
    quote_increment: decimal(1, spec.priceScale),
    display_name: `${spec.base}/${spec.quote}`,
    status: 'online',
    status_message: '',
    min_market_funds: '1',
  };
}

export const levels = (market: Market, changes: readonly [Side, number, number][]): BookLevel[] =>
  changes.map(([side, price, quantity]) => [side, priceOf(market, price), sizeOf(market, quantity)]);

export const wholeBook = (market: Market): BookLevel[] =>
  (['bid', 'ask'] as const).flatMap((side) =>
    levels(
      market,
      market.book.levels(side).map(([price, quantity]): [Side, number, number] => [side, price, quantity]),
    ),
  );

const STATUS = { open: 'OPEN', filled: 'FILLED', cancelled: 'CANCELLED', expired: 'EXPIRED' } as const;
export const statusOf = (own: DeskOrder): string => STATUS[own.status];
export const FORCE = {
  GTC: 'GOOD_UNTIL_CANCELLED',
  IOC: 'IMMEDIATE_OR_CANCEL',
  FOK: 'FILL_OR_KILL',
} as const;

/** Figures that both the `user` channel and the order list show. */
export function figures(own: DeskOrder) {
  const { market, order } = own;
  const total = order.side === 'bid' ? own.value + own.fees : own.value - own.fees;
  const ONE = 10n ** BigInt(market.spec.quantityScale);
  return {
    average:
      own.filled === 0
        ? '0'
        : ratio(own.value * ONE, BigInt(own.filled) * 10n ** 18n, market.spec.priceScale + 8),
    completion: ratio(BigInt(own.filled) * 100n, BigInt(order.quantity), 2),
    quantity: sizeOf(market, order.quantity),
    filled: sizeOf(market, own.filled),
    leaves: sizeOf(market, own.status === 'open' ? order.quantity - own.filled : 0),
    value: decimal(own.value, MONEY_SCALE),
    fees: decimal(own.fees, MONEY_SCALE),
    afterFees: decimal(total, MONEY_SCALE),
    hold: decimal(own.held, MONEY_SCALE),
    limit: priceOf(market, order.price),
  };
}

export function userOrder(own: DeskOrder): { [name: string]: string } {
  const at = figures(own);
  return {
    avg_price: at.average,
    cancel_reason: own.status === 'cancelled' && own.timeInForce === 'GTC' ? 'User requested cancel' : '',
    client_order_id: own.clientId,
    completion_percentage: at.completion,
    contract_expiry_type: 'UNKNOWN_CONTRACT_EXPIRY_TYPE',
    cumulative_quantity: at.filled,
    filled_value: at.value,
    leaves_quantity: at.leaves,
    limit_price: own.type === 'market' ? '0' : at.limit,
    number_of_fills: String(own.fills),
    order_id: own.uuid,
    order_side: own.order.side === 'bid' ? 'BUY' : 'SELL',
    order_type: own.type === 'market' ? 'Market' : 'Limit',
    outstanding_hold_amount: at.hold,
    post_only: String(own.postOnly),
    product_id: own.market.spec.id,
    product_type: 'SPOT',
    reject_reason: '',
    retail_portfolio_id: own.owner,
    risk_managed_by: 'UNKNOWN_RISK_MANAGEMENT_TYPE',
    status: statusOf(own),
    stop_price: '',
    time_in_force: FORCE[own.timeInForce],
    total_fees: at.fees,
    total_value_after_fees: at.afterFees,
    trigger_status: 'INVALID_ORDER_TYPE',
    creation_time: iso(own.createdAt),
    end_time: own.status === 'open' ? NO_TIME : iso(own.updatedAt),
    start_time: NO_TIME,
  };
}

export function fill(made: Fill): Json {
  const { market, order, uuid, owner } = made.order;
  return {
    entry_id: `${made.tradeId}-${order.id}`,
    trade_id: String(made.tradeId),
    order_id: uuid,
    trade_time: iso(made.time),
    trade_type: 'FILL',
    price: priceOf(market, made.price),
    size: sizeOf(market, made.quantity),
    commission: decimal(made.fee, MONEY_SCALE),
    product_id: market.spec.id,
    sequence_timestamp: iso(made.time),
    liquidity_indicator: made.maker ? 'MAKER' : 'TAKER',
    size_in_quote: false,
    user_id: owner,
    side: order.side === 'bid' ? 'BUY' : 'SELL',
    retail_portfolio_id: owner,
  };
}

export const NO_POSITIONS: JsonObject = { perpetual_futures_positions: [], expiring_futures_positions: [] };

/** The venue has no futures: the summary is the dollars of the spot account, and zeros. */
export function futuresSummary(desk: Desk, owner: string): JsonObject {
  const { total, held } = desk.balance(owner, 'USD');
  const dollars = decimal(total, MONEY_SCALE);
  const free = decimal(total - held, MONEY_SCALE);
  const measure = (type: string): JsonObject => ({
    margin_window_type: type,
    margin_level: 'MARGIN_LEVEL_TYPE_BASE',
    initial_margin: '0',
    maintenance_margin: '0',
    liquidation_buffer_percentage: '1000',
    total_hold: '0',
    futures_buying_power: free,
  });
  return {
    futures_buying_power: free,
    total_usd_balance: dollars,
    cbi_usd_balance: dollars,
    cfm_usd_balance: '0',
    total_open_orders_hold_amount: decimal(held, MONEY_SCALE),
    unrealized_pnl: '0',
    daily_realized_pnl: '0',
    initial_margin: '0',
    available_margin: free,
    liquidation_threshold: '0',
    liquidation_buffer_amount: free,
    liquidation_buffer_percentage: '1000',
    intraday_margin_window_measure: measure('FCM_MARGIN_WINDOW_TYPE_INTRADAY'),
    overnight_margin_window_measure: measure('FCM_MARGIN_WINDOW_TYPE_OVERNIGHT'),
  };
}
