/**
 * WebSocket close codes (RFC 6455 section 7.4) as this product uses them.
 *
 * Two facts of real clients shape the table: python-ethgas treats 1000 and 4000 as a normal end and never
 * reconnects after any other code; coinbase-advanced-py goes silent on 1000 and 1001. So 1000 and 1001 are
 * never sent, and 4000 is sent only where reconnecting would be wrong.
 */
export interface CloseCode {
  readonly code: number;
  /** Sent as the close reason: a constant, at most 123 bytes (RFC 6455 section 5.5.1). */
  readonly reason: string;
  /** What the client should do: `stop`, `reconnect`, or `recover` (reconnect and name the last position). */
  readonly then: 'stop' | 'reconnect' | 'recover';
}

const close = (code: number, reason: string, then: CloseCode['then']): CloseCode =>
  Object.freeze({ code, reason, then });

export const CLOSE = Object.freeze({
  /** The session, key or token behind the connection was ended on purpose. */
  goodbye: close(4000, 'goodbye: access has ended', 'stop'),
  /** Neither logged in nor joined a public channel in time. */
  idle: close(4100, 'idle: log in or subscribe in time', 'reconnect'),
  /** A stream that may not skip anything outgrew its queue. */
  slow: close(4101, 'slow reader: reconnect and recover', 'recover'),
  /** Another identity was presented on a connection that already has one. */
  identity: close(4102, 'identity: open a new connection', 'reconnect'),
  protocol: close(1002, 'protocol error', 'stop'),
  invalidText: close(1007, 'invalid UTF-8', 'stop'),
  policy: close(1008, 'policy: limit exceeded', 'reconnect'),
  tooLarge: close(1009, 'message too large', 'stop'),
  internal: close(1011, 'internal error', 'reconnect'),
  restart: close(1012, 'restart: reconnect elsewhere', 'recover'),
  overload: close(1013, 'try again later', 'reconnect'),
} as const);

export type CloseName = keyof typeof CLOSE;
