/**
 * Which gateways there are, as the store knows it: each says every two seconds that it is there, and how far it has
 * applied changes of access. A node that is not heard of for six seconds is given up by whoever notices.
 *
 * No node judges by its own wall clock, nor by a time when it could not look: another one is dead when this node, looking
 * all the while, has seen it say nothing new for so long. After an outage of the store nobody is given up before
 * everybody had the chance to say something.
 */
import type { Node, NodeStore } from '../store/nodes.ts';
import type { Clock } from './clock.ts';
import { createSharedClock, type SharedClock } from './shared-clock.ts';

export interface Membership {
  /** This node's id; null until it has joined, and between being given up and coming back, under another id. */
  id(): string | null;
  /** Milliseconds of the clock that the nodes share: the database server's. Never later than that by more than its drift in two seconds. */
  now(): number;
  /** Called each time that this node has joined, before it says anything else. */
  onJoined(listener: () => void): void;
  /** While `fit` is false the node says nothing: better dead than holding up all others. Default: always true. */
  sayWhile(fit: () => boolean): void;
  /** Says soon how far this node has got. Call it when changes of access were applied. */
  moved(): void;
  /** The store has said that this node was given up: it joins again at once. */
  lost(id: string): void;
  /** Alive and, for a minute, dead ones. */
  nodes(): Promise<Node[]>;
  /** How many are alive, this one included, as of the last look that succeeded. 1 before the first. */
  living(): number;
  /** True while there are nodes that were given up: they may hold something. */
  anyDead(): boolean;
  /** Joins. @throws StoreError */
  start(): Promise<void>;
  /** Leaves. Idempotent. */
  close(): Promise<void>;
}

export interface MembershipOptions {
  store: NodeStore;
  clock: Clock;
  /** Read at each heartbeat. Default: one of its own on the store. */
  time?: SharedClock;
  /** Host and port of the public listener, once it listens. */
  address: () => string;
  version: string;
  /** Sequence of the newest change of access that is applied here. */
  position: () => number;
  newId: () => string;
  /** Milliseconds in which a node must be heard of. Default 6,000. */
  deadAfter?: number;
  onDead?: (node: Node) => void;
  onProblem?: (problem: unknown) => void;
}

const BEAT_MS = 2000;
const LOOK_MS = 1000;
/** For changes that come in company. */
const SAY_SOON_MS = 50;
/** A node that could not look for so long begins anew to watch the others. */
const BLIND_MS = 3000;
const KEEP_DEAD_MS = 60_000;

export function createMembership(options: MembershipOptions): Membership {
  const { store, clock, address, version, position, newId } = options;
  const { time = createSharedClock({ time: store.time, clock }) } = options;
  const { deadAfter = 6000, onDead = () => {}, onProblem = () => {} } = options;
  const joined: (() => void)[] = [];
  let id: string | null = null;
  /** What others said last, and since when this node has seen that. */
  let watched = new Map<string, { seenAt: number; since: number }>();
  let lookedAt = Number.NEGATIVE_INFINITY;
  let dead = 0;
  let living = 1;
  let fit = () => true;
  let saySoon: (() => void) | null = null;
  let beating: Promise<void> | null = null;
  let looking: Promise<void> | null = null;
  let stops: (() => void)[] = [];
  let closed = false;

  const { now } = time;

  async function join(): Promise<void> {
    const next = newId();
    const at = now();
    // Nothing is confirmed yet: who waits for all nodes waits for this one to put back what it holds.
    await store.join({
      id: next,
      address: address(),
      version,
      startedAt: at,
      seenAt: at,
      position: position(),
      leasePosition: 0,
      settledAt: 0,
    });
    id = next;
    for (const listener of joined) listener();
  }

  async function say(): Promise<void> {
    await time.read();
    if (id === null) return join();
    if (!fit()) return;
    const mine = id;
    if (!(await store.beat(mine, now(), position())) && id === mine) {
      id = null;
      await join();
    }
  }

  function beat(): void {
    if (closed) return;
    beating ??= say()
      .catch(onProblem)
      .finally(() => {
        beating = null;
      });
  }

  async function look(): Promise<void> {
    const started = clock.monotonic();
    const nodes = await store.list();
    const ended = clock.monotonic();
    if (started - lookedAt > BLIND_MS) watched = new Map();
    lookedAt = ended;
    const still: typeof watched = new Map();
    for (const node of nodes) {
      if (node.deadAt !== null || node.id === id) continue;
      const before = watched.get(node.id);
      const known = before?.seenAt === node.seenAt ? before : { seenAt: node.seenAt, since: ended };
      still.set(node.id, known);
      if (started - known.since < deadAfter) continue;
      if (await store.giveUp(node.id, node.seenAt, now())) onDead(node);
    }
    watched = still;
    dead = nodes.filter(({ deadAt }) => deadAt !== null).length;
    // This one lives, whatever the others wrote about it.
    living = 1 + nodes.filter(({ deadAt, id: other }) => deadAt === null && other !== id).length;
    if (nodes.some(({ deadAt }) => deadAt !== null && deadAt < now() - KEEP_DEAD_MS))
      await store.sweep(now() - KEEP_DEAD_MS);
  }

  return {
    id: () => id,
    now,
    onJoined: (listener) => void joined.push(listener),
    sayWhile(condition) {
      fit = condition;
    },
    moved() {
      if (id === null) return;
      saySoon ??= clock.after(SAY_SOON_MS, () => {
        saySoon = null;
        // One that has begun may have read the position before it moved.
        if (beating === null) beat();
        else
          beating = beating
            .then(() => say())
            .catch(onProblem)
            .finally(() => {
              beating = null;
            });
      });
    },
    lost(lostId) {
      if (id !== lostId) return;
      id = null;
      beat();
    },
    nodes: () => store.list(),
    living: () => living,
    anyDead: () => dead > 0,
    async start() {
      await time.read();
      await join();
      await look();
      stops = [
        clock.every(BEAT_MS, beat),
        clock.every(LOOK_MS, () => {
          looking ??= look()
            .catch(onProblem)
            .finally(() => {
              looking = null;
            });
        }),
      ];
    },
    async close() {
      if (closed) return;
      closed = true;
      for (const stop of stops) stop();
      saySoon?.();
      await Promise.all([beating, looking]);
      if (id !== null) await store.leave(id, now()).catch(onProblem);
    },
  };
}
