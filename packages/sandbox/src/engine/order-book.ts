/** A limit order book with price-time priority. Prices and quantities are integers of the market's smallest steps. */

export type Side = 'bid' | 'ask';

export interface Order {
  readonly id: number;
  readonly side: Side;
  /** The limit; a market order has the worst price its sender accepts. */
  readonly price: number;
  readonly quantity: number;
  remaining: number;
  /** Whose it is; null for the simulated crowd. */
  readonly owner: string | null;
}

export interface Match {
  /** The maker's price. */
  price: number;
  quantity: number;
  maker: Order;
  taker: Order;
}

interface Level {
  orders: Order[];
  total: number;
}

class Half {
  readonly levels = new Map<number, Level>();
  /** Ascending. */
  readonly prices: number[] = [];

  add(order: Order): void {
    let level = this.levels.get(order.price);
    if (level === undefined) {
      level = { orders: [], total: 0 };
      this.levels.set(order.price, level);
      this.prices.splice(this.#position(order.price), 0, order.price);
    }
    level.orders.push(order);
    level.total += order.remaining;
  }

  reduce(order: Order, quantity: number): void {
    const level = this.levels.get(order.price)!;
    level.total -= quantity;
    order.remaining -= quantity;
    if (order.remaining > 0) return;
    level.orders.splice(level.orders.indexOf(order), 1);
    if (level.orders.length > 0) return;
    this.levels.delete(order.price);
    this.prices.splice(this.#position(order.price), 1);
  }

  #position(price: number): number {
    let low = 0;
    let high = this.prices.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.prices[middle]! < price) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

export class OrderBook {
  readonly #halves = { bid: new Half(), ask: new Half() };
  readonly #resting = new Map<number, Order>();
  readonly #changed = { bid: new Set<number>(), ask: new Set<number>() };

  /**
   * Matches `order` against the other side, then rests what is left if `rest` is true.
   * Matches are reported while the book changes: `onMatch` must not touch the book.
   */
  submit(order: Order, rest: boolean, onMatch: (match: Match) => void): void {
    const otherSide: Side = order.side === 'bid' ? 'ask' : 'bid';
    const other = this.#halves[otherSide];
    while (order.remaining > 0) {
      const price = this.best(otherSide);
      if (price === null || !crosses(order.side, order.price, price)) break;
      const maker = other.levels.get(price)!.orders[0]!;
      const quantity = Math.min(order.remaining, maker.remaining);
      other.reduce(maker, quantity);
      if (maker.remaining === 0) this.#resting.delete(maker.id);
      order.remaining -= quantity;
      this.#changed[otherSide].add(price);
      onMatch({ price, quantity, maker, taker: order });
    }
    if (order.remaining === 0 || !rest) return;
    this.#halves[order.side].add(order);
    this.#resting.set(order.id, order);
    this.#changed[order.side].add(order.price);
  }

  /** False if the order does not rest here any more. */
  cancel(id: number): boolean {
    const order = this.#resting.get(id);
    if (order === undefined) return false;
    this.#resting.delete(id);
    const left = order.remaining;
    this.#halves[order.side].reduce(order, left);
    // The order keeps what was open when it was cancelled: its owner reports it.
    order.remaining = left;
    this.#changed[order.side].add(order.price);
    return true;
  }

  best(side: Side): number | null {
    const { prices } = this.#halves[side];
    return (side === 'bid' ? prices[prices.length - 1] : prices[0]) ?? null;
  }

  quantityAt(side: Side, price: number): number {
    return this.#halves[side].levels.get(price)?.total ?? 0;
  }

  /** How much could be traded now by an order of `side` with this limit. */
  available(side: Side, limit: number): number {
    const otherSide: Side = side === 'bid' ? 'ask' : 'bid';
    let sum = 0;
    for (const [price, quantity] of this.levels(otherSide)) {
      if (!crosses(side, limit, price)) break;
      sum += quantity;
    }
    return sum;
  }

  depth(side: Side): number {
    return this.#halves[side].prices.length;
  }

  /** Best first. */
  levels(side: Side, limit = Number.POSITIVE_INFINITY): [price: number, quantity: number][] {
    const { prices, levels } = this.#halves[side];
    const count = Math.min(limit, prices.length);
    const list: [number, number][] = [];
    for (let i = 0; i < count; i++) {
      const price = side === 'bid' ? prices[prices.length - 1 - i]! : prices[i]!;
      list.push([price, levels.get(price)!.total]);
    }
    return list;
  }

  /** The oldest orders of the worst level; what a crowd gives up first. */
  worst(side: Side): readonly Order[] {
    const { prices, levels } = this.#halves[side];
    const price = side === 'bid' ? prices[0] : prices[prices.length - 1];
    return price === undefined ? [] : levels.get(price)!.orders;
  }

  /** Resting orders, oldest first. */
  orders(): IterableIterator<Order> {
    return this.#resting.values();
  }

  /** Levels changed since the last call, with their quantity now (0 = gone). */
  takeChanges(): [side: Side, price: number, quantity: number][] {
    const changes: [Side, number, number][] = [];
    for (const side of ['bid', 'ask'] as const) {
      for (const price of this.#changed[side]) changes.push([side, price, this.quantityAt(side, price)]);
      this.#changed[side].clear();
    }
    return changes;
  }
}

const crosses = (side: Side, limit: number, price: number): boolean =>
  side === 'bid' ? price <= limit : price >= limit;
