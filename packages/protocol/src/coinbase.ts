/** The WebSocket words of the Coinbase Advanced Trade dialect. Prices and sizes are decimal strings, times RFC 3339. */

export interface CoinbaseChannelRow {
  /** Name in `subscribe`. */
  readonly name: string;
  /** Name in data frames. */
  readonly wireName: string;
  /** True if `subscribe` needs a JWT. */
  readonly private: boolean;
  /** True if `product_ids` selects streams. */
  readonly products: boolean;
  /** The list inside an event, null where the event is one object. */
  readonly list: string | null;
}

const channel = (
  name: string,
  access: 'public' | 'private',
  products: boolean,
  list: string | null,
  wireName = name,
) => Object.freeze({ name, wireName, private: access === 'private', products, list });

export const COINBASE_CHANNELS: readonly CoinbaseChannelRow[] = Object.freeze([
  channel('heartbeats', 'public', false, null),
  channel('candles', 'public', true, 'candles'),
  channel('market_trades', 'public', true, 'trades'),
  channel('status', 'public', true, 'products'),
  channel('ticker', 'public', true, 'tickers'),
  channel('ticker_batch', 'public', true, 'tickers'),
  channel('level2', 'public', true, 'updates', 'l2_data'),
  channel('user', 'private', false, 'orders'),
  channel('futures_balance_summary', 'private', false, null),
]);

/** A request: one channel per message. */
export interface CoinbaseRequest {
  type: 'subscribe' | 'unsubscribe';
  channel: string;
  /** Absent or empty on `unsubscribe`: the whole channel. */
  product_ids?: string[];
  /** An API-key JWT without `uri`, needed on private channels and checked wherever it is given. */
  jwt?: string;
  /** Additive: continue after these positions, by product id, or by channel name where there are no products. */
  recover?: Record<string, { epoch: string; sequence: number }>;
}

/** Every frame but an error. */
export interface CoinbaseFrame<Event = object> {
  channel: string;
  client_id: '';
  /** RFC 3339 with nanosecond digits. */
  timestamp: string;
  sequence_num: number;
  events: Event[];
}

/** The only event of a `subscriptions` frame: all that the connection holds, by subscribe name. */
export interface CoinbaseSubscriptions {
  subscriptions: Record<string, string[]>;
}

export interface CoinbaseLevel2Event {
  type: 'snapshot' | 'update';
  product_id: string;
  updates: {
    side: 'bid' | 'offer';
    event_time: string;
    price_level: string;
    /** Absolute; "0" removes the level. */
    new_quantity: string;
  }[];
}

export interface CoinbaseHeartbeat {
  current_time: string;
  /** The server's own count, not the connection's. */
  heartbeat_counter: number;
}

/** Never has a `channel` member: clients dispatch on it before they look for errors. */
export interface CoinbaseError {
  type: 'error';
  message: string;
  /** Additive: what was wrong with the request itself. Never says which check of a credential failed. */
  reason?: string;
}

/** Order states after which an order is no longer part of a `user` snapshot. */
export const COINBASE_FINAL_ORDER_STATES = Object.freeze([
  'FILLED',
  'CANCELLED',
  'EXPIRED',
  'FAILED',
] as const);

/** Orders in one frame of a `user` snapshot; the first frame with fewer is the last. */
export const COINBASE_ORDERS_PER_FRAME = 50;
