/** The WebSocket words of the ETHGas dialect. Prices and quantities are decimal strings, times milliseconds since 1970. */

export const MARKET_TYPES = Object.freeze(['inclusionPreconf', 'wholeBlock'] as const);
export type MarketType = (typeof MARKET_TYPES)[number];

/** One channel as the venue's reference lists it. */
export interface EthgasChannelRow {
  readonly name: string;
  /** True if a subscriber must be logged in. */
  readonly private: boolean;
  /** True if `marketType` belongs to the subscription. */
  readonly marketType: boolean;
  /** What a push tells. */
  readonly tells: string;
}

const channel = (name: string, access: 'public' | 'private', marketType: boolean, tells: string) =>
  Object.freeze({ name, private: access === 'private', marketType, tells }) satisfies EthgasChannelRow;

export const ETHGAS_CHANNELS: readonly EthgasChannelRow[] = Object.freeze([
  channel('preconfMarketUpdate', 'public', true, 'state, limits and fees of a market'),
  channel('candlestickUpdate', 'public', true, 'the current candle of an instrument'),
  channel('recentTradeUpdate', 'public', true, 'a trade'),
  channel('orderBookUpdate', 'public', true, 'price levels with absolute quantities; "0" removes a level'),
  channel('tickerUpdate', 'public', true, 'the day summary of an instrument'),
  channel('inclusionPreconfSaleUpdate', 'public', false, 'what was sold for a slot'),
  channel('blockBuilderUpdate', 'public', false, 'the builder of a slot, as a BLS public key'),
  channel('accountOrderUpdate', 'private', true, 'an order of the account'),
  channel('accountTransactionUpdate', 'private', true, 'a fill of the account'),
  channel('accountPositionUpdate', 'private', true, 'a position of the account'),
  channel('preconfBundleUpdate', 'private', false, 'bundles of the account in a slot'),
  channel('userOrder', 'private', false, 'named by python-ethgas; no push was ever recorded'),
  channel('userTrade', 'private', false, 'named by python-ethgas; no push was ever recorded'),
]);

/** Words that a push may carry as its action. */
export const ETHGAS_ACTIONS = Object.freeze([
  'NewEpoch',
  'MarketExpiry',
  'Snapshot',
  'BlockBuilderChanged',
  'BundleSubmissionDeadline',
] as const);

/** Where a reader is in a stream (additive): sequences are consecutive inside an epoch. */
export interface WirePosition {
  epoch: string;
  sequence: number;
}

/** One entry of `args`. Unknown members are ignored and echoed. */
export interface EthgasArg {
  channel: string;
  marketType?: MarketType;
  /** Additive: continue after this position; keyed by account id where a channel has one stream per account. */
  recover?: WirePosition | Record<string, WirePosition>;
  [member: string]: unknown;
}

/** A request as python-ethgas phrases it. */
export interface EthgasOpRequest {
  op: 'login' | 'logout' | 'subscribe' | 'unsubscribe' | 'query' | 'ping';
  args?: object | object[];
  /** Echoed in every answer to this message. */
  id?: number | string;
}

/** A request as the venue's newer pages phrase it. */
export interface EthgasCmdRequest {
  cmd: EthgasOpRequest['op'];
  data?: object | object[];
  args?: object | object[];
  id?: number | string;
}

/** An answer to an `op` request. `code` 0 is success; else the numeric error table. */
export interface EthgasEvent {
  event: string;
  arg?: EthgasArg;
  code: number;
  msg: string;
  connId: string;
  /** Additive: what to do about an error. */
  hint?: string;
  id?: number | string;
  /** Additive, on subscribe: where the stream was when the subscription began. */
  position?: WirePosition | Record<string, WirePosition>;
  /** Additive, where recovery was asked for: false = what follows does not join up with what was read before. */
  recovered?: boolean | Record<string, boolean>;
}

/** An answer to a `cmd` request. Errors other than of `login` say `cmd: "error"` and name the request. */
export interface EthgasCmdAnswer {
  cmd: string;
  status: 'success' | 'error';
  data: { status: 'success' | 'error'; [member: string]: unknown };
  error?: { code: number; message: string; hint?: string };
  id?: number | string;
}

/** A push to a client that phrases its requests with `op`. */
export interface EthgasPush<Payload = object> {
  e: string;
  /** Milliseconds since 1970. */
  E: number;
  /** Instrument id. */
  s?: string;
  a?: string;
  P: Payload;
  /** Additive: the stream inside the channel (market type, account id); absent where there is only one. */
  key?: string;
  /** Additive: consecutive per channel and key. */
  sequence: number;
  /** Additive: on snapshots and on the first push of an epoch. */
  epoch?: string;
}

/** The same push to a client that phrases its requests with `cmd`. */
export interface EthgasCmdPush<Payload = object> extends Omit<EthgasPush, 'P'> {
  cmd: string;
  data: Payload;
}

/** Payload of `orderBookUpdate`. Quantities are absolute; "0" removes the level. */
export interface EthgasBook {
  a: { p: string; q: string }[];
  b: { p: string; q: string }[];
  /** Instrument id. */
  I?: string;
  /** Milliseconds since 1970. */
  t: number;
}
