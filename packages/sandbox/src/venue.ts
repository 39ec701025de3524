/** The whole venue without any I/O: the same seed and the same times give the same publications. */
import { Brokerage } from './brokerage/brokerage.ts';
import { Ethgas } from './ethgas/ethgas.ts';
import type { Principal } from './principal.ts';
import type { Publication } from './publication.ts';

export interface VenueOptions {
  seed: string;
  /** Things that the simulated crowds do, in each tick, together. May be a fraction. */
  eventsPerTick: number;
  /** Ticks between two acts of one signed-in user; 0 = users only do what they ask for themselves. */
  ticksPerAct: number;
}

/** Users that act in one tick at most: a full house costs what a small one does. */
const ACTING_MAX = 50;

export class Venue {
  readonly ethgas: Ethgas;
  readonly brokerage: Brokerage;
  readonly #options: VenueOptions;
  #owed = 0;
  #ticks = 0;
  #live: readonly Principal[] = [];

  constructor(options: VenueOptions, now: number) {
    this.#options = options;
    this.ethgas = new Ethgas(options.seed, now);
    this.brokerage = new Brokerage(options.seed, now);
  }

  /** Who is signed in at the gateway. */
  setLive(principals: readonly Principal[]): void {
    this.#live = principals;
  }

  /** One tick: how much happens depends on the number of ticks, not on how late they are. */
  tick(now: number): Publication[] {
    this.#owed += this.#options.eventsPerTick;
    const events = Math.floor(this.#owed);
    this.#owed -= events;
    this.#ticks += 1;
    const acting = this.#acting();
    const half = Math.floor(events / 2) + (events % 2 === 1 && this.#ticks % 2 === 1 ? 1 : 0);
    return [
      ...this.brokerage.step(now, half, this.#live, acting),
      ...this.ethgas.step(now, events - half, acting),
    ];
  }

  /** What a venue that begins to publish says first: its present, and what was traded before. Once only. */
  opening(now: number): Publication[] {
    return [...this.snapshot(now), ...this.brokerage.past(now)];
  }

  /** Everything a gateway that knows nothing needs to know. Pending book changes are part of it. */
  snapshot(now: number): Publication[] {
    return [...this.brokerage.snapshot(now), ...this.ethgas.snapshot(now)];
  }

  /** Ids of users with open orders, on either side of the house. */
  usersWithOrders(): Set<string> {
    const { brokerage, ethgas } = this;
    const owners = [...brokerage.desk.openOwners(), ...ethgas.accounts.desk.openOwners()];
    return new Set(owners.map(userOf));
  }

  /** Cancels every open order of a user. @returns how many there were */
  cancelAll(userId: string, now: number): number {
    let cancelled = 0;
    for (const desk of [this.brokerage.desk, this.ethgas.accounts.desk]) {
      for (const owner of desk.openOwners()) {
        if (userOf(owner) !== userId) continue;
        for (const { uuid } of desk.open(owner)) if (desk.cancel(owner, uuid, now)) cancelled += 1;
      }
    }
    return cancelled;
  }

  #acting(): Principal[] {
    const every = this.#options.ticksPerAct;
    if (every === 0) return [];
    return this.#live.filter((_, index) => (index + this.#ticks) % every === 0).slice(0, ACTING_MAX);
  }
}

/** An owner is a user, or an account of one: `78` or `78/243`. */
const userOf = (owner: string): string => owner.split('/', 1)[0] ?? '';
