export { type ApiKey, type ApiKeyOptions, createApiKey, type KeyForm } from './api-key.ts';
export { type Backoff, type BackoffOptions, createBackoff } from './backoff.ts';
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
