/** Which slot markets exist: they open an epoch ahead, trade until four seconds before their block, and then go. */
import type { Counter, FillListener } from '../engine/market.ts';
import { MARKET_TYPES, openSlotMarket, type SlotMarket } from './slot-market.ts';
import { deadlineTime, epochOf, expiryTime, SLOTS_PER_EPOCH, slotAt } from './slots.ts';

export interface Changes {
  opened: SlotMarket[];
  expired: SlotMarket[];
  /** Bundles for these slots are no longer taken. */
  submitted: SlotMarket[];
  /** The slot that began, or null. */
  began: number | null;
}

export class Calendar {
  /** Markets that trade, by instrument id, nearest slot first. */
  readonly markets = new Map<string, SlotMarket>();
  readonly #waiting: SlotMarket[] = [];
  readonly #seed: string;
  readonly #ids: Counter;
  readonly #onFill: FillListener;
  #nextSlot = 0;
  #slot = 0;

  constructor(seed: string, ids: Counter, onFill: FillListener) {
    this.#seed = seed;
    this.#ids = ids;
    this.#onFill = onFill;
  }

  /** A market that trades, or whose bundles are still taken. */
  find(instrument: string): SlotMarket | undefined {
    return this.markets.get(instrument) ?? this.#waiting.find(({ market }) => market.spec.id === instrument);
  }

  /** Brings the markets up to `now`. A clock that jumped ahead skips the slots in between; one that jumped back waits. */
  advance(now: number): Changes {
    const changes: Changes = { opened: [], expired: [], submitted: [], began: null };
    for (const slotMarket of this.markets.values()) {
      if (expiryTime(slotMarket.slot) > now) break;
      this.markets.delete(slotMarket.market.spec.id);
      this.#waiting.push(slotMarket);
      changes.expired.push(slotMarket);
    }
    while (this.#waiting[0] !== undefined && deadlineTime(this.#waiting[0].slot) <= now) {
      changes.submitted.push(this.#waiting.shift()!);
    }
    const slot = slotAt(now);
    if (slot > this.#slot) {
      this.#slot = slot;
      changes.began = slot;
    }
    const end = (epochOf(slot) + 2) * SLOTS_PER_EPOCH;
    for (let next = Math.max(this.#nextSlot, slot); next < end; next++) {
      if (expiryTime(next) <= now) continue;
      for (const type of MARKET_TYPES) {
        const opened = openSlotMarket(this.#seed, type, next, this.#ids, this.#onFill, now);
        this.markets.set(opened.market.spec.id, opened);
        changes.opened.push(opened);
      }
    }
    this.#nextSlot = Math.max(this.#nextSlot, end);
    return changes;
  }
}
