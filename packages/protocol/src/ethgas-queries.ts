/** One-off questions over the socket in the ETHGas dialect. Apart from its channels: clients that only listen load none of this. */

/** One kind of one-off question over the socket. */
export interface EthgasQueryRow {
  readonly name: string;
  readonly private: boolean;
  /** Arguments besides `queryType`; none of them is checked here. */
  readonly args: readonly string[];
}

const query = (name: string, access: 'public' | 'private', ...args: string[]) =>
  Object.freeze({ name, private: access === 'private', args: Object.freeze(args) }) satisfies EthgasQueryRow;

export const ETHGAS_QUERIES: readonly EthgasQueryRow[] = Object.freeze([
  query('preconfMarkets', 'public', 'marketType'),
  query('orderBook', 'public', 'marketType'),
  query('orderBooks', 'public', 'marketId'),
  query('currentSlot', 'public'),
  query('candlesticks', 'public', 'instrumentId', 'interval'),
  query('recentTrades', 'public', 'instrumentId', 'limit'),
  query('inclusionPreconfTopSales', 'public'),
  query('currentBlockBuilder', 'public', 'slot'),
  query('blockSpaceSale', 'public'),
  query('openOrders', 'private', 'accountId', 'instrumentId', 'pricerOnly', 'startId'),
  query('accountPositions', 'private', 'marketType', 'accountId', 'pricerOnly'),
  query('currentPositions', 'private', 'marketType', 'accountId'),
  query('preconfBundles', 'private', 'slot'),
]);
