import { createFakeClock } from '@countersign/testkit';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { sleep, waitFor } from '../src/clock.ts';
import { createClockSkew } from '../src/clock-skew.ts';
import { createEmitter } from '../src/events.ts';
import { createBackoff, createHandshakeToken } from '../src/index.ts';

describe('a backoff', () => {
  test('stays between its floor and a ceiling that doubles up to its cap', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 200 }),
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        (n, random) => {
          const backoff = createBackoff({ random: () => random });
          for (let i = 0; i < n; i++) backoff.next();
          const delay = backoff.next();
          expect(delay).toBeGreaterThanOrEqual(100);
          expect(delay).toBeLessThanOrEqual(Math.max(100, Math.min(30_000, 500 * 2 ** n)));
          expect(backoff.attempts).toBe(n + 1);
        },
      ),
    );
  });

  test('waits at least as long as the server asked, and no longer than an hour and a bit', () => {
    const backoff = createBackoff();
    expect(backoff.next(7)).toBeGreaterThanOrEqual(7000);
    expect(backoff.next(10 ** 9)).toBeLessThan(3_610_000);
    expect(backoff.next(-5)).toBeGreaterThanOrEqual(100);
    backoff.reset();
    expect(backoff.attempts).toBe(0);
  });
});

describe('what is learned of a clock', () => {
  test('is right within what the hints allow, whatever the offset and the delays', () => {
    const hint = fc.record({ at: fc.nat(10 ** 9), there: fc.nat(3000), back: fc.nat(3000) });
    fc.assert(
      fc.property(
        fc.integer({ min: -(10 ** 8), max: 10 ** 8 }),
        fc.array(hint, { minLength: 1, maxLength: 20 }),
        (offset, hints) => {
          const skew = createClockSkew();
          let narrowest = Number.POSITIVE_INFINITY;
          for (const { at, there, back } of hints) {
            const server = Math.floor((at + there + offset) / 1000) * 1000;
            skew.observe(server, 1000, at, at + there + back);
            narrowest = Math.min(narrowest, 1000 + there + back);
          }
          expect(Math.abs(skew.offset - offset)).toBeLessThanOrEqual(narrowest + 1);
        },
      ),
    );
  });

  test('leaves a clock alone that may be right', () => {
    const skew = createClockSkew();
    skew.observe(9000, 1000, 9400, 9600);
    expect(skew).toMatchObject({ offset: 0, known: true });
  });

  test('follows a clock that is set', () => {
    const skew = createClockSkew();
    skew.observe(600_000, 1000, 0, 10);
    skew.observe(600_000, 1000, 600_100, 600_110);
    expect(skew.offset).toBe(0);
  });

  test('is not led astray by what is no time', () => {
    const skew = createClockSkew();
    skew.observe(Number.NaN, 1000, 0, 10);
    skew.observe(Number.POSITIVE_INFINITY, 1000, 0, 10);
    expect(skew).toMatchObject({ offset: 0, known: false });
  });
});

describe('a wait', () => {
  test('ends in time or with its signal, and leaves no timer', async () => {
    const clock = createFakeClock();
    const controller = new AbortController();
    const waits = [sleep(100, clock), sleep(100, clock, controller.signal).catch((reason) => reason)];
    controller.abort('enough');
    clock.advance(100);
    expect(await Promise.all(waits)).toEqual([undefined, 'enough']);
    await expect(sleep(1, clock, AbortSignal.abort('before'))).rejects.toBe('before');
  });

  test('for shared work ends alone', async () => {
    let finish: (value: string) => void = () => {};
    const work = new Promise<string>((resolve) => {
      finish = resolve;
    });
    const controller = new AbortController();
    const mine = waitFor(work, controller.signal).catch((reason) => reason);
    const yours = waitFor(work, new AbortController().signal);
    controller.abort('gone');
    finish('done');
    expect([await mine, await yours]).toEqual(['gone', 'done']);
  });
});

describe('an emitter', () => {
  test('goes on after a listener that throws, and reports it', () => {
    const reported: unknown[] = [];
    const emitter = createEmitter<{ x: number }>((error) => reported.push(error));
    const seen: number[] = [];
    emitter.on('x', () => {
      throw new Error('mine');
    });
    const off = emitter.on('x', (n) => void seen.push(n));
    emitter.emit('x', 1);
    off();
    off();
    emitter.emit('x', 2);
    expect(seen).toEqual([1]);
    expect(reported).toHaveLength(2);
  });

  test('calls a function twice that was added twice, and takes away one at a time', () => {
    const emitter = createEmitter<{ x: null }>();
    let calls = 0;
    const listener = () => {
      calls += 1;
    };
    emitter.on('x', listener);
    emitter.on('x', listener)();
    emitter.emit('x', null);
    expect(calls).toBe(1);
  });
});

describe('a handshake token', () => {
  test('given as a function is asked at every attempt', async () => {
    let n = 0;
    const token = createHandshakeToken(async () => `token${++n}`);
    expect((await token.webSocketLogin()).token).toBe('token1');
    expect(await token.webSocketLogin()).toMatchObject({
      scheme: 'handshake',
      token: 'token2',
      expiresAt: null,
    });
  });

  test.each(['', '  ', 'two words', 'line\nbreak', 'x'.repeat(9000)])('%# cannot be one', async (text) => {
    const code = { code: 'invalid_token', remedy: 'user' };
    expect(() => createHandshakeToken(text)).toThrow(expect.objectContaining(code));
    await expect(createHandshakeToken(() => text).webSocketLogin()).rejects.toMatchObject(code);
  });
});
