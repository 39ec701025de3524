/** Channels behind `subscribe` of the Socket.IO door: those of all venues, under their own names. */
import { COINBASE_CHANNELS, ETHGAS_CHANNELS } from '@countersign/protocol';
import type { LevelChange } from '../books/book.ts';
import type { ChannelInfo } from '../feed/channel.ts';
import { isObject } from '../feed/read-json.ts';

const BOOKS: ReadonlySet<string> = new Set(['level2', 'orderBookUpdate']);
const LOGS: ReadonlySet<string> = new Set([
  'market_trades',
  'user',
  'recentTradeUpdate',
  'accountOrderUpdate',
  'accountTransactionUpdate',
  'preconfBundleUpdate',
  'userOrder',
  'userTrade',
]);

const info = (
  name: string,
  isPrivate: boolean,
  more: Pick<ChannelInfo, 'keyedBy' | 'perAccount'>,
): ChannelInfo => ({
  name,
  private: isPrivate,
  kind: BOOKS.has(name) ? 'book' : LOGS.has(name) ? 'log' : 'latest',
  perConnection: Number.POSITIVE_INFINITY,
  opensWithSnapshot: BOOKS.has(name),
  patchesFollowSnapshot: false,
  tracked: name !== 'heartbeats',
  ...more,
});

export const socketChannels: ReadonlyMap<string, ChannelInfo> = new Map([
  ...COINBASE_CHANNELS.map((row): [string, ChannelInfo] => [
    row.name,
    info(row.name, row.private, { keyedBy: row.products ? 'product' : 'nothing', perAccount: false }),
  ]),
  ...ETHGAS_CHANNELS.map((row): [string, ChannelInfo] => [
    row.name,
    info(row.name, row.private, { keyedBy: row.marketType ? 'market' : 'nothing', perAccount: row.private }),
  ]),
]);

/** Levels in the `data` of a push of a book; null if it is none. */
export function bookLevels(data: unknown): LevelChange[] | null {
  if (!isObject(data) || !Array.isArray(data.bids) || !Array.isArray(data.asks)) return null;
  const side = (name: 'bid' | 'ask', list: readonly unknown[]) =>
    list.map((level): LevelChange => {
      const [price, quantity] = Array.isArray(level) ? level : [];
      return [name, price, quantity];
    });
  return [...side('bid', data.bids), ...side('ask', data.asks)];
}

export function mergeBooks(older: unknown, newer: unknown): unknown {
  if (!isObject(older) || !isObject(newer)) return newer;
  const merged = (...lists: unknown[]) => {
    const levels = new Map<unknown, unknown>();
    for (const list of lists)
      for (const level of Array.isArray(list) ? list : []) levels.set(level[0], level);
    return [...levels.values()];
  };
  return { ...newer, bids: merged(older.bids, newer.bids), asks: merged(older.asks, newer.asks) };
}
