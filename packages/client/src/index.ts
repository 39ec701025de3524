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
