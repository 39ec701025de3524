/**
 * Frames as somebody recorded them from a socket of a real venue, read back into what the venue's own backend
 * would have published. What is not market data (answers, errors, private streams, beats) gives nothing.
 */
import type { BookLevel, Json, JsonObject, Publication } from '../publication.ts';

/** Channels of the Coinbase dialect and the list that their events hold; each entry names its product. */
const LISTS: Readonly<Record<string, string>> = {
  ticker: 'tickers',
  ticker_batch: 'tickers',
  candles: 'candles',
  market_trades: 'trades',
};

/** Channels of the ETHGas dialect that are public and keyed by market type, which the instrument tells. */
const MARKETS: ReadonlySet<string> = new Set([
  'preconfMarketUpdate',
  'candlestickUpdate',
  'recentTradeUpdate',
  'orderBookUpdate',
  'tickerUpdate',
]);

const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** @returns null if the value is no captured frame at all; an empty list for one that is not market data */
export function readCaptured(value: JsonObject): Publication[] | null {
  if (Array.isArray(value.events) && typeof value.timestamp === 'string') return fromCoinbase(value);
  if (typeof value.e === 'string' && typeof value.E === 'number') return fromEthgas(value);
  return null;
}

function fromCoinbase({ channel, timestamp, events }: JsonObject): Publication[] {
  const time = Date.parse(String(timestamp).replace(/(\.\d{3})\d+/, '$1'));
  if (!Number.isFinite(time)) return [];
  return (events as Json[]).filter(isObject).flatMap((event) => {
    if (channel === 'l2_data') return bookOf(event, time);
    const list = LISTS[String(channel)];
    return list === undefined ? [] : byProduct(String(channel), event, list, time);
  });
}

/** Levels as Coinbase writes them: `offer` is its word for an ask, and quantities are absolute. */
function bookOf({ type, product_id, updates }: JsonObject, time: number): Publication[] {
  if (typeof product_id !== 'string' || !Array.isArray(updates)) return [];
  const levels = updates
    .filter(isObject)
    .map(
      ({ side, price_level, new_quantity }): BookLevel => [
        side === 'bid' ? 'bid' : 'ask',
        String(price_level),
        String(new_quantity),
      ],
    );
  const data: JsonObject = type === 'snapshot' ? { reset: true, levels } : { levels };
  return [{ channel: 'level2', key: product_id, time, data }];
}

/** One frame may hold several products; each is a stream of its own here. */
function byProduct(channel: string, event: JsonObject, list: string, time: number): Publication[] {
  const entries = Array.isArray(event[list]) ? event[list].filter(isObject) : [];
  const products = new Map<string, JsonObject[]>();
  for (const entry of entries) {
    const product = entry.product_id;
    // Real batches have been seen with entries that name no product.
    if (typeof product !== 'string' || product === '') continue;
    products.set(product, [...(products.get(product) ?? []), entry]);
  }
  return [...products].map(([key, found]) => ({ channel, key, time, data: { [list]: found } }));
}

function fromEthgas({ e, E, s, a, P }: JsonObject): Publication[] {
  const channel = String(e);
  if (!MARKETS.has(channel) || typeof s !== 'string' || !isObject(P)) return [];
  const key = s.startsWith('ETH-WB-') ? 'wholeBlock' : 'inclusionPreconf';
  const place = { channel, key, time: Number(E), item: s };
  if (channel !== 'orderBookUpdate') return [{ ...place, data: P, ...actionOf(a) }];
  const levels = [...side('bid', P.b), ...side('ask', P.a)];
  return [{ ...place, data: a === 'Snapshot' ? { reset: true, levels } : { levels } }];
}

/** `Snapshot` is a word of the gateway's; the others are the venue's own. */
const actionOf = (action: Json | undefined): { action?: string } =>
  typeof action === 'string' && action !== 'Snapshot' ? { action } : {};

const side = (name: BookLevel[0], list: Json | undefined): BookLevel[] =>
  (Array.isArray(list) ? list : []).filter(isObject).map(({ p, q }) => [name, String(p), String(q)]);
