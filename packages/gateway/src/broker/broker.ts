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

/** All that a stream still remembers after a position, or the word that it does not reach that far back. */
export type History =
  | { complete: true; publications: readonly Publication[]; head: Position }
  | { complete: false; head: Position };

/** A hint from one node to all, itself included. Carries no truth: receivers read the store. */
export type Signal =
  | { kind: 'access-changed'; sequence: number }
  | { kind: 'session-extended'; sid: string; expiresAt: number };

export interface Broker {
  /**
   * Appends drafts, each to its stream, in the order given. Appending to history and delivering are atomic
   * per publication: whoever reads history up to a sequence sees later ones delivered.
   */
  publish(drafts: readonly Draft[], options?: PublishOptions): Promise<Receipt[]>;
  /** Everything after `since`, or `complete: false` if the epoch differs or history is shorter than that. */
  history(stream: StreamId, since: Position): Promise<History>;
  /** Newest position; sequence 0 means nothing was published in this epoch. */
  head(stream: StreamId): Promise<Position>;
  /** Called in stream order, synchronously with delivery; must not throw. One listener per node. */
  onPublication(listener: (publication: Publication) => void): void;
  signal(signal: Signal): Promise<void>;
  onSignal(listener: (signal: Signal) => void): void;
  close(): Promise<void>;
}
