import { Refusal } from '@countersign/protocol';
import { describe, expect, it } from 'vitest';
import { createFakeClock } from '../../../testkit/src/fake-clock.ts';
import { createFailureLimiter } from '../../src/session/failure-limiter.ts';

const refusal = (task: () => void): Refusal => {
  try {
    task();
  } catch (error) {
    if (error instanceof Refusal) return error;
    throw error;
  }
  throw new Error('was not refused');
};

describe('the limiter of failed sign-ins', () => {
  it('lets five tries at 500 ms pass, over and over', () => {
    const clock = createFakeClock();
    const limiter = createFailureLimiter({ clock });
    for (let i = 0; i < 500; i += 1) {
      limiter.check('10.0.0.1');
      limiter.fail('10.0.0.1');
      clock.advance(500);
    }
  });

  it('stops a client that loops without delay after 200 failures, and says when to come back', () => {
    const clock = createFakeClock();
    const limiter = createFailureLimiter({ clock });
    for (let i = 0; i < 200; i += 1) {
      limiter.check('10.0.0.1');
      limiter.fail('10.0.0.1');
    }
    const { code, retryAfter } = refusal(() => limiter.check('10.0.0.1'));
    expect({ code, retryAfter }).toEqual({ code: 'rate_limited', retryAfter: 1 });
    clock.advance(1000);
    for (let i = 0; i < 20; i += 1) {
      limiter.check('10.0.0.1');
      limiter.fail('10.0.0.1');
    }
    expect(refusal(() => limiter.check('10.0.0.1')).code).toBe('rate_limited');
  });

  it('never counts sources that do not fail, nor one source against another', () => {
    const limiter = createFailureLimiter({ clock: createFakeClock(), capacity: 1 });
    limiter.fail('10.0.0.1');
    for (let i = 0; i < 1000; i += 1) limiter.check('10.0.0.2');
    expect(refusal(() => limiter.check('10.0.0.1')).code).toBe('rate_limited');
  });

  it('does not refill when the wall clock is set forward', () => {
    const clock = createFakeClock();
    const limiter = createFailureLimiter({ clock, capacity: 1 });
    limiter.fail('10.0.0.1');
    clock.jump(3_600_000);
    expect(refusal(() => limiter.check('10.0.0.1')).code).toBe('rate_limited');
  });

  it('remembers a bounded number of sources', () => {
    const limiter = createFailureLimiter({ clock: createFakeClock(), capacity: 1, maxSources: 10 });
    for (let i = 0; i <= 10; i += 1) limiter.fail(`10.0.0.${i}`);
    limiter.check('10.0.0.0');
    expect(refusal(() => limiter.check('10.0.0.10')).code).toBe('rate_limited');
  });
});
