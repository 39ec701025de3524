import { describe, expect, it } from 'vitest';
import { createFakeClock } from '../src/fake-clock.ts';

describe('the fake clock', () => {
  it('runs each task at its own moment, in order, however far it is advanced at once', () => {
    const clock = createFakeClock(1000);
    const ran: string[] = [];
    const note = (name: string) => () => ran.push(`${name} at ${clock.now()}/${clock.monotonic()}`);
    clock.every(20, note('every'));
    clock.after(30, note('after'));
    clock.after(20, note('second at 20'));
    clock.advance(45);
    expect(ran).toEqual([
      'every at 1020/20',
      'second at 20 at 1020/20',
      'after at 1030/30',
      'every at 1040/40',
    ]);
    expect([clock.now(), clock.monotonic()]).toEqual([1045, 45]);
  });

  it('runs what a task schedules within the same advance, and nothing that was cancelled', () => {
    const clock = createFakeClock();
    const ran: number[] = [];
    clock.after(10, () => {
      clock.after(5, () => ran.push(clock.monotonic()));
      cancel();
    });
    const cancel = clock.after(12, () => ran.push(-1));
    clock.advance(15);
    expect(ran).toEqual([15]);
  });

  it('jumps the wall clock alone, and runs nothing by that', () => {
    const clock = createFakeClock(1000);
    let ran = false;
    clock.after(10, () => {
      ran = true;
    });
    clock.jump(-500);
    expect([clock.now(), clock.monotonic(), ran]).toEqual([500, 0, false]);
  });

  it('goes on with a series whose task throws', () => {
    const clock = createFakeClock();
    let runs = 0;
    clock.every(1, () => {
      runs += 1;
      throw new Error('broken');
    });
    clock.advance(3);
    expect(runs).toBe(3);
  });
});
