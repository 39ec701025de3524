/**
 * A transport between a connection and its door that loses, doubles, swaps, delays and withholds what is sent.
 * Losing, doubling and swapping concern stream frames, which carry sequences or can be told apart; answers are
 * only late. What it holds counts as queued, so that slow-reader policies see a slow reader.
 */
import type { CloseCode } from '@countersign/protocol';
import type { Transport } from '../../connection/transport.ts';
import type { Clock } from '../../operations/clock.ts';
import type { Outbox } from '../../streams/outbox.ts';
import { createDice } from './dice.ts';
import { FrameFates } from './frame-fates.ts';
import type { FaultSpec } from './spec.ts';

export interface FaultyTransportOptions {
  inner: Transport;
  spec: FaultSpec;
  seed: string;
  clock: Clock;
  /** In bytes, as the outbox has them: behind by more than `soft` is congested, by more than `hard` is cut. */
  limits: { soft: number; hard: number };
}

export interface FaultyTransport extends Transport {
  /** Drops what is held and every timer; the inner transport is left alone. Idempotent. */
  release(): void;
}

/** Milliseconds for which a frame waits for the one that shall overtake it. */
const SWAP_PATIENCE = 1000;

interface Held {
  /** Monotonic. */
  due: number;
  bytes: number;
  send(): void;
}

export function createFaultyTransport(options: FaultyTransportOptions): FaultyTransport {
  const { inner, spec, seed, clock, limits } = options;
  const fates = new FrameFates(spec, seed);
  const delay = createDice(seed, 'delay');
  const opened = clock.monotonic();
  const frozenFrom = opened + (spec.freeze?.from ?? Number.POSITIVE_INFINITY) * 1000;
  const frozenTo = opened + (spec.freeze?.to ?? Number.POSITIVE_INFINITY) * 1000;
  let line: Held[] = [];
  let heldBytes = 0;
  let cancelPump = (): void => {};
  let cancelSwap = (): void => {};
  let waiting: (() => void)[] = [];
  let closed = false;

  const isFrozen = (now: number): boolean => now >= frozenFrom && now < frozenTo;

  function pass(bytes: number, send: () => void): void {
    if (closed) return;
    const now = clock.monotonic();
    const late = spec.delayMs === undefined ? 0 : delay.whole(spec.delayMs.least, spec.delayMs.most);
    if (line.length === 0 && late === 0 && !isFrozen(now)) {
      send();
      return;
    }
    // One unit of any size may be held, such as a snapshot: the outbox takes it, too.
    if (line.length > 0 && heldBytes + bytes > limits.hard) {
      transport.terminate();
      return;
    }
    const due = Math.max(now + late, line.at(-1)?.due ?? 0);
    line.push({ due, bytes, send });
    heldBytes += bytes;
    if (line.length === 1) schedule(now);
  }

  function schedule(now: number): void {
    cancelPump();
    const head = line[0];
    if (head === undefined) return;
    const at = isFrozen(Math.max(now, head.due)) ? frozenTo : head.due;
    if (at !== Number.POSITIVE_INFINITY) cancelPump = clock.after(at - now, pump);
  }

  function pump(): void {
    const now = clock.monotonic();
    while (!closed && !isFrozen(now) && (line[0]?.due ?? Number.POSITIVE_INFINITY) <= now) sendFirst();
    if (closed) return;
    schedule(now);
    if (heldBytes > limits.soft) return;
    for (const callback of waiting.splice(0)) outbox.whenClear(callback);
  }

  function sendFirst(): void {
    const { bytes, send } = line.shift()!;
    heldBytes -= bytes;
    send();
  }

  function stream(frames: readonly Uint8Array[]): void {
    cancelSwap();
    const sent = frames.flatMap((frame) => fates.of(frame));
    if (fates.waiting) cancelSwap = clock.after(SWAP_PATIENCE, () => put(fates.release()));
    put(sent);
  }

  function put(frames: readonly Uint8Array[]): void {
    if (frames.length === 0) return;
    const bytes = frames.reduce((sum, frame) => sum + frame.length, 0);
    pass(bytes, () => inner.outbox.pushAll(frames));
  }

  function release(): void {
    closed = true;
    cancelPump();
    cancelSwap();
    line = [];
    heldBytes = 0;
    waiting = [];
  }

  const outbox: Outbox = {
    push: (frame) => stream([frame]),
    pushAll: stream,
    get queuedBytes() {
      return heldBytes + inner.outbox.queuedBytes;
    },
    get congested() {
      return heldBytes > limits.soft || inner.outbox.congested;
    },
    get clear() {
      return heldBytes <= limits.soft && inner.outbox.clear;
    },
    whenClear(callback) {
      if (closed) return;
      if (heldBytes > limits.soft) waiting.push(callback);
      else inner.outbox.whenClear(callback);
    },
    flush: () => inner.outbox.flush(),
    close() {
      release();
      inner.outbox.close();
    },
  };

  const transport: FaultyTransport = {
    outbox,
    send: (text) => pass(Buffer.byteLength(text), () => inner.send(text)),
    close(code: CloseCode) {
      // What is only late comes before the close; what is frozen is lost with the connection.
      if (!closed && !isFrozen(clock.monotonic())) {
        while (line.length > 0) sendFirst();
        const last = fates.release();
        if (last.length > 0) inner.outbox.pushAll(last);
      }
      release();
      inner.close(code);
    },
    terminate() {
      release();
      inner.terminate();
    },
    release,
  };
  return transport;
}
