/**
 * The way out of a connection: ready frames in order, written in one system call per flush, never more than
 * a bounded number of bytes behind.
 */

import { Chunks } from './chunks.ts';
import type { Flushable, Flusher } from './flusher.ts';

/** Where bytes leave the process. A door makes one per socket. */
export interface Sink {
  /** Hands over whole frames, in order, in as few system calls as possible. */
  write(chunk: Uint8Array): void;
  /** Bytes that were handed over and that the kernel has not taken yet. */
  readonly backlog: number;
  /** Calls back once when the backlog, which is not zero now, has gone to zero. See `socketSink` for the trap. */
  whenDrained(callback: () => void): void;
}

/** The way out, as the rest of a connection sees it. */
export interface Outbox {
  /** Queues a frame; one larger than the soft limit counts as a unit, see {@link pushAll}. Dropped after close or overflow. */
  push(frame: Uint8Array): void;
  /**
   * Queues frames that belong together, such as a snapshot, as one unit that may be larger than the limits:
   * only what comes behind it is measured by them. While the outbox is not {@link clear} the unit must fit
   * like any other frame, so wait for `whenClear` first; then a reader is owed one such unit at most.
   */
  pushAll(frames: readonly Uint8Array[]): void;
  /** Bytes that the reader has not been sent yet: queued here, or handed to the sink and not yet taken. */
  readonly queuedBytes: number;
  /** True when the reader is behind by more than the soft limit: time for the channels' slow-reader policy. */
  readonly congested: boolean;
  /** True when a unit of any size may be pushed. */
  readonly clear: boolean;
  /** Calls back once: now if the outbox is clear, else when everything queued has left. Never after close. */
  whenClear(callback: () => void): void;
  /** Writes what is queued now, for instance before a close frame. */
  flush(): void;
  /** Drops what is queued and every callback. Idempotent. */
  close(): void;
}

export interface OutboxOptions {
  sink: Sink;
  flusher: Flusher;
  /** In bytes. `soft`: behind by more is congested. `hard`: a push that would exceed it overflows. */
  limits: { soft: number; hard: number };
  /** Called once, when a reader is too far behind. The outbox is closed by then; the caller ends the connection. */
  onOverflow: () => void;
}

/** Creates the outbox of one connection. Frames leave in the order of the pushes. */
export function createOutbox(options: OutboxOptions): Outbox {
  return new FrameQueue(options);
}

class FrameQueue implements Outbox, Flushable {
  readonly #sink: Sink;
  readonly #flusher: Flusher;
  readonly #soft: number;
  readonly #hard: number;
  readonly #onOverflow: () => void;
  readonly #untrack: () => void;
  #frames: Uint8Array[] = [];
  #bytes = 0;
  /** The sink's backlog when last looked at. It only shrinks between our writes, so it is never too low. */
  #backlog = 0;
  /** Bytes of the last oversized unit that may still be on their way; the limits do not count them. */
  #allowance = 0;
  #marked = false;
  #draining = false;
  #closed = false;
  #waiting: (() => void)[] = [];

  constructor({ sink, flusher, limits, onOverflow }: OutboxOptions) {
    this.#sink = sink;
    this.#flusher = flusher;
    this.#soft = limits.soft;
    this.#hard = limits.hard;
    this.#onOverflow = onOverflow;
    this.#untrack = flusher.track(this);
  }

  push(frame: Uint8Array): void {
    if (this.#closed) return;
    if (frame.length > this.#soft) {
      this.pushAll([frame]);
      return;
    }
    if (this.#exceeds(this.#hard - frame.length)) {
      this.#overflow();
      return;
    }
    this.#frames.push(frame);
    this.#bytes += frame.length;
    if (!this.#marked) this.#mark();
  }

  pushAll(frames: readonly Uint8Array[]): void {
    if (this.#closed || frames.length === 0) return;
    let bytes = 0;
    for (const frame of frames) bytes += frame.length;
    if (this.clear) {
      if (bytes > this.#soft) this.#allowance = this.queuedBytes + bytes;
    } else if (this.#exceeds(this.#hard - bytes)) {
      this.#overflow();
      return;
    }
    for (const frame of frames) this.#frames.push(frame);
    this.#bytes += bytes;
    if (!this.#marked) this.#mark();
  }

  get queuedBytes(): number {
    return this.#bytes + this.#sink.backlog;
  }

  get congested(): boolean {
    return this.#exceeds(this.#soft);
  }

  get clear(): boolean {
    if (this.#bytes + this.#backlog <= this.#soft) return true;
    this.#look();
    return this.#bytes + this.#backlog <= this.#soft;
  }

  whenClear(callback: () => void): void {
    if (this.#closed) return;
    if (this.clear) {
      callback();
      return;
    }
    this.#waiting.push(callback);
    this.#settle();
  }

  flush(chunks: Chunks = new Chunks()): void {
    this.#marked = false;
    if (this.#closed || this.#frames.length === 0) return;
    const chunk = chunks.join(this.#frames, this.#bytes);
    this.#flusher.counts.bytes += this.#bytes;
    this.#flusher.counts.frames += this.#frames.length;
    this.#frames = [];
    this.#bytes = 0;
    try {
      this.#sink.write(chunk);
    } catch {
      // A sink that cannot take bytes any more is a reader that is gone; others are flushed after it.
      this.#overflow();
      return;
    }
    this.#look();
    if (this.#waiting.length > 0) this.#settle();
  }

  close(): void {
    this.#closed = true;
    this.#untrack();
    this.#frames = [];
    this.#bytes = 0;
    this.#waiting = [];
  }

  #mark(): void {
    this.#marked = true;
    this.#flusher.mark(this);
  }

  /** Asks the sink only if the last known backlog, which is never too low, says that it might matter. */
  #exceeds(limit: number): boolean {
    if (this.#bytes + this.#backlog <= limit + this.#allowance) return false;
    this.#look();
    return this.#bytes + this.#backlog > limit + this.#allowance;
  }

  #look(): void {
    this.#backlog = this.#sink.backlog;
    const behind = this.#bytes + this.#backlog;
    // No more of the unit can be left than there is in all; a reader that is hardly behind has had it.
    this.#allowance = behind <= this.#soft ? 0 : Math.min(this.#allowance, behind);
  }

  #overflow(): void {
    if (this.#closed) return;
    this.#flusher.counts.overflows += 1;
    this.close();
    this.#onOverflow();
  }

  /** Arms one wake-up for whoever waits; a full queue wakes them by its own flush. */
  #settle(): void {
    if (this.#draining || this.#frames.length > 0) return;
    if (this.#sink.backlog === 0) {
      this.#wake();
      return;
    }
    this.#draining = true;
    this.#sink.whenDrained(() => {
      this.#draining = false;
      if (this.#closed) return;
      this.#look();
      this.#settle();
    });
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    // One that fills the outbox again makes the next one wait again.
    for (const callback of waiting) this.whenClear(callback);
  }
}
