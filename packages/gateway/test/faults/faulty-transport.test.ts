import { CLOSE, type CloseCode } from '@countersign/protocol';
import { describe, expect, it } from 'vitest';
import { createFakeClock } from '../../../testkit/src/fake-clock.ts';
import { createFaultyTransport } from '../../src/doors/faults/faulty-transport.ts';
import type { FaultSpec } from '../../src/doors/faults/spec.ts';

/** A faulty transport over one that writes down what reaches it. */
function set(spec: FaultSpec, limits = { soft: 20, hard: 100 }) {
  const clock = createFakeClock();
  const out: string[] = [];
  const closed: (CloseCode | 'terminated')[] = [];
  const transport = createFaultyTransport({
    inner: {
      outbox: {
        push: (frame) => void out.push(Buffer.from(frame).toString()),
        pushAll: (frames) => void out.push(...frames.map((frame) => Buffer.from(frame).toString())),
        queuedBytes: 0,
        congested: false,
        clear: true,
        whenClear: (callback) => callback(),
        flush() {},
        close() {},
      },
      send: (text) => void out.push(`answer ${text}`),
      close: (code) => void closed.push(code),
      terminate: () => void closed.push('terminated'),
    },
    spec,
    seed: '7',
    clock,
    limits,
  });
  const push = (...texts: string[]) => {
    for (const text of texts) transport.outbox.push(Buffer.from(text));
  };
  return { clock, out, closed, transport, push };
}

describe('delay', () => {
  it('makes frames and answers late by as much as was drawn, and keeps their order', () => {
    const { clock, out, transport, push } = set({ delayMs: { least: 50, most: 200 } });
    const times: number[] = [];
    for (let n = 0; n < 20; n += 1) {
      push(`f${n}`);
      transport.send(`a${n}`);
      for (let ms = 0; ms < 10; ms += 1) {
        const before = out.length;
        clock.advance(1);
        for (let i = before; i < out.length; i += 1) times.push(clock.monotonic());
      }
    }
    clock.advance(200);
    expect(out).toEqual(Array.from({ length: 20 }, (_, n) => [`f${n}`, `answer a${n}`]).flat());
    // The first was put in at 0.
    expect(times[0]).toBeGreaterThanOrEqual(50);
    expect(times[0]).toBeLessThanOrEqual(200);
  });

  it('lets go what is late before a close, which then comes last', () => {
    const { out, closed, transport, push, clock } = set({ delayMs: { least: 100, most: 100 } });
    push('a', 'b');
    transport.close(CLOSE.restart);
    expect([out, closed]).toEqual([['a', 'b'], [CLOSE.restart]]);
    clock.advance(1000);
    expect(out).toEqual(['a', 'b']);
  });
});

describe('freeze', () => {
  it('withholds everything from its beginning to its end', () => {
    const { clock, out, transport, push } = set({ freeze: { from: 20, to: 25 } });
    push('before');
    clock.advance(20_000);
    push('during');
    transport.send('too');
    clock.advance(4999);
    expect(out).toEqual(['before']);
    clock.advance(1);
    expect(out).toEqual(['before', 'during', 'answer too']);
    push('after');
    expect(out.at(-1)).toBe('after');
  });

  it('also withholds what was late when it began', () => {
    const { clock, out, push } = set({ freeze: { from: 1, to: 5 }, delayMs: { least: 500, most: 500 } });
    clock.advance(800);
    push('late');
    clock.advance(4199);
    expect(out).toEqual([]);
    clock.advance(1);
    expect(out).toEqual(['late']);
  });

  it('without an end lasts, and loses what it holds when the connection closes', () => {
    const { clock, out, closed, transport, push } = set({
      freeze: { from: 0, to: Number.POSITIVE_INFINITY },
    });
    push('never');
    clock.advance(86_400_000);
    transport.close(CLOSE.restart);
    expect([out, closed]).toEqual([[], [CLOSE.restart]]);
  });
});

describe('what is held', () => {
  const frozen = { freeze: { from: 0, to: 10 } };

  it('makes a slow reader of the connection, and no more once it has gone', () => {
    const { clock, transport, push } = set(frozen);
    const { outbox } = transport;
    let cleared = 0;
    push('x'.repeat(20));
    expect([outbox.clear, outbox.congested, outbox.queuedBytes]).toEqual([true, false, 20]);
    push('y');
    expect([outbox.clear, outbox.congested, outbox.queuedBytes]).toEqual([false, true, 21]);
    outbox.whenClear(() => {
      cleared += 1;
    });
    clock.advance(9999);
    expect(cleared).toBe(0);
    clock.advance(1);
    expect(cleared).toBe(1);
    expect([outbox.clear, outbox.congested, outbox.queuedBytes]).toEqual([true, false, 0]);
  });

  it('is bounded: a connection that is owed more is cut', () => {
    const { closed, transport, push } = set(frozen);
    push('x'.repeat(60), 'y'.repeat(40));
    expect(closed).toEqual([]);
    push('z');
    expect(closed).toEqual(['terminated']);
    expect(transport.outbox.queuedBytes).toBe(0);
    push('more');
    expect(transport.outbox.queuedBytes).toBe(0);
  });

  it('may be one snapshot of any size', () => {
    const { clock, out, closed, push } = set(frozen);
    push('x'.repeat(1000));
    expect(closed).toEqual([]);
    clock.advance(10_000);
    expect(out).toHaveLength(1);
  });

  it('is dropped with its timers when the connection has gone', () => {
    const { clock, out, transport, push } = set({ delayMs: { least: 5, most: 5 }, reorder: 1 });
    push('a', 'b', 'c');
    transport.release();
    transport.release();
    clock.advance(10_000);
    expect(out).toEqual([]);
  });
});

describe('reorder', () => {
  it('lets a frame go after a second when nothing comes to overtake it', () => {
    const { clock, out, push } = set({ reorder: 1 });
    push('a');
    clock.advance(999);
    expect(out).toEqual([]);
    clock.advance(1);
    expect(out).toEqual(['a']);
    push('b', 'c');
    expect(out).toEqual(['a', 'c', 'b']);
    clock.advance(5000);
    expect(out).toEqual(['a', 'c', 'b']);
  });

  it('loses no frame when the connection is closed before the other came', () => {
    const { out, transport, push } = set({ reorder: 1 });
    push('a');
    transport.close(CLOSE.restart);
    expect(out).toEqual(['a']);
  });

  it('never touches answers', () => {
    const { out, transport } = set({ reorder: 1, drop: 1, duplicate: 1, gap: 1 });
    for (const text of ['1', '2', '3']) transport.send(text);
    expect(out).toEqual(['answer 1', 'answer 2', 'answer 3']);
  });
});
