/** Placing and cancelling orders the way a brokerage client writes them. */
import { parseDecimal } from '../engine/decimal.ts';
import type { DeskOrder, DeskRefusal, OrderRequest } from '../engine/desk.ts';
import type { Market, TimeInForce } from '../engine/market.ts';
import type { Json, JsonObject } from '../publication.ts';
import type { Brokerage } from './brokerage.ts';
import { FORCE, figures, iso, NO_TIME, statusOf } from './words.ts';

type Body = { readonly [name: string]: unknown };

/** What `order_configuration` may hold, and what it means. */
const CONFIGURATIONS: Readonly<Record<string, { type: 'limit' | 'market'; force: TimeInForce }>> = {
  market_market_ioc: { type: 'market', force: 'IOC' },
  market_market_fok: { type: 'market', force: 'FOK' },
  limit_limit_gtc: { type: 'limit', force: 'GTC' },
  sor_limit_ioc: { type: 'limit', force: 'IOC' },
  limit_limit_fok: { type: 'limit', force: 'FOK' },
};

const FAILURES: Readonly<Record<DeskRefusal, [error: string, message: string]>> = {
  insufficient_fund: ['INSUFFICIENT_FUND', 'Insufficient balance in source account'],
  too_many_orders: ['UNKNOWN_FAILURE_REASON', 'Too many open orders'],
  out_of_range: ['INVALID_LIMIT_PRICE', 'The price or size is outside of what the product allows'],
  would_cross: ['INVALID_LIMIT_PRICE_POST_ONLY', 'Post only limit price would cross'],
  cannot_fill: ['UNKNOWN_FAILURE_REASON', 'The order cannot be filled completely'],
};

/** A market order takes prices up to a twentieth away from the best one. */
const SLIPPAGE = 20;

const failure = (error: string, message: string, configuration: Json): JsonObject => ({
  success: false,
  failure_reason: error,
  order_id: '',
  error_response: {
    error,
    message,
    error_details: message,
    preview_failure_reason: 'UNKNOWN_PREVIEW_FAILURE_REASON',
  },
  order_configuration: configuration,
});

/** `POST /orders`: always 200; `success` tells. */
export function placeOrder(venue: Brokerage, owner: string, body: Body, now: number): JsonObject {
  const configuration = (body.order_configuration ?? {}) as Json;
  const product = venue.listings.get(String(body.product_id));
  if (product === undefined) return failure('INVALID_PRODUCT_ID', 'Invalid product_id', configuration);
  const side = body.side === 'BUY' ? 'bid' : body.side === 'SELL' ? 'ask' : null;
  if (side === null) return failure('INVALID_SIDE', 'Side must be BUY or SELL', configuration);
  const clientId = body.client_order_id;
  if (typeof clientId !== 'string' || clientId === '' || clientId.length > 128) {
    return failure('UNKNOWN_FAILURE_REASON', 'client_order_id is required', configuration);
  }
  const request = readConfiguration(product.market, side, configuration);
  if (typeof request === 'string') return failure('UNSUPPORTED_ORDER_CONFIGURATION', request, configuration);
  const placed = venue.desk.place(owner, { ...request, clientId }, now);
  if (typeof placed === 'string') return failure(...FAILURES[placed], configuration);
  const response: JsonObject = {
    order_id: placed.uuid,
    product_id: placed.market.spec.id,
    side: placed.order.side === 'bid' ? 'BUY' : 'SELL',
    client_order_id: placed.clientId,
    attached_order_configuration: null,
  };
  return { success: true, success_response: response, order_configuration: configuration };
}

