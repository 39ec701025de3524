import { Registry, Histogram as Theirs } from 'prom-client';
import { describe, expect, it } from 'vitest';
import { Histogram } from '../../src/operations/histogram.ts';

const BOUNDS = [0.1, 0.5, 1];

describe('a histogram', () => {
  it('is printed as prom-client prints its own', async () => {
    const [ours, theirs] = [new Registry(), new Registry()];
    const described = {
      name: 'wait_seconds',
      help: 'How long\nit took',
      labelNames: ['door', 'code'] as const,
    };
    const one = new Histogram(ours, { ...described, bounds: BOUNDS });
    const other = new Theirs({ ...described, buckets: BOUNDS, registers: [theirs] });
    for (const [door, code, seconds] of [
      ['a', '200', 0.05],
      ['a', '200', 0.1],
      ['b', '200', 0.11],
      ['a', '5"\\\n', 7],
      ['a', '200', 0.5],
      ['b', '200', 1],
      ['b', '200', 1.000001],
    ] as const) {
      one.labels(door, code).observe(seconds);
      other.observe({ door, code }, seconds);
    }
    const lines = (text: string) => text.split('\n').sort();
    expect(lines(await ours.metrics())).toEqual(lines(await theirs.metrics()));
  });

  it('without labels is there before anything was observed', async () => {
    const [ours, theirs] = [new Registry(), new Registry()];
    const one = new Histogram(ours, { name: 'x', help: 'y', labelNames: [], bounds: BOUNDS });
    const other = new Theirs({ name: 'x', help: 'y', buckets: BOUNDS, registers: [theirs] });
    expect(await ours.metrics()).toBe(await theirs.metrics());
    one.observe(0.3);
    other.observe(0.3);
    expect(await ours.metrics()).toBe(await theirs.metrics());
  });

  it('keeps one series for one set of labels', () => {
    const one = new Histogram(new Registry(), {
      name: 'x',
      help: 'y',
      labelNames: ['a', 'b'],
      bounds: BOUNDS,
    });
    expect(one.labels('1', '2')).toBe(one.labels('1', '2'));
    expect(one.labels('1', '2')).not.toBe(one.labels('2', '1'));
    expect(() => one.labels('1')).toThrow(TypeError);
    expect(() => one.observe(1)).toThrow(TypeError);
  });
});
