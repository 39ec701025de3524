export { type ApiKey, type ApiKeyOptions, createApiKey, type KeyForm } from './api-key.ts';
export { type Backoff, type BackoffOptions, createBackoff } from './backoff.ts';
export { Book, type LevelChange } from './books/book.ts';
export type { OrderBook, OrderBookEvents } from './books/order-book.ts';
export type { Level } from './books/side.ts';
export { type Clock, systemClock } from './clock.ts';
export type { Credential, InvalidReason, WaitOptions, WebSocketLogin } from './credential.ts';
export {
  CLIENT_ERRORS,
  type ClientErrorCode,
  ConnectionError,
  CountersignError,
  CredentialError,
  isRetryable,
  RefusedError,
  RelayError,
  type Remedy,
  SessionError,
  SignerError,
  StoreError,
  UsageError,
} from './errors.ts';
export type { Listenable, Unsubscribe } from './events.ts';
export { type CoinbaseDialectOptions, coinbaseDialect } from './feed/coinbase-dialect.ts';
export type { FeedDialect } from './feed/dialect.ts';
export { ethgasDialect } from './feed/ethgas-dialect.ts';
export {
  createFeed,
  type Feed,
  type FeedEvents,
  type FeedOptions,
  type FeedStats,
} from './feed/feed.ts';
export type { SubscribeOptions } from './feed/streams.ts';
export type { Backpressure, Subscription, SubscriptionStatus } from './feed/subscription.ts';
export type { FeedUpdate, Position, Resync, ResyncReason, StreamUpdate } from './feed/update.ts';
export { createHandshakeToken, type HandshakeToken } from './handshake-token.ts';
export {
  type ChainworksPreset,
  type CoinbasePreset,
  type EthgasPreset,
  presets,
} from './presets.ts';
export {
  type MeasuredRelay,
  type NearestOptions,
  parseRelayUrl,
  type Relay,
  type RelayUrl,
  relays,
} from './relays.ts';
export type { SessionInfo } from './session/session-calls.ts';
export type { SessionEvents, SessionState, SessionStats, TokenEvent } from './session/session-events.ts';
export {
  createWalletSession,
  type WalletSession,
  type WalletSessionOptions,
} from './session/wallet-session.ts';
export type { Eip1193Provider } from './signers/eip1193.ts';
export type {
  Ethers5Signer,
  EthersSigner,
  LoginSigner,
  SignerInput,
  ViemAccount,
  ViemWalletClient,
} from './signers/signer.ts';
export { type EncryptionKey, type EncryptionOptions, encryptedStore } from './stores/encrypted.ts';
export { type LocalStorageOptions, localStorageStore } from './stores/local-storage.ts';
export { memoryStore } from './stores/memory.ts';
export type { SessionStore } from './stores/store.ts';
export type { Drop, LinkState } from './transport/link.ts';
export type { SocketConstructor, SocketLike } from './transport/socket.ts';
