import { describe, expect, it } from 'vitest';
import { createFakeClock } from '../../../testkit/src/fake-clock.ts';
import { createDeadlines } from '../../src/backend/deadlines.ts';

function world() {
  const clock = createFakeClock();
  const deadlines = createDeadlines(clock);
  const told: string[] = [];
  const one = (name: string) => ({ until: 0, overdue: () => void told.push(name) });
  return { clock, deadlines, told, one };
}

describe('deadlines', () => {
  it('are told each at its own time, however they were added', async () => {
    const { clock, deadlines, told, one } = world();
    deadlines.add(100, one('a'));
    await clock.advance(60);
    deadlines.add(100, one('b'));
    deadlines.add(10, one('c'));
    await clock.advance(9);
    expect(told).toEqual([]);
    await clock.advance(1);
    expect(told).toEqual(['c']);
    await clock.advance(29);
    expect(told).toEqual(['c']);
    await clock.advance(1);
    expect(told).toEqual(['c', 'a']);
    await clock.advance(59);
    expect(told).toEqual(['c', 'a']);
    await clock.advance(1);
    expect(told).toEqual(['c', 'a', 'b']);
  });

  it('that were taken out are not told, and the next one is not late for it', async () => {
    const { clock, deadlines, told, one } = world();
    const first = one('first');
    deadlines.add(100, first);
    await clock.advance(50);
    deadlines.delete(100, first);
    deadlines.add(100, one('second'));
    await clock.advance(99);
    expect(told).toEqual([]);
    await clock.advance(1);
    expect(told).toEqual(['second']);
    deadlines.add(100, one('third'));
    await clock.advance(100);
    expect(told).toEqual(['second', 'third']);
  });

  it('are not told after the end', async () => {
    const { clock, deadlines, told, one } = world();
    deadlines.add(100, one('a'));
    deadlines.close();
    deadlines.close();
    await clock.advance(1000);
    expect(told).toEqual([]);
  });
});
