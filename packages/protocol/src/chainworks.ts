/**
 * The Socket.IO words of the Chainworks dialect. A request is an event named like a path with one object; its
 * reply is an acknowledgement if one was asked for, else an event of the same name. Amounts are integer strings
 * of the smallest units, times milliseconds since 1970.
 */
import type { WirePosition } from './ethgas.ts';

/** One request that the venue answers. */
export interface ChainworksRequestRow {
  readonly event: string;
  /** What the credential must allow. A quote is information; a transfer moves funds to somebody else. */
  readonly permission: 'market_data' | 'trading' | 'transfer';
}

const request = (event: string, permission: ChainworksRequestRow['permission']): ChainworksRequestRow =>
  Object.freeze({ event, permission });

export const CHAINWORKS_REQUESTS: readonly ChainworksRequestRow[] = Object.freeze([
  request('/evm/buy/quote', 'market_data'),
  request('/evm/sell/quote', 'market_data'),
  request('/svm/buy/quote', 'market_data'),
  request('/svm/sell/quote', 'market_data'),
  request('/evm/buy/transaction', 'trading'),
  request('/evm/sell/transaction', 'trading'),
  request('/evm/approve/transaction', 'trading'),
  request('/svm/buy/transaction', 'trading'),
  request('/svm/sell/transaction', 'trading'),
  request('/svm/transfer/transaction', 'transfer'),
  request('/svm/transfer/token/transaction', 'transfer'),
  request('/svm/transfer/multi/transaction', 'transfer'),
]);

/**
 * Events that the gateway sends by itself. `token_expired`: get a fresh access token, the connection ends when the
 * leeway is over. `unauthorized`: access has ended, a server disconnect follows. `access_unconfirmed`: private
 * streams rest until `access_confirmed`. `closing`: the transport is about to be closed for another reason; clients
 * reconnect.
 */
export const CHAINWORKS_NOTICES = Object.freeze([
  'token_expired',
  'unauthorized',
  'access_unconfirmed',
  'access_confirmed',
  'closing',
] as const);

/** Names that Socket.IO keeps for itself on one side or the other: never the name of an event on the wire. */
export const SOCKETIO_RESERVED: ReadonlySet<string> = new Set([
  'connect',
  'connect_error',
  'disconnect',
  'disconnecting',
  'newListener',
  'removeListener',
]);

export interface ChainworksSuccess<Result = object> {
  success: true;
  result: Result;
}

export interface ChainworksFailure {
  success: false;
  /** `UNAUTHORIZED`, `RATE_LIMITED`, `MISSING_PARAMETER`, ... : codes of the error table, or the venue's own. */
  error: { code: string; message: string };
  partialResult?: object;
}

export type ChainworksReply<Result = object> = ChainworksSuccess<Result> | ChainworksFailure;

/** `data` of the `connect_error` that a refused handshake gets; its message contains `unauthorized`. */
export interface ChainworksRefusal {
  code: 'UNAUTHORIZED' | 'RATE_LIMITED';
  message: string;
  /** Seconds, with `RATE_LIMITED`. */
  retryAfter?: number;
}

/** Parameter of the events `subscribe` and `unsubscribe`. One of `key`, `product`, `marketType` names the stream. */
export interface ChainworksSubscribe {
  channel: string;
  key?: string;
  product?: string;
  marketType?: string;
  /** Continue after this position; by account id where a channel has one stream per account. */
  recover?: WirePosition | Record<string, WirePosition>;
}

/** Result of `subscribe`. The plural members belong to channels with one stream per account, by account id. */
export interface ChainworksSubscribed {
  channel: string;
  key?: string;
  position?: WirePosition;
  positions?: Record<string, WirePosition>;
  /** Where recovery was asked for: false = what follows is a fresh snapshot. */
  recovered?: boolean | Record<string, boolean>;
}

/** A push: an event named like its channel. */
export interface ChainworksPush<Data = object> {
  channel: string;
  /** The stream inside the channel; absent where there is only one. */
  key?: string;
  /** Consecutive per channel and key inside an epoch; all parts of a snapshot carry the number they stand for. */
  sequence: number;
  /** On snapshots and on the first push of an epoch. */
  epoch?: string;
  /** `snapshot`: part of the present state, replaces what was known of the item. */
  type: 'snapshot' | 'update';
  time: number;
  /** Instrument or product, where a stream carries several. */
  item?: string;
  action?: string;
  data: Data;
}

/** `data` of a push of a book: levels as [price, quantity], best first in a snapshot; quantity "0" removes one. */
export interface ChainworksBook {
  bids: [price: string, quantity: string][];
  asks: [price: string, quantity: string][];
}
