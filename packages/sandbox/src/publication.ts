/** What a backend gives the gateway: the JSON of `POST /backend/v1/publish`, as a venue in any language would write it. */

export type Json = string | number | boolean | null | Json[] | { [name: string]: Json };
export type JsonObject = { [name: string]: Json };

export interface Publication {
  channel: string;
  /** What follows the channel in the stream's name; '' for channels keyed by nothing. */
  key: string;
  /** Wall-clock milliseconds. */
  time: number;
  /** The instrument, where a stream carries several. */
  item?: string;
  /** A word that the ethgas dialect passes on (`NewEpoch`, `MarketExpiry`, ...). */
  action?: string;
  /** True when the item is over and leaves the stream's snapshot. */
  remove?: boolean;
  data: JsonObject;
}

/** `book` channels carry absolute quantities; "0" removes the level. */
export type BookLevel = [side: 'bid' | 'ask', price: string, quantity: string];

const BOOKS: ReadonlySet<string> = new Set(['orderBookUpdate', 'level2']);
const LOGS: ReadonlySet<string> = new Set([
  'recentTradeUpdate',
  'market_trades',
  'accountOrderUpdate',
  'accountTransactionUpdate',
  'preconfBundleUpdate',
  'user',
]);

/** What may happen to a channel's publications while the gateway cannot be reached. */
export type Kind = 'book' | 'log' | 'latest';

export const kindOf = (channel: string): Kind =>
  BOOKS.has(channel) ? 'book' : LOGS.has(channel) ? 'log' : 'latest';
