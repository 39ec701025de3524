import { createFakeClock } from '@countersign/testkit';
import { expect, it } from 'vitest';
import { createSharedClock, MOST_SKEW_MS } from '../../src/operations/shared-clock.ts';

const HOUR = 3_600_000;

/** A node whose clock the test sets, and a database that answers after `wait` each way. */
function house() {
  const clock = createFakeClock();
  const server = { ahead: 0, wait: 0, set: 0 };
  const time = createSharedClock({
    clock,
    time: async () => {
      clock.advance(server.wait);
      const now = clock.now() + server.ahead;
      clock.advance(server.wait);
      return now;
    },
  });
  /** Sets the node's clock; the server's is another. */
  const jump = (ms: number) => {
    clock.jump(ms);
    server.ahead -= ms;
  };
  return { clock, server, time, jump };
}

it('knows at once that the clock of this machine was set, by monotonic time', async () => {
  const { clock, time, jump } = house();
  await time.read();
  const before = time.now();
  for (const ms of [5_000, -5_000, 120_000, -120_000, HOUR, -HOUR, -clock.now(), 12 * 365 * 24 * HOUR]) {
    jump(ms);
    expect([ms, time.skew(), time.agrees()]).toEqual([ms, ms, false]);
    await time.read();
    expect([ms, time.skew(), time.agrees()]).toEqual([ms, ms, false]);
    expect(time.now()).toBe(before);
    jump(-ms);
    expect(time.agrees()).toBe(true);
  }
});

it('takes two seconds either way for agreement', async () => {
  const { time, jump } = house();
  await time.read();
  jump(MOST_SKEW_MS);
  expect(time.agrees()).toBe(true);
  jump(1);
  expect(time.agrees()).toBe(false);
  jump(-2 * MOST_SKEW_MS - 1);
  expect(time.agrees()).toBe(true);
  jump(-1);
  expect(time.agrees()).toBe(false);
});

it('learns at the next reading that the clock of the server was set', async () => {
  const { server, time } = house();
  await time.read();
  server.ahead = HOUR;
  expect(time.agrees()).toBe(true);
  await time.read();
  expect([time.skew(), time.agrees()]).toEqual([-HOUR, false]);
});

it('does not take a slow answer for a wrong clock', async () => {
  const { clock, server, time, jump } = house();
  server.wait = 2_500;
  await time.read();
  expect(Math.abs(time.skew() as number)).toBeLessThanOrEqual(2_500);
  expect(time.agrees()).toBe(true);
  jump(HOUR);
  expect(time.agrees()).toBe(false);
  jump(-HOUR);
  clock.advance(10_000);
  expect(time.agrees()).toBe(true);
});

it('keeps its last reading while the server does not answer', async () => {
  const { clock, time, jump } = house();
  await time.read();
  const failing = createSharedClock({ clock, time: () => Promise.reject(new Error('away')) });
  await expect(failing.read()).rejects.toThrow('away');
  expect(failing.agrees()).toBe(true);
  clock.advance(60_000);
  jump(-3_000);
  expect(time.agrees()).toBe(false);
});

it('has nothing to say where the store is inside the process', async () => {
  const clock = createFakeClock();
  const alone = createSharedClock({ clock, time: async () => null });
  await alone.read();
  clock.jump(HOUR);
  expect([alone.skew(), alone.agrees()]).toEqual([null, true]);
});
