/**
 * Decides when outboxes are written: at once while there is little to do, together while there is much. It knows
 * every open outbox, so it is also where they are counted.
 */
import { systemClock } from '../operations/clock.ts';
import { Chunks } from './chunks.ts';

/** Something with frames waiting. Its `flush` must not throw. */
export interface Flushable {
  flush(chunks?: Chunks): void;
}

/** What all outboxes of a node have written and hold. */
export interface OutboxCounts {
  /** Since the start. */
  bytes: number;
  frames: number;
  /** Readers that were cut because they were too far behind, or could not be written to. */
  overflows: number;
}

export interface OutboxStats extends Readonly<OutboxCounts> {
  /** Outboxes that are open, and the bytes that their readers have not been sent yet. */
  readonly open: number;
  readonly queuedBytes: number;
}

export interface Flusher {
  /** Counters that outboxes add to. */
  readonly counts: OutboxCounts;
  /** Knows an outbox until the returned function is called. */
  track(outbox: { readonly queuedBytes: number }): () => void;
  /** Walks all open outboxes. */
  stats(): OutboxStats;
  /** Asks for a flush of this outbox; must not be asked again before that flush. */
  mark(outbox: Flushable): void;
  /** Flushes all that are marked, now. */
  flush(): void;
  /** Flushes what is marked and stops: later marks are flushed on the spot. Idempotent. */
  close(): void;
}

export interface FlusherOptions {
  clock?: { monotonic(): number; after(ms: number, task: () => void): () => void };
  /** Longest wait for more frames while busy, in milliseconds. 0 never waits. Default 10. */
  coalesceMs?: number;
  /** Runs a task once the events at hand have been handled. Default `setImmediate`. */
  defer?: (task: () => void) => void;
}

/** A flush lasts at most this long, in milliseconds, before other events get a turn. */
const SLICE_MS = 10;
/** Outboxes written between two looks at the clock. */
const STRIDE = 64;
/** How many times its own cost must pass between one flush and the next. */
const REST = 4;

/**
 * Creates the flusher of a node.
 *
 * The wait follows the cost: after a flush that took `t` ms, the next one starts no sooner than `4 t` ms
 * later, at most `coalesceMs`. So a node with little to write answers within the same turn of the event
 * loop, and one that would spend its time in system calls writes several frames with each of them.
 */
export function createFlusher(options: FlusherOptions = {}): Flusher {
  const { clock = systemClock, coalesceMs = 10, defer = setImmediate } = options;
  let dirty: Flushable[] = [];
  let scheduled = false;
  let closed = false;
  let notBefore = Number.NEGATIVE_INFINITY;
  let cancelTimer: (() => void) | null = null;
  /** Cost so far of a flush that was interrupted for other events. */
  let spent = 0;
  const counts: OutboxCounts = { bytes: 0, frames: 0, overflows: 0 };
  const open = new Set<{ readonly queuedBytes: number }>();

  function schedule(): void {
    if (scheduled) return;
    scheduled = true;
    const wait = notBefore - clock.monotonic();
    // A timer cannot wait for less than a millisecond.
    if (wait < 1) defer(run);
    else cancelTimer = clock.after(Math.ceil(wait), run);
  }

  function run(): void {
    if (!scheduled) return;
    scheduled = false;
    cancelTimer = null;
    const started = clock.monotonic();
    const batch = dirty;
    dirty = [];
    const chunks = new Chunks();
    let done = 0;
    while (done < batch.length) {
      batch[done++]!.flush(chunks);
      if (done % STRIDE === 0 && clock.monotonic() - started >= SLICE_MS) break;
    }
    const now = clock.monotonic();
    spent += now - started;
    if (done < batch.length) {
      dirty = batch.slice(done).concat(dirty);
      scheduled = true;
      defer(run);
      return;
    }
    notBefore = now + Math.min(coalesceMs, spent * REST);
    spent = 0;
    if (dirty.length > 0) schedule();
  }

  function flushAll(): void {
    cancelTimer?.();
    cancelTimer = null;
    scheduled = false;
    const batch = dirty;
    dirty = [];
    const chunks = new Chunks();
    for (const outbox of batch) outbox.flush(chunks);
  }

  return {
    counts,
    track(outbox) {
      open.add(outbox);
      return () => void open.delete(outbox);
    },
    stats() {
      let queuedBytes = 0;
      for (const outbox of open) queuedBytes += outbox.queuedBytes;
      return { ...counts, open: open.size, queuedBytes };
    },
    mark(outbox) {
      if (closed) {
        outbox.flush();
        return;
      }
      dirty.push(outbox);
      schedule();
    },
    flush: flushAll,
    close() {
      if (closed) return;
      closed = true;
      flushAll();
    },
  };
}
