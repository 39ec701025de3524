import { ETHGAS_CHANNELS, ETHGAS_QUERIES, type EthgasChannelRow } from '@countersign/protocol';
import { type Channel, type ChannelKind, type ChannelTable, channelTable } from '../streams/channel.ts';

/** Everything that is not listed is a `log`: losing nothing is the safe promise. */
const KINDS: ReadonlyMap<string, ChannelKind> = new Map([
  ['orderBookUpdate', 'book'],
  ['preconfMarketUpdate', 'latest'],
  ['candlestickUpdate', 'latest'],
  ['tickerUpdate', 'latest'],
  ['inclusionPreconfSaleUpdate', 'latest'],
  ['blockBuilderUpdate', 'latest'],
  ['accountPositionUpdate', 'latest'],
]);

/** A `latest` stream recovers from its newest values, so a few publications are enough. */
const HISTORY = { latest: 100, book: 1000, log: 1000 } as const;

function toChannel(row: EthgasChannelRow): Channel {
  const kind = KINDS.get(row.name) ?? 'log';
  return {
    name: row.name,
    kind,
    audience: row.private ? 'account' : 'public',
    permission: row.private ? 'account_updates' : null,
    keyedBy: row.marketType ? 'marketType' : 'nothing',
    history: HISTORY[kind],
  };
}

export const ethgasChannels: ChannelTable = channelTable(ETHGAS_CHANNELS.map(toChannel));

/** True where a query is answered only for whoever is signed in. */
export const ethgasQueries: ReadonlyMap<string, boolean> = new Map(
  ETHGAS_QUERIES.map((row) => [row.name, row.private]),
);
