/** Kinds of streams: who may read one, and what a reader gets who cannot keep up. */
import type { Permission } from '../session/principal.ts';

/**
 * What a channel promises to a slow reader (DESIGN "Streams: what is promised"):
 *
 * - `latest`: only the newest value of each item matters; older ones are conflated away
 * - `book`: a snapshot and then absolute updates; a reader that falls behind gets a new snapshot in place
 * - `log`: nothing may be skipped; a reader that falls behind is cut with a code that says "recover"
 */
export type ChannelKind = 'latest' | 'book' | 'log';

export interface Channel {
  /** Name as subscribers write it. */
  readonly name: string;
  readonly kind: ChannelKind;
  /** `public`: anyone. `account`: one stream for each of the principal's accounts. `user`: one stream for the user. */
  readonly audience: 'public' | 'account' | 'user';
  /** Needed besides being signed in; null on public channels. */
  readonly permission: Permission | null;
  /** What the subscriber names besides the channel: a market type, product ids, or nothing. */
  readonly keyedBy: 'marketType' | 'product' | 'nothing';
  /** Publications kept for recovery, per stream. */
  readonly history: number;
  /** Most streams of this channel on one connection; absent = only the connection's own cap counts. */
  readonly perConnection?: number;
  /** Name in data frames where it differs (`level2` is sent as `l2_data`). */
  readonly wireName?: string;
}

/** A read-only table of channels, by name. */
export type ChannelTable = ReadonlyMap<string, Channel>;

export function channelTable(channels: readonly Channel[]): ChannelTable {
  return new Map(channels.map((channel) => [channel.name, Object.freeze({ ...channel })]));
}
