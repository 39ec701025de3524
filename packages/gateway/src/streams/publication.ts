/** The currency of the stream side: what a backend publishes and a subscriber is given. */

/** `channel/key`, for example `level2/ETH-USD` or `accountOrderUpdate/inclusionPreconf/243`. */
export type StreamId = string;

/** A place in a stream. Positions of different epochs cannot be compared. */
export interface Position {
  epoch: string;
  /** 0 before the first publication, then consecutive. */
  sequence: number;
}

export type Json = string | number | boolean | null | Json[] | { [name: string]: Json };
export type JsonObject = { [name: string]: Json };

export interface Publication extends Position {
  channel: string;
  /** What follows the channel in the stream id. */
  key: string;
  /** When it happened at the venue, wall-clock milliseconds. */
  time: number;
  /** The instrument or product inside the stream, where a stream carries several. */
  item?: string;
  /** A word that the dialect passes on (`NewEpoch`, `MarketExpiry`, ...). */
  action?: string;
  /** True when the item is over: it leaves the stream's snapshot. */
  remove?: boolean;
  /** For `book` channels a {@link BookChange}; else the payload in the words of the channel's venue. */
  data: JsonObject;
}

/** One level of a book. `quantity` is absolute; "0" removes the level. Both are exact decimal strings. */
export type BookLevel = [side: 'bid' | 'ask', price: string, quantity: string];

/** The neutral form of a book publication. `reset` replaces the whole book. */
export interface BookChange {
  reset?: boolean;
  levels: BookLevel[];
}

export const streamId = (channel: string, key: string): StreamId => `${channel}/${key}`;