function readConfiguration(market: Market, side: 'bid' | 'ask', configuration: Json): OrderRequest | string {
  if (typeof configuration !== 'object' || configuration === null || Array.isArray(configuration)) {
    return 'order_configuration must be an object';
  }
  const [name, ...others] = Object.keys(configuration);
  const meaning =
    name !== undefined && Object.hasOwn(CONFIGURATIONS, name) ? CONFIGURATIONS[name] : undefined;
  const detail = name === undefined ? undefined : configuration[name];
  if (meaning === undefined || others.length > 0 || typeof detail !== 'object' || detail === null) {
    return `one of ${Object.keys(CONFIGURATIONS).join(', ')} is needed`;
  }
  const fields = detail as JsonObject;
  const { type, force } = meaning;
  const { priceScale, quantityScale, minPrice, maxPrice } = market.spec;
  const best = market.book.best(side === 'bid' ? 'ask' : 'bid');

  let price: number;
  if (type === 'limit') {
    const limit = parseDecimal(fields.limit_price, priceScale);
    if (limit === null || limit > BigInt(maxPrice)) return 'limit_price is not a price of this product';
    price = Number(limit);
  } else {
    if (best === null) return 'nothing to trade with';
    const away = Math.ceil(best / SLIPPAGE);
    price = Math.min(maxPrice, Math.max(minPrice, side === 'bid' ? best + away : best - away));
  }

  let quantity: bigint | null;
  if (fields.base_size !== undefined) quantity = parseDecimal(fields.base_size, quantityScale);
  else if (type === 'market' && side === 'bid')
    quantity = worth(market, parseDecimal(fields.quote_size, priceScale));
  else quantity = null;
  if (quantity === null || quantity === 0n || quantity > BigInt(Number.MAX_SAFE_INTEGER)) {
    return 'base_size or quote_size is not a size of this product';
  }
  const postOnly = fields.post_only === true && force === 'GTC';
  return { market, side, price, quantity: Number(quantity), type, timeInForce: force, postOnly };
}

/** How much of the base asset an amount of the quote asset buys from the book as it is. */
function worth(market: Market, amount: bigint | null): bigint | null {
  if (amount === null) return null;
  // price x quantity counts in 10^-(priceScale + quantityScale).
  let left = amount * 10n ** BigInt(market.spec.quantityScale);
  let bought = 0n;
  for (const [price, quantity] of market.book.levels('ask')) {
    const affordable = left / BigInt(price);
    const taken = affordable < BigInt(quantity) ? affordable : BigInt(quantity);
    bought += taken;
    left -= taken * BigInt(price);
    if (taken < BigInt(quantity)) break;
  }
  return bought;
}

/** `POST /orders/batch_cancel`: one result for each id, in order. */
export function cancelOrders(venue: Brokerage, owner: string, body: Body, now: number): JsonObject {
  const ids = Array.isArray(body.order_ids) ? (body.order_ids as unknown[]).slice(0, 100) : [];
  const results = ids.map((id): JsonObject => {
    const success = venue.desk.cancel(owner, String(id), now);
    const failure_reason = success ? 'UNKNOWN_CANCEL_FAILURE_REASON' : 'UNKNOWN_CANCEL_ORDER';
    return { success, failure_reason, order_id: String(id) };
  });
  return { results };
}

/** One order as the order list shows it. */
export function orderRow(own: DeskOrder): JsonObject {
  const at = figures(own);
  return {
    order_id: own.uuid,
    product_id: own.market.spec.id,
    user_id: own.owner,
    order_configuration: configurationOf(own),
    side: own.order.side === 'bid' ? 'BUY' : 'SELL',
    client_order_id: own.clientId,
    status: statusOf(own),
    time_in_force: FORCE[own.timeInForce],
    created_time: iso(own.createdAt),
    completion_percentage: at.completion,
    filled_size: at.filled,
    average_filled_price: at.average,
    fee: '',
    number_of_fills: String(own.fills),
    filled_value: at.value,
    pending_cancel: false,
    size_in_quote: false,
    total_fees: at.fees,
    size_inclusive_of_fees: false,
    total_value_after_fees: at.afterFees,
    trigger_status: 'INVALID_ORDER_TYPE',
    order_type: own.type === 'market' ? 'MARKET' : 'LIMIT',
    reject_reason: 'REJECT_REASON_UNSPECIFIED',
    settled: own.status === 'filled',
    product_type: 'SPOT',
    reject_message: '',
    cancel_message: '',
    order_placement_source: 'RETAIL_ADVANCED',
    outstanding_hold_amount: at.hold,
    is_liquidation: false,
    last_fill_time: own.fills === 0 ? NO_TIME : iso(own.updatedAt),
    edit_history: [],
    leverage: '',
    margin_type: 'UNKNOWN_MARGIN_TYPE',
    retail_portfolio_id: own.owner,
  };
}

function configurationOf(own: DeskOrder): JsonObject {
  const found = Object.entries(CONFIGURATIONS).find(
    ([, { type, force }]) => type === own.type && force === own.timeInForce,
  );
  const size = figures(own);
  const base_size = size.quantity;
  const detail: JsonObject =
    own.type === 'market' ? { base_size } : { base_size, limit_price: size.limit, post_only: own.postOnly };
  return { [found![0]]: detail };
}
