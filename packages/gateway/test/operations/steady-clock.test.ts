import { createFakeClock } from '@countersign/testkit';
import { beforeEach, describe, expect, it } from 'vitest';
import { createSteadyClock, type SteadyClock } from '../../src/operations/steady-clock.ts';

const HOUR = 3_600_000;
const START = Date.UTC(2026, 0, 1);

let clock: ReturnType<typeof createFakeClock>;
let steady: SteadyClock;
beforeEach(() => {
  clock = createFakeClock(START);
  steady = createSteadyClock(clock);
});

describe('the clock by which proofs end', () => {
  it('goes on when the wall clock is set back, however often', () => {
    for (let n = 1; n <= 10; n += 1) {
      clock.jump(-HOUR);
      clock.advance(1000);
      expect(steady.now()).toBe(START + n * 1000);
    }
  });

  it('follows a wall clock that is set ahead, and back to where it should be, but no further', () => {
    clock.jump(10 * HOUR);
    expect(steady.now()).toBe(START + 10 * HOUR);
    clock.jump(-11 * HOUR);
    expect(steady.now()).toBe(START);
  });

  it('is set back to what somebody who knows says is right, and holds to that from then on', () => {
    clock.jump(-HOUR);
    steady.confirm();
    expect(steady.now()).toBe(START - HOUR);
    clock.jump(2 * HOUR);
    steady.confirm();
    clock.jump(-HOUR);
    clock.advance(1000);
    expect(steady.now()).toBe(START + HOUR + 1000);
  });

  it('waits and measures as the other does', () => {
    let told = false;
    steady.after(1000, () => {
      told = true;
    });
    clock.advance(1000);
    expect([told, steady.monotonic()]).toEqual([true, clock.monotonic()]);
  });
});
