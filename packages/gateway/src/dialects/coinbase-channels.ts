import { COINBASE_CHANNELS } from '@countersign/protocol';
import { type ChannelKind, type ChannelTable, channelTable } from '../streams/channel.ts';

const KINDS: ReadonlyMap<string, ChannelKind> = new Map([
  ['level2', 'book'],
  ['market_trades', 'log'],
  ['user', 'log'],
]);

/** A `latest` stream recovers from its newest values, so a few publications are enough. */
const HISTORY = { latest: 100, book: 1000, log: 1000 } as const;

/** @param level2PerConnection most level2 products on one connection */
export function coinbaseChannels(level2PerConnection: number): ChannelTable {
  return channelTable(
    COINBASE_CHANNELS.map((row) => {
      const kind = KINDS.get(row.name) ?? 'latest';
      return {
        name: row.name,
        kind,
        audience: row.private ? 'user' : 'public',
        permission: row.private ? 'account_updates' : null,
        keyedBy: row.products ? 'product' : 'nothing',
        history: HISTORY[kind],
        ...(row.wireName === row.name ? {} : { wireName: row.wireName }),
        ...(row.name === 'level2' ? { perConnection: level2PerConnection } : {}),
      };
    }),
  );
}
