/** The ETHGas queries of a streaming session: query type and arguments in, payload out. */
import { Refusal } from '@countersign/protocol';
import type { Identity } from '../http/identity.ts';
import { tradingAccount } from '../principal.ts';
import type { Json, JsonObject } from '../publication.ts';
import { ownerOf } from './accounts.ts';
import { type Ethgas, isMarketType } from './ethgas.ts';
import type { SlotMarket } from './slot-market.ts';
import { SLOT, slotAt, slotTime } from './slots.ts';
import { candleUpdate, MARKET_STATUS, marketUpdate, orderBook, orderUpdate, tradeUpdate } from './words.ts';

type Args = { readonly [name: string]: unknown };

interface Asked {
  venue: Ethgas;
  args: Args;
  identity: Identity | null;
  now: number;
}

const BOOKS_MAX = 128;

/** Answers a query; `Refusal` for what does not exist, is not allowed, or is not understood. */
export function answerQuery(name: string, asked: Asked): Json {
  const query = Object.hasOwn(QUERIES, name) ? QUERIES[name] : undefined;
  if (query === undefined) throw new Refusal('not_found', 'unknown query type');
  return query(asked);
}

const QUERIES: { readonly [name: string]: (asked: Asked) => Json } = {
  preconfMarkets: ({ venue, args, now }) =>
    venue.markets(marketType(args)).map((each) => marketUpdate(each, MARKET_STATUS.enabled, now)),
  orderBook: books,
  orderBooks: books,
  currentSlot: ({ now }) => ({ t: now, s: slotAt(now), r: slotTime(slotAt(now)) + SLOT - now }),
  candlesticks({ venue, args }) {
    const found = market(venue, args);
    if (args.interval !== undefined && Number(args.interval) !== found.market.spec.candleInterval) {
      throw new Refusal('invalid_request', 'interval', { message: 'The only interval is 1000.' });
    }
    const { candles } = found.market.tape;
    const last = candles.at(-1);
    return candles.map((candle) => candleUpdate(found, candle, candle !== last));
  },
  recentTrades({ venue, args }) {
    const found = market(venue, args);
    const trades = found.market.tape.trades.slice(-limit(args)).reverse();
    return { i: found.market.spec.id, l: trades.map((trade) => tradeUpdate(found, trade)) };
  },
  inclusionPreconfTopSales: ({ venue }) => venue.topSales,
  currentBlockBuilder({ venue, args, now }) {
    const current = slotAt(now);
    const slot = args.slot === undefined ? current : integer(args.slot, 'slot');
    if (slot < current || slot > current + 64) {
      throw new Refusal('invalid_request', 'slot', {
        message: 'Builders are known for the next two epochs.',
      });
    }
    return venue.builders.of(slot);
  },
  openOrders({ venue, args, identity }) {
    const account = ownAccount(args, identity);
    const start = args.startId === undefined ? 0 : integer(args.startId, 'startId');
    const orders: Json[] = [];
    for (const own of venue.accounts.desk.open(ownerOf(account))) {
      const slotMarket = venue.calendar.find(own.market.spec.id);
      if (slotMarket === undefined || own.order.id < start) continue;
      if (args.instrumentId !== undefined && args.instrumentId !== own.market.spec.id) continue;
      orders.push(orderUpdate(own, account.userId, account.accountId, slotMarket));
    }
    return orders;
  },
  accountPositions: positions,
  currentPositions: positions,
  preconfBundles({ venue, args, identity }) {
    const account = ownAccount(args, identity);
    const slot = integer(args.slot, 'slot');
    const holds = venue.accounts.positions(account, 'inclusionPreconf').some((each) => each.s === slot);
    return holds ? venue.accounts.bundles(ownerOf(account), slot) : { s: slot, e: true, bu: [], r: false };
  },
  blockSpaceSale({ venue, args, identity, now }) {
    requireIdentity(identity);
    const slot = args.slot === undefined ? slotAt(now) + 1 : integer(args.slot, 'slot');
    const found = venue.markets('inclusionPreconf').find((each) => each.slot === slot);
    const sold = found?.market.tape.trades ?? [];
    return {
      s: slot,
      g: String(found?.market.tape.sold ?? 0),
      S: sold.slice(-10).map((trade) => {
        const { p, q } = tradeUpdate(found!, trade);
        return { p: p!, q: q! };
      }),
    };
  },
};

function books({ venue, args, now }: Asked): Json {
  const id = args.marketId === undefined ? null : integer(args.marketId, 'marketId');
  const list: JsonObject[] = venue
    .markets(marketType(args))
    .slice(0, BOOKS_MAX)
    .map((each) => orderBook(each, now));
  if (args.instrumentId !== undefined) return list.filter((book) => book.I === args.instrumentId);
  return id === null ? list : list.filter((book) => book.m === id);
}

function positions({ venue, args, identity }: Asked): Json {
  return venue.accounts.positions(ownAccount(args, identity), marketType(args));
}

function requireIdentity(identity: Identity | null): Identity {
  if (identity === null) throw new Refusal('unauthorized', 'a private query without an identity');
  return identity;
}

/** The account asked for, if it is one of the caller's; without one, the caller's trading account. */
function ownAccount(args: Args, identity: Identity | null) {
  const { userId, accounts } = requireIdentity(identity);
  if (args.accountId === undefined) {
    return { userId, accountId: tradingAccount({ userId, accounts })?.accountId ?? 0 };
  }
  const accountId = integer(args.accountId, 'accountId');
  if (!accounts.some((account) => account.accountId === accountId)) {
    throw new Refusal('forbidden', 'an account of somebody else');
  }
  return { userId, accountId };
}

function market(venue: Ethgas, args: Args): SlotMarket {
  const found = venue.calendar.markets.get(String(args.instrumentId));
  if (found === undefined) throw new Refusal('not_found', 'unknown instrument');
  return found;
}

function marketType(args: Args) {
  if (args.marketType === undefined) return null;
  if (!isMarketType(args.marketType)) throw new Refusal('invalid_request', 'marketType');
  return args.marketType;
}

function integer(value: unknown, name: string): number {
  const number = typeof value === 'string' && value !== '' ? Number(value) : value;
  if (typeof number === 'number' && Number.isSafeInteger(number) && number >= 0) return number;
  throw new Refusal('invalid_request', name, { message: `${name} must be a whole number.` });
}

const limit = (args: Args): number =>
  Math.min(500, Math.max(1, args.limit === undefined ? 100 : integer(args.limit, 'limit')));
