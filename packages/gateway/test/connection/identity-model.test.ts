/**
 * R51: whatever order logins, expiries, revocations, refreshes and subscriptions come in, no connection delivers
 * a private message that it has no right to, and none that it has a right to goes missing without a word.
 *
 * `FUZZ_RUNS` sets how many schedules are tried, `FUZZ_SEED` which ones.
 */
import fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import { type Outcome, runSchedule } from './schedule.ts';

const numRuns = Number(process.env.FUZZ_RUNS ?? 10_000);
const seed = Number(process.env.FUZZ_SEED ?? Date.now() & 0x7fffffff);
const total: Outcome = { steps: 0, delivered: 0, privately: 0, closed: 0 };

const schedules = fc.array(fc.nat(0x7fffffff), { minLength: 8, maxLength: 40, size: 'max' });

test(`no private message crosses an identity or outlives a right, in ${numRuns} schedules (FUZZ_SEED=${seed})`, {
  timeout: 60_000 + numRuns * 20,
}, async () => {
  await fc.assert(
    fc.asyncProperty(schedules, async (numbers) => {
      const outcome = await runSchedule(numbers);
      for (const name of Object.keys(total) as (keyof Outcome)[]) total[name] += outcome[name];
    }),
    { numRuns, seed, endOnFailure: false },
  );
  // A fuzz test that delivers nothing proves nothing.
  expect(total.privately).toBeGreaterThan(numRuns);
});

afterAll(() => {
  console.info(`${numRuns} schedules, seed ${seed}: ${JSON.stringify(total)}`);
});
