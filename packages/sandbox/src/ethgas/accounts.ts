/** The users of the ETHGas side: what they hold, what they are told, and what they do when left alone. */
import { decimal, ratio } from '../engine/decimal.ts';
import { Desk, type DeskOrder, type Fill, MONEY_SCALE, money } from '../engine/desk.ts';
import type { Counter } from '../engine/market.ts';
import { seeded } from '../engine/random.ts';
import { type Principal, tradingAccount } from '../principal.ts';
import type { Json, JsonObject, Publication } from '../publication.ts';
import type { Builders } from './builders.ts';
import { marketId, type SlotMarket } from './slot-market.ts';
import { orderUpdate, transactionUpdate } from './words.ts';

export interface Account {
  userId: string;
  accountId: number;
}

export const ownerOf = (account: Account): string => `${account.userId}/${account.accountId}`;

const accountOf = (owner: string): Account => {
  const cut = owner.lastIndexOf('/');
  return { userId: owner.slice(0, cut), accountId: Number(owner.slice(cut + 1)) };
};

interface Position {
  bought: bigint;
  spent: bigint;
  createdAt: number;
  updatedAt: number;
}

const ETHER = 10n ** BigInt(MONEY_SCALE);

export class Accounts {
  readonly desk: Desk;
  readonly #seed: string;
  readonly #find: (instrument: string) => SlotMarket | undefined;
  readonly #publish: (publication: Publication) => void;
  readonly #builders: Builders;
  /** By instrument, then owner. Gone with the slot. */
  readonly #positions = new Map<string, Map<string, Position>>();

  constructor(options: {
    seed: string;
    ids: Counter;
    builders: Builders;
    find(instrument: string): SlotMarket | undefined;
    publish(publication: Publication): void;
  }) {
    this.#seed = options.seed;
    this.#find = options.find;
    this.#publish = options.publish;
    this.#builders = options.builders;
    this.desk = new Desk({
      seed: `${options.seed}/ethgas`,
      makerFee: 100,
      takerFee: 100,
      opening: (_owner, asset) => (asset === 'ETH' ? 100n * ETHER : 0n),
      onOrder: (own) => this.#onOrder(own),
      onFill: (fill) => this.#onFill(fill),
    });
  }

