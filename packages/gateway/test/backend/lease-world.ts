/**
 * Some nodes on one store, under one clock: connections come and go, nodes are killed, stand still and lose the store, and
 * the receiver of events is down now and then. What truly was is written down beside it.
 */
import { rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { createFakeClock, type FakeClock } from '../../../testkit/src/fake-clock.ts';
import { createLeaseDelivery, type LeaseDelivery } from '../../src/backend/leases/delivery.ts';
import { createLeaseTracker, type LeaseTracker } from '../../src/backend/leases/tracker.ts';
import { eventBody } from '../../src/backend/leases/webhook.ts';
import type { Clock } from '../../src/operations/clock.ts';
import { createMembership, type Membership } from '../../src/operations/membership.ts';
import type { LeaseKind } from '../../src/store/leases.ts';
import { openDatabase } from '../../src/store/sqlite/database.ts';
import { sqliteStoreOn } from '../../src/store/sqlite.ts';
import type { Store } from '../../src/store/store.ts';
import { StoreError } from '../../src/store/store-error.ts';

export const DEAD_AFTER = 6000;
const GIVE_UP_MS = 24 * 3_600_000;
const STEP = 250;

export interface Received {
  at: number;
  body: string;
  taken: boolean;
}

/** From `from` to `to` a user was connected to a node that did its work; `to` is open while it lasts. */
export interface Stay {
  user: string;
  slot: number;
  from: number;
  to: number;
}

interface NodeInWorld {
  slot: number;
  clock: StoppableClock;
  users: Map<string, number>;
  listener: (kind: LeaseKind, subject: string, present: boolean) => void;
  membership: Membership;
  tracker: LeaseTracker;
  delivery: LeaseDelivery;
  /** Its way to the store is cut. */
  cut: boolean;
  up: boolean;
}

/** A clock that stops with its process: what falls due meanwhile is done when it goes on. */
class StoppableClock implements Clock {
  readonly #base: FakeClock;
  #waiting: Set<() => void> | null = null;
  #resumed: (() => void)[] = [];
  #dead = false;

  constructor(base: FakeClock) {
    this.#base = base;
  }
  now = () => this.#base.now();
  monotonic = () => this.#base.monotonic();
  after = (ms: number, task: () => void) => this.#base.after(ms, () => this.#run(task));
  every = (ms: number, task: () => void) => this.#base.every(ms, () => this.#run(task));

  get stopped(): boolean {
    return this.#waiting !== null;
  }
  stop(): void {
    this.#waiting ??= new Set();
  }
  kill(): void {
    this.#dead = true;
    this.#waiting = new Set();
  }
  resume(): void {
    if (this.#dead) return;
    const waiting = this.#waiting ?? [];
    this.#waiting = null;
    for (const resumed of this.#resumed.splice(0)) resumed();
    for (const task of waiting) task();
  }
  /** Resolves when the process runs: at once, later or never. */
  running(): Promise<void> {
    return this.#waiting === null ? Promise.resolve() : new Promise((go) => this.#resumed.push(go));
  }
  #run(task: () => void): void {
    if (this.#waiting === null) task();
    else this.#waiting.add(task);
  }
}

export class World {
  readonly clock = createFakeClock();
  readonly received: Received[] = [];
  readonly stays: Stay[] = [];
  /** When nodes were given up, by slot: what they held from then on until they came back does not count. */
  readonly lapses: { slot: number; from: number; to: number }[] = [];
  readonly problems: unknown[] = [];
  receiverUp = true;
  outage = false;
  readonly #nodes = new Map<number, NodeInWorld>();
  readonly #slotOf = new Map<string, number>();
  readonly #folder: string;
  readonly store: Store;
  #pending = 0;
  #made = 0;

  private constructor(folder: string, store: Store) {
    this.#folder = folder;
    this.store = store;
  }

  static async open(): Promise<World> {
    const folder = await mkdtemp(join(tmpdir(), 'countersign-leases-'));
    const db = await openDatabase(join(folder, 'store.db'));
    // No power is cut here, and every commit would wait for the disk.
    db.exec('PRAGMA synchronous = OFF');
    const clock = { monotonic: () => 0 };
    return new World(folder, sqliteStoreOn(db, clock));
  }

  now = (): number => this.clock.now();
  node = (slot: number): NodeInWorld | undefined => this.#nodes.get(slot);

  async start(slot: number): Promise<void> {
    if (this.#nodes.has(slot)) return;
    const clock = new StoppableClock(this.clock);
    const node = {
      slot,
      clock,
      users: new Map(),
      listener: () => {},
      cut: false,
      up: true,
    } as unknown as NodeInWorld;
    const store = this.#storeFor(node);
    const onProblem = (problem: unknown) =>
      void (problem instanceof StoreError || this.problems.push(problem));
    node.membership = createMembership({
      store: store.nodes,
      clock,
      address: () => `slot ${slot}`,
      version: 'test',
      position: () => 0,
      newId: () => {
        const id = `n${this.#made++}`;
        this.#slotOf.set(id, slot);
        return id;
      },
      deadAfter: DEAD_AFTER,
      onDead: ({ id, seenAt }) => {
        const slotOfDead = this.#slotOf.get(id) as number;
        this.lapses.push({ slot: slotOfDead, from: seenAt, to: Number.POSITIVE_INFINITY });
      },
      onProblem,
    });
    node.membership.onJoined(() => {
      for (const lapse of this.lapses)
        if (lapse.slot === slot && lapse.to > this.now()) lapse.to = this.now();
    });
    node.delivery = createLeaseDelivery({
      store: store.leases,
      clock,
      now: node.membership.now,
      send: async (lease) => {
        const taken = this.receiverUp;
        this.received.push({ at: this.now(), body: eventBody(lease), taken });
        return { taken, outcome: taken ? '200' : '503', retryAfter: null };
      },
      random: () => 0.5,
      onResult: () => {},
      onProblem,
    });
    node.tracker = createLeaseTracker({
      store: store.leases,
      membership: node.membership,
      presence: {
        has: (kind, subject) => kind === 'user' && node.users.has(subject),
        onPresence: (listener) => {
          node.listener = listener;
        },
      },
      clock,
      giveUpAfter: GIVE_UP_MS,
      onGone: () => node.delivery.kick(),
      onProblem,
    });
    node.membership.sayWhile(node.tracker.fit);
    this.#nodes.set(slot, node);
    const opened = node.tracker.start().then(() => node.membership.start());
    const started = opened.then(
      () => true,
      () => false,
    );
    await this.settle();
    if (this.outage || !(await started)) this.#nodes.delete(slot);
    else node.delivery.start();
  }

  connect(slot: number, user: string): void {
    const node = this.#nodes.get(slot);
    if (node === undefined || node.clock.stopped) return;
    const before = node.users.get(user) ?? 0;
    node.users.set(user, before + 1);
    if (before > 0) return;
    this.stays.push({ user, slot, from: this.now(), to: Number.POSITIVE_INFINITY });
    node.listener('user', user, true);
  }

  disconnect(slot: number, user: string): void {
    const node = this.#nodes.get(slot);
    const before = node?.users.get(user);
    if (node === undefined || before === undefined || node.clock.stopped) return;
    if (before > 1) return void node.users.set(user, before - 1);
    node.users.delete(user);
    this.#endStays(slot, user);
    node.listener('user', user, false);
  }

  kill(slot: number): void {
    const node = this.#nodes.get(slot);
    if (node === undefined) return;
    node.clock.kill();
    node.up = false;
    this.#nodes.delete(slot);
    this.#endStays(slot);
  }

  async leave(slot: number): Promise<void> {
    const node = this.#nodes.get(slot);
    if (node === undefined || node.clock.stopped) return;
    for (const user of [...node.users.keys()]) {
      node.users.set(user, 1);
      this.disconnect(slot, user);
    }
    const closed = node.tracker.close().then(() => node.membership.close());
    await Promise.race([closed, this.settle()]);
    node.clock.kill();
    this.#nodes.delete(slot);
  }

  present(user: string): boolean {
    return [...this.#nodes.values()].some((node) => node.users.has(user));
  }

  async pass(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += STEP) {
      this.clock.advance(STEP);
      await this.settle();
    }
  }

  /** Waits until the store has nothing to do any more. */
  async settle(): Promise<void> {
    for (let quiet = 0; quiet < 3; ) {
      await setImmediate();
      quiet = this.#pending === 0 ? quiet + 1 : 0;
    }
  }

  async close(): Promise<void> {
    for (const slot of [...this.#nodes.keys()]) this.kill(slot);
    await this.settle();
    await this.store.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #endStays(slot: number, user?: string): void {
    for (const stay of this.stays) {
      const meant = stay.slot === slot && (user === undefined || stay.user === user);
      if (meant && stay.to > this.now()) stay.to = this.now();
    }
  }

  /** Answers wait while the process of the node stands still, and are refused while it is cut off. */
  #storeFor(node: NodeInWorld): Pick<Store, 'nodes' | 'leases'> {
    const wrap = <T extends object>(table: T): T =>
      new Proxy(table, {
        get: (target, name) => {
          const method = target[name as keyof T] as (...args: unknown[]) => Promise<unknown>;
          return async (...args: unknown[]) => {
            const failing = () => this.outage || node.cut;
            if (failing()) throw new StoreError('failed', 'the test says so');
            this.#pending += 1;
            const answer = await method.apply(target, args).finally(() => {
              this.#pending -= 1;
            });
            await node.clock.running();
            // It was done, but nobody is told.
            if (failing()) throw new StoreError('uncertain', 'the test says so');
            return answer;
          };
        },
      });
    return { nodes: wrap(this.store.nodes), leases: wrap(this.store.leases) };
  }
}
