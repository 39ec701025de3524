/** What a subscriber is given. */

/** A place in a stream: sequences are consecutive inside an epoch, and mean nothing across epochs. */
export interface Position {
  readonly epoch: string;
  readonly sequence: number;
}

/** One message of a stream. */
export interface StreamUpdate<Data = unknown> {
  /** `snapshot`: part of the present state, in place of what was known of its item. */
  readonly type: 'snapshot' | 'update';
  /** As it was subscribed to. */
  readonly channel: string;
  /** The stream inside the channel: a product, a market type, an account; '' where there is only one. */
  readonly key: string;
  /** Product or instrument, where one stream carries several; else null. */
  readonly item: string | null;
  /** A word of the venue (`NewEpoch`, ...), or null. */
  readonly action: string | null;
  /** Null where the server numbers nothing, or numbers connections instead of streams. */
  readonly sequence: number | null;
  /** Null where the server tells none. */
  readonly epoch: string | null;
  /** When the server says it happened, milliseconds since 1970; null where it says nothing. */
  readonly time: number | null;
  /** As it came: one event (coinbase), `P` (ethgas), `data` (chainworks). */
  readonly data: Data;
}

/**
 * - `gap`: a message was lost on the way; `incomplete`: what should have opened the stream did not come whole
 * - `reconnect`: there is a new connection
 * - `server`: the server replaced the state, because the reader or the server itself had fallen behind
 * - `slow`: the subscriber did not keep up with its bounded buffer
 * - `joined`: another subscriber of the same stream needed a snapshot
 * - `resume`: the subscription began at the position that its `recover` names
 * - `malformed`: something came that the book could not apply
 */
export type ResyncReason =
  | 'gap'
  | 'incomplete'
  | 'reconnect'
  | 'server'
  | 'slow'
  | 'joined'
  | 'resume'
  | 'malformed';

/** Stands in the stream exactly where it was interrupted. Never is there a hole without one. */
export interface Resync {
  readonly type: 'resync';
  readonly channel: string;
  readonly key: string;
  readonly reason: ResyncReason;
  /** True: what was missed follows, nothing is lost. False: what follows does not join up with what came before. */
  readonly recovered: boolean;
}

export type FeedUpdate<Data = unknown> = StreamUpdate<Data> | Resync;
