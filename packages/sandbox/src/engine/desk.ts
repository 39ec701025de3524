/**
 * Orders, fills and balances of the venue's users. An owner holds amounts of assets; a buy order holds the
 * quote asset it may need, a sell order the base asset. All amounts are bigints of 10^-18.
 */
import type { FillListener, Market, TimeInForce } from './market.ts';
import type { Order, Side } from './order-book.ts';
import { type Random, seeded } from './random.ts';

export const MONEY_SCALE = 18;

export interface Balance {
  total: bigint;
  held: bigint;
}

export type OrderStatus = 'open' | 'filled' | 'cancelled' | 'expired';

export interface DeskOrder {
  readonly order: Order;
  readonly market: Market;
  readonly owner: string;
  readonly uuid: string;
  readonly clientId: string;
  readonly type: 'limit' | 'market';
  readonly timeInForce: TimeInForce;
  readonly postOnly: boolean;
  readonly createdAt: number;
  status: OrderStatus;
  filled: number;
  /** Sum of price x quantity over the fills, and the fees paid for them, in the quote asset. */
  value: bigint;
  fees: bigint;
  fills: number;
  /** What the order still holds of its owner's balance. */
  held: bigint;
  updatedAt: number;
}

export interface Fill {
  readonly tradeId: number;
  readonly order: DeskOrder;
  readonly price: number;
  readonly quantity: number;
  readonly fee: bigint;
  readonly maker: boolean;
  readonly time: number;
}

export interface OrderRequest {
  market: Market;
  side: Side;
  /** Price steps; of a market order, the worst price accepted. */
  price: number;
  quantity: number;
  type: 'limit' | 'market';
  timeInForce: TimeInForce;
  postOnly: boolean;
  clientId?: string;
}

export type DeskRefusal =
  | 'insufficient_fund'
  | 'too_many_orders'
  | 'out_of_range'
  | 'would_cross'
  | 'cannot_fill';

export interface DeskOptions {
  seed: string;
  /** Hundredths of a percent of a fill's value. */
  makerFee: number;
  takerFee: number;
  /** What an owner has the first time an asset is looked at. */
  opening(owner: string, asset: string): bigint;
  onOrder(order: DeskOrder): void;
  onFill(fill: Fill): void;
}

interface Book {
  balances: Map<string, Balance>;
  orders: Map<number, DeskOrder>;
  byClientId: Map<string, DeskOrder>;
  fills: Fill[];
  random: Random;
}

const OPEN_MAX = 100;
const ORDERS_KEPT = 400;
const FILLS_KEPT = 400;
const OWNERS_KEPT = 5000;

export class Desk {
  readonly #options: DeskOptions;
  readonly #owners = new Map<string, Book>();
  /** Orders that are in a market now, by the book's number. */
  readonly #live = new Map<number, DeskOrder>();

  constructor(options: DeskOptions) {
    this.#options = options;
  }

