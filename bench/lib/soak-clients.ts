/** Clients of a soak, each with an oracle: what it was given against what was published. */
import {
  coinbaseDialect,
  createFeed,
  ethgasDialect,
  type Feed,
  type FeedUpdate,
  type OrderBook,
  type WalletSession,
} from '@countersign/client';
import { NodeWebSocket } from '@countersign/client/node';
import { createSocketClient, type SocketClient } from '@countersign/client/socketio';
import { type BookTruth, fingerprint, type Tally } from './soak-truth.ts';

export interface SoakClient {
  readonly name: string;
  /** The newest entry of each log that it has seen. */
  readonly newest: Map<string, number>;
  readonly books: readonly OrderBook[];
  readonly stats: () => { connects: number; logins: number; gaps: number; recovered: number; lost: number };
  close(): Promise<void>;
}

/** What entries of logs carry: a number that goes up by one for each, over epochs and restarts. */
const numberIn = (data: unknown): number | null => {
  const { n, trades, orders } = data as {
    n?: string;
    trades?: { trade_id: string }[];
    orders?: { order_id: string }[];
  };
  const text = n ?? trades?.[0]?.trade_id ?? orders?.[0]?.order_id;
  return text === undefined ? null : Number(text);
};

/** Checks one log as it comes. */
function logOracle(tally: Tally, newest: Map<string, number>): (update: FeedUpdate) => void {
  const told = new Set<string>();
  return (update) => {
    const stream = `${update.channel}/${update.key}`;
    if (update.type === 'resync') {
      if (update.recovered) return;
      told.add(stream);
      tally.told += 1;
      return;
    }
    if (update.type === 'snapshot') return;
    const seen = numberIn(update.data);
    if (seen === null) return;
    tally.updates += 1;
    const last = newest.get(stream);
    if (last !== undefined && seen <= last) tally.duplicates += 1;
    else if (last !== undefined && seen !== last + 1 && !told.has(stream)) tally.undetected += 1;
    told.delete(stream);
    newest.set(stream, Math.max(seen, last ?? 0));
  };
}

const whole = (book: OrderBook): number => {
  const texts = (levels: ReturnType<OrderBook['bids']>) =>
    levels.map(({ price, quantity }) => `${price}:${quantity}`);
  return fingerprint(texts(book.bids()), texts(book.asks()));
};

/** Claims what a book is at every change. */
function bookOracle(truth: BookTruth, name: string, book: OrderBook): void {
  book.on('change', () => {
    const { epoch, sequence } = book;
    if (sequence === null || epoch === null) return;
    truth.claim(`${name}/${epoch}`, sequence, truth.isWhole(sequence) ? whole(book) : book.checksum());
  });
}

export interface Surroundings {
  tally: Tally;
  truth: BookTruth;
  /** It will not come back: with an error if the server said so. */
  onOver(error: Error | null): void;
}

const count = (errors: Map<string, number>, error: Error) => {
  const { code } = error as { code?: string };
  const name = code ?? error.name;
  errors.set(name, (errors.get(name) ?? 0) + 1);
};

const wordsOf = (dialect: 'ethgas' | 'coinbase') =>
  dialect === 'ethgas' ? ethgasDialect() : coinbaseDialect();

export function webSocketClient(
  name: string,
  dialect: 'ethgas' | 'coinbase',
  url: string,
  session: WalletSession,
  { tally, truth, onOver }: Surroundings,
): SoakClient {
  const feed: Feed = createFeed({
    url,
    dialect: wordsOf(dialect),
    credential: session,
    WebSocket: NodeWebSocket,
  });
  const newest = new Map<string, number>();
  feed.on('error', ({ error }) => count(tally.errors, error));
  feed.on('ended', ({ error }) => {
    tally.ended += error === null ? 0 : 1;
    onOver(error);
  });
  const subscribe = (options: Parameters<Feed['subscribe']>[0]) => {
    const subscription = feed.subscribe(options, logOracle(tally, newest));
    subscription.ready.catch((error: Error) => count(tally.errors, error));
  };
  let book: OrderBook;
  if (dialect === 'ethgas') {
    subscribe({ channel: 'recentTradeUpdate', market: 'wholeBlock' });
    subscribe({ channel: 'accountTransactionUpdate', market: 'wholeBlock' });
    book = feed.orderBook('ETH-WB-1');
    bookOracle(truth, 'orderBookUpdate/wholeBlock', book);
  } else {
    subscribe({ channel: 'market_trades', product: 'ETH-USD' });
    subscribe({ channel: 'user' });
    book = feed.orderBook('ETH-USD');
    bookOracle(truth, 'level2/ETH-USD', book);
  }
  return { name, newest, books: [book], stats: () => feed.stats, close: () => feed.close() };
}

export function socketIoClient(
  name: string,
  url: string,
  session: WalletSession,
  { tally, truth, onOver }: Surroundings,
): SoakClient {
  const client: SocketClient = createSocketClient({ url, token: session });
  const newest = new Map<string, number>();
  client.on('error', ({ error }) => count(tally.errors, error));
  client.on('state', (state) => {
    if (state.status !== 'closed') return;
    tally.ended += state.error === null ? 0 : 1;
    onOver(state.error);
  });
  for (const options of [
    { channel: 'market_trades', product: 'ETH-USD' },
    { channel: 'accountTransactionUpdate', market: 'wholeBlock' },
  ]) {
    const subscription = client.subscribe(options, logOracle(tally, newest));
    subscription.ready.catch((error: Error) => count(tally.errors, error));
  }
  const book = client.orderBook('ETH-USD');
  bookOracle(truth, 'level2/ETH-USD', book);
  return { name, newest, books: [book], stats: () => client.stats, close: () => client.close() };
}
