/** The brokerage REST calls that are the venue's, in Coinbase's shapes. `key_permissions` is the gateway's own. */
import { Refusal } from '@countersign/protocol';
import { decimal, ratio } from '../engine/decimal.ts';
import { MONEY_SCALE } from '../engine/desk.ts';
import { seeded } from '../engine/random.ts';
import type { Request, Route } from '../http/server.ts';
import type { Json, JsonObject } from '../publication.ts';
import type { Brokerage } from './brokerage.ts';
import { cancelOrders, orderRow, placeOrder } from './orders.ts';
import { bestQuotes, candle, fill, iso, type Listing, ticker, trade } from './words.ts';

const BASE = '/api/v3/brokerage';
const CURRENCIES = ['USD', 'USDC', 'EUR', 'BTC', 'ETH', 'SOL'];

export function brokerageRoutes(venue: Brokerage, now: () => number): Route[] {
  const listing = (id: string | null | undefined): Listing => {
    const found = venue.listings.get(id ?? '');
    if (found === undefined) throw new Refusal('not_found', 'unknown product');
    return found;
  };

  /** As asked for, in that order; all without `product_ids`. Unknown ids are left out. */
  const asked = ({ query }: Request): Listing[] => {
    const ids = query.getAll('product_ids').flatMap((text) => text.split(','));
    if (ids.length === 0) return [...venue.listings.values()];
    return ids.map((id) => venue.listings.get(id)).filter((found) => found !== undefined);
  };

  const products = (request: Request): Json => {
    const list = page(request, asked(request)).map((each) => productRow(each, now()));
    return { products: list, num_products: list.length };
  };

  const accounts = (request: Request): Json => {
    const owner = request.identity!.userId;
    const touched = [...venue.desk.balances(owner).keys()];
    const names = [...new Set([...CURRENCIES, ...touched])];
    const list = page(request, names).map((currency) => accountRow(venue, owner, currency, now()));
    return { accounts: list, has_next: false, cursor: '', size: list.length };
  };

  const account = (request: Request, uuid: string): Json => {
    const owner = request.identity!.userId;
    const names = new Set([...CURRENCIES, ...venue.desk.balances(owner).keys()]);
    for (const currency of names) {
      if (accountUuid(owner, currency) === uuid)
        return { account: accountRow(venue, owner, currency, now()) };
    }
    throw new Refusal('not_found', 'unknown account');
  };

  const orders = (request: Request): Json => {
    const { query } = request;
    const statuses = query.getAll('order_status').flatMap((text) => text.split(','));
    const ids = [query.getAll('product_ids'), query.getAll('product_id')]
      .flat()
      .flatMap((text) => text.split(','));
    const found = venue.desk
      .orders(request.identity!.userId)
      .reverse()
      .map(orderRow)
      .filter(({ status }) => statuses.length === 0 || statuses.includes(String(status)))
      .filter(({ product_id }) => ids.length === 0 || ids.includes(String(product_id)));
    return { orders: page(request, found), sequence: '0', has_next: false, cursor: '' };
  };

  const order = (request: Request, id: string): Json => {
    const own = venue.desk.orders(request.identity!.userId).find(({ uuid }) => uuid === id);
    if (own === undefined) throw new Refusal('not_found', 'unknown order');
    return { order: orderRow(own) };
  };

  const fills = (request: Request): Json => {
    const wanted = request.query.get('order_id') ?? request.query.get('order_ids');
    const made = venue.desk
      .fills(request.identity!.userId)
      .filter((each) => wanted === null || each.order.uuid === wanted);
    return { fills: page(request, [...made].reverse().map(fill)), cursor: '' };
  };

  const publicRoutes: [path: string, answer: (request: Request, id: string) => Json][] = [
    ['/products', products],
    ['/products/:id', (_request, id) => productRow(listing(id), now())],
    ['/products/:id/candles', (request, id) => candles(request, listing(id))],
    ['/products/:id/ticker', (request, id) => recent(request, listing(id))],
    ['/product_book', (request) => productBook(request, listing(request.query.get('product_id')), now())],
  ];
  const privateRoutes: [path: string, answer: (request: Request, id: string) => Json][] = [
    ['/accounts', accounts],
    ['/accounts/:id', account],
    ['/orders/historical/batch', orders],
    ['/orders/historical/fills', fills],
    ['/orders/historical/:id', order],
    ['/best_bid_ask', (request) => ({ pricebooks: asked(request).map((each) => pricebook(each, 1, now())) })],
  ];
  return [
    {
      method: 'GET',
      path: `${BASE}/time`,
      answer() {
        const time = now();
        return { iso: iso(time), epochSeconds: String(Math.floor(time / 1000)), epochMillis: String(time) };
      },
    },
    ...publicRoutes.flatMap(([path, answer]): Route[] => [
      {
        method: 'GET',
        path: `${BASE}/market${path}`,
        answer: (request, { id }) => answer(request, id ?? ''),
      },
      {
        method: 'GET',
        path: `${BASE}${path}`,
        private: true,
        answer: (request, { id }) => answer(request, id ?? ''),
      },
    ]),
    ...privateRoutes.map(
      ([path, answer]): Route => ({
        method: 'GET',
        path: `${BASE}${path}`,
        private: true,
        answer: (request, { id }) => answer(request, id ?? ''),
      }),
    ),
    {
      method: 'POST',
      path: `${BASE}/orders`,
      private: true,
      answer: ({ body, identity }) => placeOrder(venue, identity!.userId, body, now()),
    },
    {
      method: 'POST',
      path: `${BASE}/orders/batch_cancel`,
      private: true,
      answer: ({ body, identity }) => cancelOrders(venue, identity!.userId, body, now()),
    },
  ];
}

