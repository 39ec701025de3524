/**
 * What this node has to do with leases: it follows which are armed, says in the store which of their subjects are
 * connected here, and once the time of one is up, makes it gone if every node agrees that nobody came back.
 *
 * What happens to connections is written in groups, a tenth of a second after it happened. Before a lease is due, each
 * node has to have written everything up to that moment (`settledAt`): a lease is never gone while its subject
 * is connected to a node that is alive, however late that node is.
 */
import type { Clock } from '../../operations/clock.ts';
import type { Membership } from '../../operations/membership.ts';
import type { Lease, LeaseKind, LeaseStanding, LeaseStore } from '../../store/leases.ts';

/** Who is connected here. */
export interface PresenceHere {
  has(kind: LeaseKind, subject: string): boolean;
  onPresence(listener: (kind: LeaseKind, subject: string, present: boolean) => void): void;
}

export interface LeaseTracker {
  /** Leases that are armed, as far as this node has read. */
  armed(): number;
  /** Reads what has changed, and writes what that means for this node. */
  catchUp(): Promise<void>;
  /** False when this node has not got through its round for so long that others must not wait for it. */
  fit(): boolean;
  /** Begins to follow; call it before the node joins. @throws StoreError */
  start(): Promise<void>;
  /** Writes what has happened last. Idempotent. */
  close(): Promise<void>;
}

export interface LeaseTrackerOptions {
  store: LeaseStore;
  membership: Pick<Membership, 'id' | 'now' | 'onJoined' | 'lost' | 'anyDead'>;
  presence: PresenceHere;
  clock: Clock;
  /** Milliseconds for which the delivery of an event will be tried. */
  giveUpAfter: number;
  /** Told how many are armed, whenever this node has looked. */
  onFollowed?: (armed: number) => void;
  /** Told of leases that this node has found gone. */
  onGone: (leases: readonly Lease[]) => void;
  onProblem?: (problem: unknown) => void;
}

const ROUND_MS = 1000;
const GATHER_MS = 100;
const UNFIT_AFTER_MS = 5000;
const PAGE = 500;
/** Holders in one transaction: it holds up every other write to leases. */
const GROUP = 250;
const MOST_GONE = 200;
/** Longer than a node can be behind with reading leases without being given up. */
const KEEP_LEFT_MS = 20_000;
const MOST_LEFT = 100_000;
/** Of each kind of group in one round: the rest waits for the next. */
const MOST_GROUPS = 50;

