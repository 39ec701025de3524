export {
  CHAINWORKS_NOTICES,
  CHAINWORKS_REQUESTS,
  type ChainworksBook,
  type ChainworksFailure,
  type ChainworksPush,
  type ChainworksRefusal,
  type ChainworksReply,
  type ChainworksRequestRow,
  type ChainworksSubscribe,
  type ChainworksSubscribed,
  type ChainworksSuccess,
  SOCKETIO_RESERVED,
} from './chainworks.ts';
export { CLOSE, type CloseCode, type CloseName } from './close-codes.ts';
export {
  COINBASE_CHANNELS,
  COINBASE_FINAL_ORDER_STATES,
  COINBASE_ORDERS_PER_FRAME,
  type CoinbaseChannelRow,
  type CoinbaseError,
  type CoinbaseFrame,
  type CoinbaseHeartbeat,
  type CoinbaseLevel2Event,
  type CoinbaseRequest,
  type CoinbaseSubscriptions,
} from './coinbase.ts';
export { ERRORS, type ErrorBody, type ErrorCode, type ErrorRow, errorBody, Refusal } from './errors.ts';
export {
  ETHGAS_ACTIONS,
  ETHGAS_CHANNELS,
  type EthgasArg,
  type EthgasBook,
  type EthgasChannelRow,
  type EthgasCmdAnswer,
  type EthgasCmdPush,
  type EthgasCmdRequest,
  type EthgasEvent,
  type EthgasOpRequest,
  type EthgasPush,
  MARKET_TYPES,
  type MarketType,
  type WirePosition,
} from './ethgas.ts';
export { ETHGAS_QUERIES, type EthgasQueryRow } from './ethgas-queries.ts';
export { ACCESS_NOTICES } from './notices.ts';
export {
  type AccessTokenObject,
  type LoginAnswer,
  type LogoutAnswer,
  REFRESH_COOKIES,
  type RestAccount,
  type RestUser,
  type SessionAnswer,
  type Success,
  type UserTokenPayload,
} from './rest.ts';
