import { describe, expect, test } from 'vitest';
import { createFakeClock } from '../../../testkit/src/fake-clock.ts';
import { createFlusher, type FlusherOptions } from '../../src/streams/flusher.ts';
import { createOutbox } from '../../src/streams/outbox.ts';
import { TestSink } from './kit.ts';

function setup(options: FlusherOptions = {}, limits = { soft: 100, hard: 200 }) {
  const clock = createFakeClock();
  const turns: (() => void)[] = [];
  const flusher = createFlusher({ clock, defer: (task) => turns.push(task), ...options });
  const turn = () => {
    for (const task of turns.splice(0)) task();
  };
  const open = () => {
    const sink = new TestSink();
    const state = { overflows: 0 };
    const outbox = createOutbox({ sink, flusher, limits, onOverflow: () => state.overflows++ });
    return { sink, outbox, state };
  };
  return { clock, flusher, turn, turns, open };
}

const frame = (text: string) => Buffer.from(text);
const bytes = (n: number) => Buffer.alloc(n, 'x');
const written = (sink: TestSink) => sink.chunks.map((chunk) => Buffer.from(chunk).toString());

describe('the outbox', () => {
  test('writes all frames of a flush at once, in the order of the pushes', () => {
    const { turn, open } = setup();
    const { sink, outbox } = open();
    outbox.push(frame('a'));
    outbox.pushAll([frame('b'), frame('c')]);
    outbox.push(frame('d'));
    expect(sink.chunks).toEqual([]);
    turn();
    expect(written(sink)).toEqual(['abcd']);
    outbox.push(frame('e'));
    turn();
    expect(written(sink)).toEqual(['abcd', 'e']);
  });

  test('hands on a single frame without copying it', () => {
    const { turn, open } = setup();
    const { sink, outbox } = open();
    const only = frame('only');
    outbox.push(only);
    turn();
    expect(sink.chunks[0]).toBe(only);
  });

  test('readers of one broadcast share one buffer, also with others between them', () => {
    const { turn, open } = setup();
    const [a, other, b] = [open(), open(), open()];
    const shared = [frame('1'), frame('2'), frame('3')];
    for (const one of shared) {
      a.outbox.push(one);
      other.outbox.push(frame('x'));
      b.outbox.push(one);
    }
    turn();
    expect(written(a.sink)).toEqual(['123']);
    expect(b.sink.chunks[0]).toBe(a.sink.chunks[0]);
    expect(written(other.sink)).toEqual(['xxx']);
  });

  test('readers whose frames only begin alike do not share', () => {
    const { turn, open } = setup();
    const readers = [open(), open(), open(), open()];
    const shared = frame('1');
    const ends = ['a', 'b', 'a', ''].map(frame);
    readers.forEach(({ outbox }, i) => {
      outbox.push(shared);
      if (ends[i]!.length > 0) outbox.push(ends[i]!);
    });
    turn();
    expect(readers.map(({ sink }) => written(sink))).toEqual([['1a'], ['1b'], ['1a'], ['1']]);
  });

  test('counts its own queue and what the sink has not passed on', () => {
    const { turn, open } = setup();
    const { sink, outbox } = open();
    sink.stalled = true;
    outbox.push(bytes(60));
    turn();
    outbox.push(bytes(30));
    expect(outbox.queuedBytes).toBe(90);
    expect(outbox.congested).toBe(false);
    outbox.push(bytes(20));
    expect(outbox.congested).toBe(true);
    sink.drain();
    turn();
    expect(outbox.queuedBytes).toBe(0);
    expect(outbox.congested).toBe(false);
  });

  test('overflows once instead of exceeding the hard limit, and then holds nothing', () => {
    const { turn, open } = setup();
    const { sink, outbox, state } = open();
    sink.stalled = true;
    for (let i = 0; i < 4; i++) outbox.push(bytes(50));
    turn();
    expect(state.overflows).toBe(0);
    outbox.push(bytes(1));
    outbox.push(bytes(1));
    expect(state.overflows).toBe(1);
    turn();
    expect(sink.backlog).toBe(200);
    expect(outbox.queuedBytes).toBe(200);
  });

  test('lets one oversized unit through when clear, and measures only what comes behind it', () => {
    const { turn, open } = setup();
    const { sink, outbox, state } = open();
    sink.stalled = true;
    outbox.pushAll([bytes(500), bytes(500)]);
    turn();
    outbox.push(bytes(90));
    expect(outbox.congested).toBe(false);
    outbox.push(bytes(90));
    expect(outbox.congested).toBe(true);
    expect(state.overflows).toBe(0);
    // A second one would let a reader that takes nothing pile up as many as it asks for.
    outbox.pushAll([bytes(500)]);
    expect(state.overflows).toBe(1);
  });

  test('counts a single frame above the soft limit as such a unit', () => {
    const { turn, open } = setup();
    const { sink, outbox, state } = open();
    outbox.push(bytes(1000));
    turn();
    expect(sink.chunks[0]).toHaveLength(1000);
    expect(state.overflows).toBe(0);
  });

  test('the allowance for a unit ends when it has left', () => {
    const { turn, open } = setup();
    const { sink, outbox } = open();
    sink.stalled = true;
    outbox.pushAll([bytes(1000)]);
    turn();
    sink.drain();
    sink.stalled = true;
    outbox.push(bytes(60));
    turn();
    outbox.push(bytes(60));
    expect(outbox.congested).toBe(true);
  });

  test('whenClear calls at once when clear, else when all has left, and each callback once', () => {
    const { turn, open } = setup();
    const { sink, outbox } = open();
    const calls: string[] = [];
    outbox.whenClear(() => calls.push('at once'));
    expect(calls).toEqual(['at once']);
    sink.stalled = true;
    outbox.push(bytes(90));
    outbox.push(bytes(90));
    outbox.whenClear(() => calls.push('first'));
    turn();
    outbox.whenClear(() => calls.push('second'));
    expect(calls).toEqual(['at once']);
    sink.drain();
    expect(calls).toEqual(['at once', 'first', 'second']);
    sink.drain();
    expect(calls).toHaveLength(3);
  });

  test('a callback that fills the outbox again makes the next one wait', () => {
    const { turn, open } = setup();
    const { sink, outbox } = open();
    const calls: string[] = [];
    sink.stalled = true;
    outbox.push(bytes(90));
    outbox.push(bytes(90));
    outbox.whenClear(() => {
      calls.push('first');
      sink.stalled = true;
      outbox.pushAll([bytes(150)]);
    });
    outbox.whenClear(() => calls.push('second'));
    turn();
    sink.drain();
    expect(calls).toEqual(['first']);
    turn();
    sink.drain();
    expect(calls).toEqual(['first', 'second']);
  });

  test('a sink that throws ends its own outbox only', () => {
    const { turn, open } = setup();
    const [broken, healthy] = [open(), open()];
    broken.sink.write = () => {
      throw new Error('gone');
    };
    broken.outbox.push(frame('a'));
    healthy.outbox.push(frame('a'));
    turn();
    expect(broken.state.overflows).toBe(1);
    expect(written(healthy.sink)).toEqual(['a']);
  });

  test('after close nothing is written and nobody is called', () => {
    const { turn, open } = setup();
    const { sink, outbox, state } = open();
    sink.stalled = true;
    outbox.push(bytes(90));
    outbox.push(bytes(90));
    outbox.whenClear(() => state.overflows++);
    turn();
    outbox.push(frame('late'));
    outbox.close();
    outbox.close();
    sink.drain();
    turn();
    outbox.push(bytes(1000));
    turn();
    expect(sink.chunks).toHaveLength(1);
    expect(state.overflows).toBe(0);
  });

  test('flush writes at once, and the flush that was planned finds nothing', () => {
    const { turn, open } = setup();
    const { sink, outbox } = open();
    outbox.push(frame('a'));
    outbox.flush();
    expect(written(sink)).toEqual(['a']);
    outbox.push(frame('b'));
    turn();
    expect(written(sink)).toEqual(['a', 'b']);
  });
});

