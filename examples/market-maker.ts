/**
 * The skeleton of a market maker: one quote on each side, moved when the market moves. The pricing is a toy; what
 * surrounds it is not. It never quotes from a book that may be old, it knows its orders from the venue and not from
 * memory, and a restart at any moment leaves nothing in the market.
 *
 *     npx tsx examples/market-maker.ts
 */
import { randomUUID } from 'node:crypto';
import { coinbaseDialect, createFeed } from '@countersign/client';
import { apiKeyFromFile, NodeWebSocket } from '@countersign/client/node';
import { apiKeyFile, count, stop, url, webSocketUrl } from './settings.ts';

const PRODUCT = 'ETH-USD';
const SIZE = '0.05';
const SPREAD = 0.004;
/** A quote is moved when the price that it should have differs by this share. */
const TOLERANCE = 0.0005;
const BASE = '/api/v3/brokerage';
/** Every order of this bot begins so, in every run: the orders of a person who trades beside it are left alone. */
const MARK = 'example-mm-';

interface Order {
  order_id: string;
  client_order_id: string;
  side: 'BUY' | 'SELL';
}
interface Quote {
  id: string;
  price: number;
}

const key = await apiKeyFromFile(apiKeyFile);
const feed = createFeed({
  url: webSocketUrl,
  dialect: coinbaseDialect(),
  credential: key,
  WebSocket: NodeWebSocket,
});
const quotes: Record<Order['side'], Quote | null> = { BUY: null, SELL: null };

async function api<Answer>(method: string, path: string, body?: object): Promise<Answer> {
  const answer = await key.fetch(`${url}${BASE}${path}`, {
    method,
    ...(body === undefined
      ? {}
      : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
    // An order that hangs is worse than one that fails.
    signal: AbortSignal.timeout(5000),
  });
  if (!answer.ok) throw new Error(`${method} ${path} was answered with ${answer.status}`);
  return (await answer.json()) as Answer;
}

/** Takes back whatever of ours is in the market, by the venue's list: also what an earlier run left behind. */
async function cancelAll(): Promise<void> {
  const { orders } = await api<{ orders: Order[] }>(
    'GET',
    `/orders/historical/batch?order_status=OPEN&product_ids=${PRODUCT}`,
  );
  const own = orders.filter(({ client_order_id }) => client_order_id.startsWith(MARK));
  quotes.BUY = null;
  quotes.SELL = null;
  if (own.length === 0) return;
  await api('POST', '/orders/batch_cancel', { order_ids: own.map(({ order_id }) => order_id) });
  console.log(`cancelled ${own.length}`);
}

async function quote(side: Order['side'], price: number): Promise<void> {
  const old = quotes[side];
  if (old !== null && Math.abs(old.price - price) / price < TOLERANCE) return;
  if (old !== null) await api('POST', '/orders/batch_cancel', { order_ids: [old.id] });
  quotes[side] = null;
  const limit = { base_size: SIZE, limit_price: price.toFixed(2), post_only: true };
  const { success, success_response: placed } = await api<{ success: boolean; success_response?: Order }>(
    'POST',
    '/orders',
    {
      client_order_id: `${MARK}${randomUUID()}`,
      product_id: PRODUCT,
      side,
      order_configuration: { limit_limit_gtc: limit },
    },
  );
  if (success && placed) {
    quotes[side] = { id: placed.order_id, price };
    console.log(`${side} ${SIZE} at ${limit.limit_price}`);
  }
}

const book = feed.orderBook(PRODUCT);
// Fills and cancellations come from the venue. After a hole in them, what we believe of our orders is worth nothing.
let suspicious = false;
const fills = feed.subscribe({ channel: 'user', product: PRODUCT }, (update) => {
  if (update.type === 'resync') suspicious ||= !update.recovered;
  else if (/"status":"(?:FILLED|CANCELLED|FAILED)"/.test(JSON.stringify(update.data))) suspicious = true;
});

let working = false;
let rounds = 0;
async function round(): Promise<void> {
  // One round at a time: the next change of the book begins the next one.
  if (working || stop.signal.aborted) return;
  working = true;
  try {
    if (book.stale || suspicious) {
      suspicious = false;
      await cancelAll();
    }
    const { bestBid, bestAsk } = book;
    if (book.stale || bestBid === null || bestAsk === null) return;
    const middle = (Number(bestBid.price) + Number(bestAsk.price)) / 2;
    await quote('BUY', middle * (1 - SPREAD / 2));
    await quote('SELL', middle * (1 + SPREAD / 2));
    rounds += 1;
    if (rounds >= count) stop.abort();
  } catch (error) {
    // Whether an order that failed is in the market is not known: ask the venue before going on.
    suspicious = true;
    console.error((error as Error).message);
  } finally {
    working = false;
  }
}

await cancelAll();
await Promise.all([book.ready, fills.ready]);
book.on('change', () => void round());
book.on('stale', () => void round());
const stopped = new Promise((resolve) => stop.signal.addEventListener('abort', resolve, { once: true }));
void round();
await stopped;
await feed.close();
// Whatever is still under way ends first; then nothing of ours stays.
while (working) await new Promise((resolve) => setTimeout(resolve, 50));
await cancelAll();