  #onOrder(own: DeskOrder): void {
    const slotMarket = this.#find(own.market.spec.id);
    if (slotMarket === undefined) return;
    const { userId, accountId } = accountOf(own.owner);
    this.#publish({
      channel: 'accountOrderUpdate',
      key: `${slotMarket.type}/${accountId}`,
      time: own.updatedAt,
      item: own.market.spec.id,
      data: orderUpdate(own, userId, accountId, slotMarket),
    });
  }

  #onFill(fill: Fill): void {
    const { order } = fill;
    const { id, quantityScale } = order.market.spec;
    const slotMarket = this.#find(id);
    if (slotMarket === undefined) return;
    const { accountId } = accountOf(order.owner);
    const owners = this.#positions.get(id) ?? new Map<string, Position>();
    this.#positions.set(id, owners);
    const position = owners.get(order.owner) ?? { bought: 0n, spent: 0n, createdAt: fill.time, updatedAt: 0 };
    owners.set(order.owner, position);
    if (order.order.side === 'bid') {
      position.bought += BigInt(fill.quantity);
      const { priceScale } = order.market.spec;
      position.spent += money(BigInt(fill.price) * BigInt(fill.quantity), priceScale + quantityScale);
    }
    position.updatedAt = fill.time;
    const to = { key: `${slotMarket.type}/${accountId}`, time: fill.time, item: id };
    this.#publish({ channel: 'accountTransactionUpdate', ...to, data: transactionUpdate(fill, accountId) });
    this.#publish({
      channel: 'accountPositionUpdate',
      ...to,
      data: this.#position(order.owner, slotMarket, position, false),
    });
  }

  #position(
    owner: string,
    { type, slot, market }: SlotMarket,
    position: Position,
    expired: boolean,
  ): JsonObject {
    const { total, held } = this.desk.balance(owner, market.spec.id);
    return {
      a: accountOf(owner).accountId,
      s: slot,
      m: marketId(type, slot),
      q: decimal(total, MONEY_SCALE),
      l: decimal(held, MONEY_SCALE),
      p: ratio(position.spent, position.bought * ETHER, MONEY_SCALE),
      e: expired,
      b: '0',
      c: position.createdAt,
      u: position.updatedAt,
      A: decimal(total - held, MONEY_SCALE),
    };
  }

  /** The positions of one account, as `accountPositions` answers. */
  positions(account: Account, type: string | null): JsonObject[] {
    const owner = ownerOf(account);
    const list: JsonObject[] = [];
    for (const [instrument, owners] of this.#positions) {
      const slotMarket = this.#find(instrument);
      const position = owners.get(owner);
      if (slotMarket === undefined || position === undefined) continue;
      if (type === null || slotMarket.type === type)
        list.push(this.#position(owner, slotMarket, position, false));
    }
    return list;
  }

  /** A market is over: orders end, positions are shown as expired. */
  expire(slotMarket: SlotMarket, now: number): void {
    const { id } = slotMarket.market.spec;
    this.desk.expire(slotMarket.market, now);
    for (const [owner, position] of this.#positions.get(id) ?? []) {
      this.#publish({
        channel: 'accountPositionUpdate',
        key: `${slotMarket.type}/${accountOf(owner).accountId}`,
        time: now,
        item: id,
        remove: true,
        data: this.#position(owner, slotMarket, { ...position, updatedAt: now }, true),
      });
    }
  }

  /** The last moment for bundles: whoever holds gas of the slot has sent one. */
  submit(slotMarket: SlotMarket, now: number): void {
    const { id } = slotMarket.market.spec;
    for (const owner of this.#positions.get(id)?.keys() ?? []) {
      const { accountId } = accountOf(owner);
      this.#publish({
        channel: 'preconfBundleUpdate',
        key: String(accountId),
        time: now,
        item: id,
        data: this.bundles(owner, slotMarket.slot),
      });
    }
    this.desk.drop(id);
    this.#positions.delete(id);
  }

  /** One bundle of one look-alike transaction; the same each time it is asked for. */
  bundles(owner: string, slot: number): JsonObject {
    // Its own numbers: asking again shows the same bundle.
    const random = seeded(this.#seed, `bundle/${owner}/${slot}`);
    const bundle: Json = {
      u: random.uuid(),
      B: this.#builders.of(slot).p!,
      o: 1,
      txs: [{ r: false, tx: `0x02f8${random.hex(110)}`, h: `0x${random.hex(32)}` }],
      p: '1',
    };
    return { s: slot, e: false, bu: [bundle], r: false };
  }

  /** What a signed-in user's account does now and then: bid, take, sell some, cancel. */
  act(principal: Principal, markets: readonly SlotMarket[], now: number): void {
    const account = tradingAccount(principal);
    if (account === undefined || markets.length === 0) return;
    const owner = ownerOf({ userId: principal.userId, accountId: account.accountId });
    const random = this.desk.random(owner);
    const open = this.desk.open(owner);
    if (open.length > 6 || (open.length > 0 && random.chance(0.2))) {
      this.desk.cancel(owner, open[0]!.uuid, now);
      return;
    }
    const { market } = markets[Math.floor(random.next() * Math.min(12, markets.length))]!;
    const bid = market.book.best('bid');
    const ask = market.book.best('ask');
    if (bid === null || ask === null) return;
    const held = this.desk.balance(owner, market.spec.id);
    const owned = Number((held.total - held.held) / ETHER);
    const sells = owned > 0 && random.chance(0.3);
    const whole = market.spec.maxQuantity === 1;
    const quantity = whole ? 1 : sells ? Math.min(owned, 20_000) : 21_000 + random.int(100_000);
    const takes = random.chance(0.4);
    const price = sells ? (takes ? bid : ask) : takes ? ask : bid;
    const side = sells ? 'ask' : 'bid';
    this.desk.place(
      owner,
      { market, side, price, quantity, type: 'limit', timeInForce: takes ? 'IOC' : 'GTC', postOnly: false },
      now,
    );
  }
}