describe('the flusher', () => {
  test('when idle, flushes in the same turn of the loop', () => {
    const { clock, turn, open } = setup();
    const { sink, outbox } = open();
    for (const text of ['a', 'b', 'c']) {
      outbox.push(frame(text));
      turn();
      clock.advance(1);
    }
    expect(written(sink)).toEqual(['a', 'b', 'c']);
  });

  test('when a flush was costly, waits four times as long as it took, and writes once then', () => {
    const { clock, turn, open } = setup();
    const { sink, outbox } = open();
    const write = sink.write.bind(sink);
    sink.write = (chunk) => {
      clock.advance(2);
      write(chunk);
    };
    outbox.push(frame('a'));
    turn();
    for (const text of ['b', 'c', 'd']) {
      clock.advance(2);
      outbox.push(frame(text));
      turn();
    }
    expect(written(sink)).toEqual(['a']);
    clock.advance(2);
    expect(written(sink)).toEqual(['a', 'bcd']);
  });

  test('never waits longer than coalesceMs', () => {
    const { clock, turn, open } = setup({ coalesceMs: 10 });
    const { sink, outbox } = open();
    const write = sink.write.bind(sink);
    sink.write = (chunk) => {
      clock.advance(500);
      write(chunk);
    };
    outbox.push(frame('a'));
    turn();
    outbox.push(frame('b'));
    turn();
    clock.advance(9);
    expect(written(sink)).toEqual(['a']);
    clock.advance(1);
    expect(written(sink)).toEqual(['a', 'b']);
  });

  test('gives other events a turn during a long flush, and keeps the order within each outbox', () => {
    const { clock, turn, turns, open } = setup();
    const readers = Array.from({ length: 200 }, open);
    for (const { sink, outbox } of readers) {
      const write = sink.write.bind(sink);
      sink.write = (chunk) => {
        clock.advance(1);
        write(chunk);
      };
      outbox.push(frame('a'));
    }
    turn();
    expect(readers.filter(({ sink }) => sink.chunks.length > 0)).toHaveLength(64);
    for (const { outbox } of readers) outbox.push(frame('b'));
    while (turns.length > 0) turn();
    clock.advance(10);
    while (turns.length > 0) turn();
    clock.advance(1000);
    for (const { sink } of readers) expect(written(sink).join('')).toBe('ab');
  });

  test('close flushes what is waiting and may be called twice', () => {
    const { turn, flusher, open } = setup();
    const { sink, outbox } = open();
    outbox.push(frame('a'));
    flusher.close();
    flusher.close();
    expect(written(sink)).toEqual(['a']);
    turn();
    outbox.push(frame('b'));
    expect(written(sink)).toEqual(['a', 'b']);
  });
});
