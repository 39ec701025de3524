/**
 * Speed: carries publications and hints between the parts of a node, and between nodes. It gives each stream
 * its sequence numbers and keeps a bounded history; losing it loses no truth (that is the store's).
 * One contract suite (`test/broker/contract.ts`) runs on every implementation.
 */
import type { Position, Publication, StreamId } from '../streams/publication.ts';

/** What a publisher hands in; the broker adds epoch and sequence. */
export type Draft = Omit<Publication, 'epoch' | 'sequence'>;

export interface PublishOptions {
  /** Publishing the same key again within five minutes returns the first receipts and publishes nothing. */
  idempotencyKey?: string;
}

export interface Receipt extends Position {
  stream: StreamId;
  /** True when the idempotency key had been seen. */
  duplicate: boolean;
}

/**
 * All that a stream still remembers after a position, or the word that it does not reach that far back.
 * `tail` is then everything still remembered up to `head`, oldest first, for a node that has to start somewhere.
 */
export type History =
  | { complete: true; publications: readonly Publication[]; head: Position }
  | { complete: false; tail: readonly Publication[]; head: Position };

/** A value now or later. An in-process broker answers at once, and then a subscriber need not wait either. */
export type Awaitable<T> = T | Promise<T>;

/** A hint from one node to all, itself included. Carries no truth: receivers read the store. */
export type Signal =
  | { kind: 'access-changed'; sequence: number }
  | { kind: 'session-extended'; sid: string; expiresAt: number };

export interface Broker {
  /**
   * Appends drafts, each to its stream, in the order given; all of them or none. What is handed in must not be
   * changed afterwards. A publisher that finds a new epoch in a receipt knows that the stream was forgotten,
   * and publishes its full state again (for a book: with `reset`). Appending to history and delivering are atomic
   * per publication: whoever reads history up to a sequence sees later ones delivered.
   *
   * @throws Refusal `unknown_channel` for a channel that is not in the table
   */
  publish(drafts: readonly Draft[], options?: PublishOptions): Promise<Receipt[]>;
  /**
   * Everything after `since`, or `complete: false` if the epoch differs, history is shorter than that, or
   * `since` lies ahead of the stream. `null` asks for everything since the stream began.
   */
  history(stream: StreamId, since: Position | null): Awaitable<History>;
  /** Newest position; sequence 0 means nothing was published in this epoch. */
  head(stream: StreamId): Awaitable<Position>;
  /** True if the stream of a public channel keyed by product is remembered, as far as this node knows. */
  knows(channel: string, key: string): boolean;
  /**
   * Called in stream order, synchronously with delivery, and never while it is still running: what it publishes
   * itself is delivered after it returns. Must not throw. One listener per node.
   */
  onPublication(listener: (publication: Publication) => void): void;
  /**
   * Told when publications may have passed this node by, in any stream: the streams are then to be compared with
   * {@link head}. Between this word and the time it was lost, readers are behind, never ahead. A broker within the
   * process has no gaps and never calls it.
   */
  onGap(listener: () => void): void;
  signal(signal: Signal): Promise<void>;
  /** Any number of listeners; each hears every signal and must not throw. */
  onSignal(listener: (signal: Signal) => void): void;
  close(): Promise<void>;
}