  balance(owner: string, asset: string): Balance {
    const { balances } = this.#book(owner);
    let balance = balances.get(asset);
    if (balance === undefined) {
      balance = { total: this.#options.opening(owner, asset), held: 0n };
      balances.set(asset, balance);
    }
    return balance;
  }

  /** Assets of an owner that were ever looked at. */
  balances(owner: string): ReadonlyMap<string, Balance> {
    return this.#book(owner).balances;
  }

  /** Every order remembered, newest last. */
  orders(owner: string): DeskOrder[] {
    return [...this.#book(owner).orders.values()];
  }

  open(owner: string): DeskOrder[] {
    return this.orders(owner).filter((order) => order.status === 'open');
  }

  /** Owners who have an order open now. */
  openOwners(): Set<string> {
    return new Set([...this.#live.values()].map(({ owner }) => owner));
  }

  fills(owner: string): readonly Fill[] {
    return this.#book(owner).fills;
  }

  /** The numbers that decide what an idle user does; the owner's own, so that users do not disturb each other. */
  random(owner: string): Random {
    return this.#book(owner).random;
  }

  /** Places an order, or gives back the one that was placed with the same client id before. */
  place(owner: string, request: OrderRequest, now: number): DeskOrder | DeskRefusal {
    const book = this.#book(owner);
    const { market, side, price, quantity, timeInForce, postOnly } = request;
    const { spec } = market;
    const before = request.clientId === undefined ? undefined : book.byClientId.get(request.clientId);
    if (before !== undefined) return before;
    if (price < spec.minPrice || price > spec.maxPrice) return 'out_of_range';
    if (quantity < spec.minQuantity || quantity > spec.maxQuantity) return 'out_of_range';
    if (this.open(owner).length >= OPEN_MAX) return 'too_many_orders';

    const order = market.order(side, price, quantity, owner);
    const own: DeskOrder = {
      order,
      market,
      owner,
      uuid: book.random.uuid(),
      clientId: request.clientId ?? book.random.hex(4),
      type: request.type,
      timeInForce,
      postOnly,
      createdAt: now,
      status: 'open',
      filled: 0,
      value: 0n,
      fees: 0n,
      fills: 0,
      held: 0n,
      updatedAt: now,
    };
    const balance = this.balance(owner, side === 'bid' ? spec.quote : spec.base);
    const needed = this.#needed(own);
    if (balance.total - balance.held < needed) return 'insufficient_fund';
    balance.held += needed;
    own.held = needed;

    this.#live.set(order.id, own);
    const refusal = market.place(order, timeInForce, postOnly, now);
    if (refusal !== null) {
      this.#live.delete(order.id);
      this.#release(own);
      return refusal;
    }
    this.#remember(book, own);
    if (own.status === 'open' && timeInForce !== 'GTC') this.#finish(own, 'cancelled', now);
    this.#options.onOrder(own);
    return own;
  }

  /** False if that order is not open. */
  cancel(owner: string, uuid: string, now: number): boolean {
    const own = this.open(owner).find((order) => order.uuid === uuid);
    if (own === undefined) return false;
    own.market.book.cancel(own.order.id);
    this.#finish(own, 'cancelled', now);
    this.#options.onOrder(own);
    return true;
  }

  /** Ends every order of a market that is over. */
  expire(market: Market, now: number): void {
    for (const own of [...this.#live.values()]) {
      if (own.market !== market) continue;
      market.book.cancel(own.order.id);
      this.#finish(own, 'expired', now);
      this.#options.onOrder(own);
    }
  }

  /** Forgets what everybody has of an asset that exists no more. */
  drop(asset: string): void {
    for (const { balances } of this.#owners.values()) balances.delete(asset);
  }

  /** To be given to the markets. */
  readonly onFill: FillListener = (match, trade, market) => {
    for (const [order, maker] of [
      [match.maker, true],
      [match.taker, false],
    ] as const) {
      const own = this.#live.get(order.id);
      if (own === undefined) continue;
      const { spec } = market;
      const value = money(BigInt(match.price) * BigInt(match.quantity), spec.priceScale + spec.quantityScale);
      const fee = (value * BigInt(maker ? this.#options.makerFee : this.#options.takerFee)) / 10_000n;
      const quantity = money(BigInt(match.quantity), spec.quantityScale);
      const buys = own.order.side === 'bid';
      this.balance(own.owner, spec.quote).total += buys ? -(value + fee) : value - fee;
      this.balance(own.owner, spec.base).total += buys ? quantity : -quantity;

      own.filled += match.quantity;
      own.value += value;
      own.fees += fee;
      own.fills += 1;
      own.updatedAt = trade.time;
      this.#release(own);
      if (order.remaining === 0) this.#finish(own, 'filled', trade.time);
      else {
        own.held = this.#needed(own);
        this.balance(own.owner, buys ? spec.quote : spec.base).held += own.held;
      }
      const { price } = match;
      const fill = {
        tradeId: trade.id,
        order: own,
        price,
        quantity: match.quantity,
        fee,
        maker,
        time: trade.time,
      };
      const { fills } = this.#book(own.owner);
      fills.push(fill);
      if (fills.length > FILLS_KEPT) fills.shift();
      this.#options.onFill(fill);
      // The taker is reported once, by place(), however many makers it meets.
      if (maker) this.#options.onOrder(own);
    }
  };

  #needed(own: DeskOrder): bigint {
    const { order, market } = own;
    const { priceScale, quantityScale } = market.spec;
    if (order.side === 'ask') return money(BigInt(order.remaining), quantityScale);
    const value = money(BigInt(order.price) * BigInt(order.remaining), priceScale + quantityScale);
    const fee = BigInt(Math.max(this.#options.makerFee, this.#options.takerFee));
    return value + (value * fee) / 10_000n;
  }

  #release(own: DeskOrder): void {
    const { spec } = own.market;
    this.balance(own.owner, own.order.side === 'bid' ? spec.quote : spec.base).held -= own.held;
    own.held = 0n;
  }

  #finish(own: DeskOrder, status: OrderStatus, now: number): void {
    this.#live.delete(own.order.id);
    this.#release(own);
    own.status = status;
    own.updatedAt = now;
  }

  #remember(book: Book, own: DeskOrder): void {
    book.orders.set(own.order.id, own);
    book.byClientId.set(own.clientId, own);
    if (book.orders.size <= ORDERS_KEPT) return;
    for (const [id, old] of book.orders) {
      if (old.status === 'open') continue;
      book.orders.delete(id);
      book.byClientId.delete(old.clientId);
      return;
    }
  }

  #book(owner: string): Book {
    let book = this.#owners.get(owner);
    if (book === undefined) {
      if (this.#owners.size >= OWNERS_KEPT) this.#evict();
      const random = seeded(this.#options.seed, `owner/${owner}`);
      book = { balances: new Map(), orders: new Map(), byClientId: new Map(), fills: [], random };
      this.#owners.set(owner, book);
    }
    return book;
  }

  #evict(): void {
    for (const [owner, book] of this.#owners) {
      if ([...book.orders.values()].some((order) => order.status === 'open')) continue;
      this.#owners.delete(owner);
      return;
    }
  }
}

/** An integer of 10^-`scale` as one of 10^-18. */
export const money = (units: bigint, scale: number): bigint => units * 10n ** BigInt(MONEY_SCALE - scale);