/** `limit`, 1..250; what it is without one as well. */
const limitOf = ({ query }: Request): number => {
  const wanted = Number(query.get('limit') ?? 250);
  return Number.isInteger(wanted) && wanted > 0 ? Math.min(wanted, 250) : 250;
};

const page = <T>(request: Request, list: readonly T[]): T[] => list.slice(0, limitOf(request));

function productRow(listing: Listing, now: number): JsonObject {
  const { product, market } = listing;
  const { base, quote, priceScale, quantityScale, minQuantity, maxQuantity } = product.spec;
  const row = ticker(listing, now);
  const mid = market.doubleMid();
  const day = market.tape.day(now);
  const turnover = day === null ? 0n : BigInt(day.volume) * BigInt(day.close);
  return {
    product_id: product.id,
    price: row.price!,
    price_percentage_change_24h: row.price_percent_chg_24_h!,
    volume_24h: row.volume_24_h!,
    volume_percentage_change_24h: '0',
    base_increment: decimal(1, quantityScale),
    quote_increment: decimal(1, priceScale),
    quote_min_size: '1',
    quote_max_size: '10000000',
    base_min_size: decimal(minQuantity, quantityScale),
    base_max_size: decimal(maxQuantity, quantityScale),
    base_name: product.name,
    quote_name: quote,
    watched: false,
    is_disabled: false,
    new: false,
    status: 'online',
    cancel_only: false,
    limit_only: false,
    post_only: false,
    trading_disabled: false,
    auction_mode: false,
    product_type: 'SPOT',
    quote_currency_id: quote,
    base_currency_id: base,
    fcm_trading_session_details: null,
    mid_market_price: mid === null ? '' : decimal(mid * 5, priceScale + 1),
    alias: '',
    alias_to: [],
    base_display_symbol: base,
    quote_display_symbol: quote,
    view_only: false,
    price_increment: decimal(1, priceScale),
    display_name: `${base}-${quote}`,
    product_venue: 'CBE',
    approximate_quote_24h_volume: ratio(turnover, 10n ** BigInt(priceScale + quantityScale), 2),
  };
}

const accountUuid = (owner: string, currency: string): string =>
  seeded('account', `${owner}/${currency}`).uuid();

function accountRow(venue: Brokerage, owner: string, currency: string, now: number): JsonObject {
  const { total, held } = venue.desk.balance(owner, currency);
  return {
    uuid: accountUuid(owner, currency),
    name: `${currency} Wallet`,
    currency,
    available_balance: { value: decimal(total - held, MONEY_SCALE), currency },
    default: currency === 'USD',
    active: true,
    created_at: '2026-01-01T00:00:00Z',
    updated_at: iso(now),
    deleted_at: null,
    type: ['USD', 'EUR'].includes(currency) ? 'ACCOUNT_TYPE_FIAT' : 'ACCOUNT_TYPE_CRYPTO',
    ready: true,
    hold: { value: decimal(held, MONEY_SCALE), currency },
    retail_portfolio_id: owner,
    platform: 'ACCOUNT_PLATFORM_CONSUMER',
  };
}

function pricebook({ product, market }: Listing, depth: number, now: number): JsonObject {
  const { priceScale, quantityScale } = product.spec;
  const side = (which: 'bid' | 'ask'): Json[] =>
    market.book.levels(which, depth).map(([price, quantity]) => ({
      price: decimal(price, priceScale),
      size: decimal(quantity, quantityScale),
    }));
  return { product_id: product.id, bids: side('bid'), asks: side('ask'), time: iso(now) };
}

function productBook(request: Request, listing: Listing, now: number): JsonObject {
  const { market, product } = listing;
  const { priceScale } = product.spec;
  const bid = market.book.best('bid');
  const ask = market.book.best('ask');
  const mid = market.doubleMid();
  const spread = bid === null || ask === null ? 0 : ask - bid;
  return {
    pricebook: pricebook(listing, limitOf(request), now),
    last: ticker(listing, now).price!,
    mid_market: mid === null ? '' : decimal(mid * 5, priceScale + 1),
    spread_bps: mid === null ? '' : ratio(BigInt(spread) * 20_000n, BigInt(mid), 6),
    spread_absolute: decimal(spread, priceScale),
  };
}

/** Newest first. Only the granularity of the `candles` channel is kept. */
function candles({ query }: Request, { market }: Listing): JsonObject {
  if ((query.get('granularity') ?? 'FIVE_MINUTE') !== 'FIVE_MINUTE') {
    throw new Refusal('invalid_request', 'granularity', { message: 'The only granularity is FIVE_MINUTE.' });
  }
  const start = Number(query.get('start') ?? 0) * 1000;
  const end = Number(query.get('end') ?? Number.MAX_SAFE_INTEGER) * 1000;
  const found = market.tape.candles.filter((each) => each.start >= start && each.start <= end).reverse();
  return { candles: found.map((each) => candle(market, each)) };
}

function recent(request: Request, listing: Listing): JsonObject {
  const { market } = listing;
  const trades = market.tape.trades.slice(-limitOf(request)).reverse();
  const { best_bid, best_ask } = bestQuotes(listing);
  return { trades: trades.map((each) => trade(market, each)), best_bid: best_bid!, best_ask: best_ask! };
}
