/**
 * What the stream half asks of whoever signs in. Three things implement it: a wallet session, an API key and a
 * handshake token. A stream never sees keys, refresh tokens or signers.
 *
 * How a stream uses one:
 * - It calls `webSocketLogin` for every connection attempt and, where `perMessage` is true, for every message that
 *   carries a token. It never keeps a token for later: a token that was good for the last connection may not be
 *   good for the next.
 * - It listens with `onRenewed` and presents the new token on the open connection (`cmd: login`), before the old one
 *   expires.
 * - When the server refuses a token it calls `invalidate` with that token, waits for its own backoff, and asks again
 *   once. If that is refused too it stops and reports: it never loops.
 */
export interface WebSocketLogin {
  /**
   * - `access-token`: a session's token. In the ethgas dialect `{cmd:"login", data:{accessToken}}`; Socket.IO takes it
   *   in `auth.token`; where the platform allows headers on the upgrade, `Authorization: Bearer`.
   * - `message-jwt`: a JWT that an API key signed, for the member `jwt` of one coinbase `subscribe`/`unsubscribe`.
   * - `handshake`: a provisioned token, for `auth.token` of a Socket.IO connection.
   */
  readonly scheme: 'access-token' | 'message-jwt' | 'handshake';
  /** The secret itself. Keep it out of logs, errors and URLs. */
  readonly token: string;
  /** True: sign every message with a login of its own; false: one login per connection and renewal. */
  readonly perMessage: boolean;
  /** When it ends by this machine's clock, in milliseconds since 1970 (skew taken out); null = not known. */
  readonly expiresAt: number | null;
}

/** Why a token is of no use any more: the server said it has expired, or refused it. */
export type InvalidReason = 'expired' | 'refused';

export interface WaitOptions {
  /** Ends this wait. Work that others share (a refresh under way) goes on. */
  readonly signal?: AbortSignal;
}

export interface Credential {
  readonly kind: 'wallet-session' | 'api-key' | 'handshake-token';
  /** Who this is, for people: an address, a key's name. Never a secret. Null where nothing is known. */
  readonly label: string | null;
  /**
   * What to present now. Refreshes or logs in first where that is needed; a call while that is under way joins it.
   *
   * @throws CountersignError; its `remedy` says whether another attempt can help. Throws the signal's reason if aborted
   */
  webSocketLogin(options?: WaitOptions): Promise<WebSocketLogin>;
  /**
   * Told after each renewal that the stream did not ask for itself: present the new login on open connections. Never
   * called for credentials that sign per message. Called on the renewal's stack: must not block.
   *
   * @returns takes the listener away
   */
  onRenewed(listener: (login: WebSocketLogin) => void): () => void;
  /**
   * Told that access has ended for good as far as can be known here (logged out, or only the user can sign in again).
   * Streams stop private subscriptions; public ones may go on.
   *
   * @returns takes the listener away
   */
  onEnded(listener: (error: Error) => void): () => void;
  /**
   * The server did not take this token. Ignored when a newer one is in use already, so that any number of late
   * complaints about one token cause one renewal. Returns at once; the next `webSocketLogin` waits for the outcome.
   */
  invalidate(token: string, reason: InvalidReason): void;
  /**
   * A time that the server just sent, in milliseconds since 1970 (a `timestamp` or `E` member): corrects for this
   * machine's clock. Calling it for every frame is fine.
   */
  noteServerTime(serverTime: number): void;
}
