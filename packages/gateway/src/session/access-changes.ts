/**
 * Revocation: one mechanism for sessions, users, API keys, handshake tokens and signing keys. Whatever ends
 * or narrows access is first made durable in the store's change log; every node follows that log by sequence
 * number and applies what it reads. The broker's signal only makes a node look sooner: a lost signal costs at
 * most one poll interval, never the change (R47). A node that finds by polling what no signal told it of looks
 * more often for a while: then the broker is not to be relied on.
 */
import type { Broker } from '../broker/broker.ts';
import type { Clock } from '../operations/clock.ts';
import type { Change, Store } from '../store/store.ts';

export interface AccessChanges {
  /**
   * `listener` is called once for each change, in order. `at` is the wall-clock time at which this node learnt
   * of it, so `at - change.at` is how long the revocation travelled.
   */
  onChange(listener: (change: Change, learnt: { at: number }) => void): void;
  /** Called when a refresh lengthened a session's access: `expiresAt` in wall-clock ms, leeway included. */
  onSessionExtended(listener: (sid: string, expiresAt: number) => void): void;
  /**
   * Whether this node has recently seen the session end. It remembers an end for as long as access tokens of
   * the session can live; about sessions that ended before it started, the directory asks the store.
   */
  isSessionEnded(sid: string): boolean;
  /** Tells all nodes to look now, and resolves when this one has applied the change. */
  announce(change: Change): Promise<void>;
  /** Reads all that the log holds by now. Rejects if the store does not answer. */
  catchUp(): Promise<void>;
  /** Sequence of the newest change applied here. */
  position(): number;
  /** Monotonic time of the start of the last read that reached the end of the log. */
  confirmedAt(): number;
  /** False once nothing has been confirmed for 30 s: private work must then be refused (R47). */
  fresh(): boolean;
  /** Called with what {@link fresh} says when that has changed, at most one look later; true after all that was missed. */
  onFreshness(listener: (fresh: boolean) => void): void;
  close(): void;
}

/** How often the clock is looked at; no look at the log is more frequent. */
const TICK_MS = 50;
/** Between two looks while changes come without a signal, and for how long after the last of them. */
const WARY_POLL_MS = 100;
const WARY_FOR_MS = 60_000;
const STALE_AFTER_MS = 30_000;
const PAGE = 500;

/**
 * Starts following the log at its present end.
 *
 * @param pollMs milliseconds between two looks at the log: how late a node learns of a change whose signal was lost,
 *   but for the time that a look takes. Each look is one indexed read of the store. Default 250.
 * @param endedFor milliseconds for which the end of a session is remembered: the life of an access token
 * @param maxEnded ended sessions remembered at most. Forgetting one early is safe: the directory dropped its
 *   entry when the session ended, so the next token of it is looked up in the store.
 * @param onProblem told when the store or a listener fails; for the log
 */
export async function createAccessChanges({
  store,
  broker,
  clock,
  pollMs = 250,
  endedFor = 3_660_000,
  maxEnded = 100_000,
  onProblem = () => {},
}: {
  store: Store;
  broker: Broker;
  clock: Clock;
  pollMs?: number;
  endedFor?: number;
  maxEnded?: number;
  onProblem?: (problem: unknown) => void;
}): Promise<AccessChanges> {
  const listeners: ((change: Change, learnt: { at: number }) => void)[] = [];
  const extensionListeners: ((sid: string, expiresAt: number) => void)[] = [];
  const freshnessListeners: ((fresh: boolean) => void)[] = [];
  /** sid -> monotonic time at which it may be forgotten; in order of insertion, which is order of time. */
  const ended = new Map<string, number>();
  let confirmed = clock.monotonic();
  let wasFresh = true;
  let lookedAt = confirmed;
  let waryUntil = 0;
  let position = await store.changes.head();
  /** Newest sequence that a signal or this node itself has named. */
  let named = position;
  let closed = false;
  let running: Promise<void> | null = null;
  let queued: Promise<void> | null = null;

  const guarded = (task: () => void): void => {
    try {
      task();
    } catch (problem) {
      onProblem(problem);
    }
  };

  function forgetOld(): void {
    const now = clock.monotonic();
    for (const [sid, until] of ended) {
      if (until > now && ended.size <= maxEnded) return;
      ended.delete(sid);
    }
  }

  function apply(change: Change): void {
    if (change.kind === 'session-ended') {
      ended.delete(change.subject);
      ended.set(change.subject, clock.monotonic() + endedFor);
    }
    const learnt = { at: clock.now() };
    for (const listener of listeners) guarded(() => listener(change, learnt));
  }

  const fresh = (): boolean => clock.monotonic() - confirmed <= STALE_AFTER_MS;

  function noteFreshness(): void {
    if (fresh() === wasFresh) return;
    wasFresh = !wasFresh;
    for (const listener of freshnessListeners) guarded(() => listener(wasFresh));
  }

  async function read(): Promise<void> {
    for (;;) {
      const started = clock.monotonic();
      lookedAt = started;
      const page = await store.changes.since(position, PAGE);
      if (closed) return;
      for (const change of page) {
        position = change.sequence;
        apply(change);
      }
      if (position > named) {
        named = position;
        waryUntil = clock.monotonic() + WARY_FOR_MS;
      }
      forgetOld();
      if (page.length < PAGE) {
        confirmed = started;
        noteFreshness();
        return;
      }
    }
  }

  /** A caller needs a read that begins after its call: one under way is not enough, one more serves all who wait. */
  function catchUp(): Promise<void> {
    if (closed) return Promise.resolve();
    if (running === null) {
      running = read().finally(() => {
        running = null;
      });
      return running;
    }
    queued ??= running
      .catch(() => {})
      .then(() => {
        queued = null;
        return catchUp();
      });
    return queued;
  }

  const hint = (): void => {
    catchUp().catch(onProblem);
  };

  broker.onSignal((signal) => {
    if (closed) return;
    if (signal.kind === 'session-extended') {
      for (const listener of extensionListeners) guarded(() => listener(signal.sid, signal.expiresAt));
      return;
    }
    named = Math.max(named, signal.sequence);
    if (signal.sequence > position) hint();
  });
  const stopPolling = clock.every(TICK_MS, () => {
    noteFreshness();
    const now = clock.monotonic();
    const due = now < waryUntil ? Math.min(pollMs, WARY_POLL_MS) : pollMs;
    if (running === null && now - lookedAt >= due) hint();
  });

  return {
    onChange: (listener) => void listeners.push(listener),
    onSessionExtended: (listener) => void extensionListeners.push(listener),
    isSessionEnded: (sid) => ended.has(sid),
    async announce(change) {
      named = Math.max(named, change.sequence);
      // A broker that is down must not hold up a logout: the other nodes poll.
      broker.signal({ kind: 'access-changed', sequence: change.sequence }).catch(onProblem);
      if (position < change.sequence) await catchUp();
    },
    catchUp,
    position: () => position,
    confirmedAt: () => confirmed,
    fresh,
    onFreshness: (listener) => void freshnessListeners.push(listener),
    close() {
      closed = true;
      stopPolling();
    },
  };
}
