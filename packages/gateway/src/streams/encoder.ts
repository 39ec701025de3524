import type { Channel } from './channel.ts';
import type { BookLevel, Position, Publication } from './publication.ts';

/** The state of a stream at a position: what a new subscriber needs before the next publication. */
export interface Snapshot {
  channel: Channel;
  key: string;
  position: Position;
  /** Wall-clock milliseconds of the newest publication in it. */
  time: number;
  /** For `latest`: the newest publication of each item. For `log`: the tail that the channel shows, oldest first. */
  publications: readonly Publication[];
  /** For `book`: the whole book of each item (item '' where the stream has only one), best levels first. */
  books: ReadonlyMap<string, { levels: readonly BookLevel[]; checksum: number; time: number }>;
}

/**
 * Turns publications into ready frames, complete to the last byte. One encoder object is shared by all
 * connections that speak the same form of a dialect; the hub encodes each publication once per encoder.
 * Pure: the same publication always gives the same bytes.
 */
export interface Encoder {
  /** A frame, or null if this form shows nothing for it. */
  publication(channel: Channel, publication: Publication): Uint8Array | null;
  /** Frames in order; may be empty. `resync` is true when it replaces what the reader already had. */
  snapshot(snapshot: Snapshot, resync: boolean): Uint8Array[];
}