export function createLeaseTracker(options: LeaseTrackerOptions): LeaseTracker {
  const { store, membership, presence, clock, giveUpAfter, onGone } = options;
  const { onFollowed = () => {}, onProblem = () => {} } = options;
  const armed = new Map<string, LeaseStanding>();
  const bySubject = new Map<string, Set<string>>();
  /** Leases that this node holds in the store, each with the arming that it holds. */
  const held = new Map<string, number>();
  /** What has to be looked at, and when its subject went last, or null if it has not since the last look. */
  let dirty = new Map<string, number | null>();
  /** Subjects that went a moment ago: they may have been here when a lease was armed that this node reads only now. */
  const left = new Map<string, number>();
  /** Newest lease that is in `armed`. */
  let position = 0;
  /** What the store was told last. */
  let written = { leasePosition: 0, settledAt: 0 };
  let gathering: (() => void) | null = null;
  let working: Promise<void> = Promise.resolve();
  let rounds = 0;
  let roundAt = clock.monotonic();
  let stop = () => {};
  let closed = false;

  const nameOf = ({ kind, subject }: { kind: LeaseKind; subject: string }) => `${kind}:${subject}`;

  /** One after the other: what is written has to be what was seen last. */
  function inTurn(work: () => Promise<void>): Promise<void> {
    const done = working.then(work);
    working = done.catch(() => {});
    return done;
  }

  presence.onPresence((kind, subject, present) => {
    const at = present ? null : membership.now();
    if (at !== null) remember(`${kind}:${subject}`, at);
    for (const id of bySubject.get(`${kind}:${subject}`) ?? []) dirty.set(id, at ?? dirty.get(id) ?? null);
    if (dirty.size > 0) gather();
  });
  membership.onJoined(() => {
    held.clear();
    written = { leasePosition: 0, settledAt: 0 };
    for (const lease of armed.values()) touch(lease);
    gather();
  });

  function gather(): void {
    if (closed) return;
    gathering ??= clock.after(GATHER_MS, () => {
      gathering = null;
      inTurn(flush).catch(onProblem);
    });
  }

  function remember(name: string, at: number): void {
    left.delete(name);
    left.set(name, at);
    for (const [oldest, since] of left) {
      if (left.size <= MOST_LEFT && since > at - KEEP_LEFT_MS) return;
      left.delete(oldest);
    }
  }

  /** Has a lease looked at if its subject is here, or was a moment ago. */
  function touch(lease: LeaseStanding): void {
    const { id, kind, subject } = lease;
    if (dirty.has(id)) return;
    if (presence.has(kind, subject)) dirty.set(id, null);
    else {
      const at = left.get(nameOf(lease));
      if (at !== undefined) dirty.set(id, at);
    }
  }

  function forget(id: string): void {
    const known = armed.get(id);
    if (known === undefined) return;
    armed.delete(id);
    held.delete(id);
    dirty.delete(id);
    const same = bySubject.get(nameOf(known));
    same?.delete(id);
    if (same?.size === 0) bySubject.delete(nameOf(known));
  }

  function note(lease: LeaseStanding): void {
    forget(lease.id);
    if (!lease.armed) return;
    armed.set(lease.id, lease);
    const same = bySubject.get(nameOf(lease)) ?? new Set();
    same.add(lease.id);
    bySubject.set(nameOf(lease), same);
    touch(lease);
  }

  async function follow(): Promise<void> {
    for (;;) {
      const page = await store.since(position, PAGE);
      for (const lease of page) {
        position = lease.sequence;
        note(lease);
      }
      if (page.length < PAGE) break;
    }
    onFollowed(armed.size);
  }

  /** Writes what is not in the store yet, the newest confirmation with the last of it. */
  async function flush(): Promise<void> {
    const node = membership.id();
    if (node === null) return;
    // All that happened before this moment is in `dirty`, and all leases up to this one in `armed`.
    const confirmed = { leasePosition: position, settledAt: membership.now() };
    const all = [...dirty];
    dirty = new Map();
    for (let from = 0; from === 0 || from < all.length; from += GROUP) {
      const group = all.slice(from, from + GROUP);
      const last = from + GROUP >= all.length;
      let alive = false;
      try {
        alive = await write(node, group, last ? confirmed : written);
      } catch (error) {
        putBack(all.slice(from));
        throw error;
      }
      if (!alive) {
        putBack(all.slice(from));
        membership.lost(node);
        return;
      }
      if (last && membership.id() === node) written = confirmed;
    }
  }

  function putBack(entries: readonly (readonly [string, number | null])[]): void {
    for (const [id, at] of entries) if (!dirty.has(id) && armed.has(id)) dirty.set(id, at);
  }

  async function write(
    node: string,
    group: readonly (readonly [string, number | null])[],
    confirmed: typeof written,
  ): Promise<boolean> {
    const hold: { id: string; sequence: number }[] = [];
    const release: { id: string; sequence: number; at: number }[] = [];
    for (const [id, at] of group) {
      const lease = armed.get(id);
      if (lease === undefined) continue;
      const { sequence } = lease;
      const holds = held.get(id) === sequence;
      const here = presence.has(lease.kind, lease.subject);
      if (here && !holds) hold.push({ id, sequence });
      // One that came and went again between two looks has been here all the same: the time counts from then.
      if (!here && (holds || at !== null)) release.push({ id, sequence, at: at ?? membership.now() });
    }
    if (!(await store.present({ node, hold, release, ...confirmed }))) return false;
    // Joined again meanwhile: under that id nothing is held yet.
    if (membership.id() !== node) return true;
    for (const { id, sequence } of hold) if (armed.has(id)) held.set(id, sequence);
    for (const { id } of release) held.delete(id);
    return true;
  }

  async function expire(): Promise<void> {
    const due = await store.nextDue();
    if (due === null || due > membership.now()) return;
    if (written.settledAt < due) await flush();
    for (let groups = 0; groups < MOST_GROUPS; groups += 1) {
      const gone = await store.expire(membership.now(), giveUpAfter, MOST_GONE);
      if (gone.length > 0) onGone(gone);
      if (gone.length < MOST_GONE) return;
    }
  }

  async function releaseDead(): Promise<void> {
    if (!membership.anyDead()) return;
    for (let groups = 0; groups < MOST_GROUPS; groups += 1)
      if ((await store.releaseDead(GROUP)) < GROUP) return;
  }

  async function catchUp(): Promise<void> {
    await follow();
    if (dirty.size > 0 || written.leasePosition !== position) await flush();
  }

  async function round(): Promise<void> {
    await catchUp();
    await releaseDead();
    await expire();
    roundAt = clock.monotonic();
  }

  return {
    armed: () => armed.size,
    catchUp: () => inTurn(catchUp),
    fit: () => clock.monotonic() - roundAt < UNFIT_AFTER_MS,
    async start() {
      await inTurn(follow);
      roundAt = clock.monotonic();
      stop = clock.every(ROUND_MS, () => {
        if (rounds > 0) return;
        rounds += 1;
        inTurn(round)
          .catch(onProblem)
          .finally(() => {
            rounds -= 1;
          });
      });
    },
    async close() {
      if (closed) return;
      closed = true;
      stop();
      gathering?.();
      await inTurn(flush).catch(onProblem);
    },
  };
}
