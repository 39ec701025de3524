import { createFakeClock } from '@countersign/testkit';
import { describe, expect, it } from 'vitest';
import { Breaker } from '../../src/backend/breaker.ts';

const open = () => {
  const clock = createFakeClock();
  const states: string[] = [];
  const breaker = new Breaker({ failures: 3, pauseMs: 1000, clock, changed: (state) => states.push(state) });
  const call = (ok: boolean) => {
    const entered = breaker.enter();
    if (entered) breaker.settle(ok);
    return entered;
  };
  return { clock, breaker, states, call };
};

describe('a breaker', () => {
  it('opens after so many failures in a row, and a success starts the count again', () => {
    const { breaker, call } = open();
    for (const ok of [false, false, true, false, false]) expect(call(ok)).toBe(true);
    expect(breaker.state).toBe('closed');
    call(false);
    expect(breaker.state).toBe('open');
    expect(call(true)).toBe(false);
    expect(breaker.retryAfter()).toBe(1);
  });

  it('lets one call at a time try after the pause, which closes it or opens it again', () => {
    const { clock, breaker, states, call } = open();
    for (let i = 0; i < 3; i += 1) call(false);
    clock.advance(1000);
    expect(breaker.enter()).toBe(true);
    expect(breaker.enter()).toBe(false);
    breaker.settle(false);
    expect(call(true)).toBe(false);
    clock.advance(1000);
    expect(call(true)).toBe(true);
    expect(states).toEqual(['open', 'half-open', 'open', 'half-open', 'closed']);
  });

  it('is not closed by a late success of a call from before it opened', () => {
    const { breaker, call } = open();
    expect(breaker.enter()).toBe(true);
    for (let i = 0; i < 3; i += 1) call(false);
    breaker.settle(true);
    expect(breaker.state).toBe('open');
  });
});
