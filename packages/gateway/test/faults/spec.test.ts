import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FaultSpecError, parseFaults } from '../../src/doors/faults/spec.ts';

const messageOf = (text: string): string => {
  try {
    parseFaults(text);
    return '';
  } catch (error) {
    return (error as Error).message;
  }
};

describe('a specification of faults', () => {
  it('has a word for each', () => {
    expect(
      parseFaults(
        'drop:0.01,duplicate:0.02,reorder:1,delay:50-200,gap:0.005,expire:30,revoke:60,429:0.1,close:1012@45,freeze:20-25',
      ),
    ).toEqual({
      drop: 0.01,
      duplicate: 0.02,
      reorder: 1,
      delayMs: { least: 50, most: 200 },
      gap: 0.005,
      expire: 30,
      revoke: 60,
      rateLimited: 0.1,
      close: { code: 1012, at: 45 },
      freeze: { from: 20, to: 25 },
    });
  });

  it('may leave out an end, have blanks, and be none', () => {
    expect(parseFaults(' delay:50 , freeze:0.5 ')).toEqual({
      delayMs: { least: 50, most: 50 },
      freeze: { from: 0.5, to: Number.POSITIVE_INFINITY },
    });
    for (const text of ['', '  ', 'none']) expect(parseFaults(text)).toBeNull();
  });

  it.each([
    ['drop', 'drop: "" must be a probability'],
    ['drop:0', 'drop: "0" must be a probability above 0'],
    ['drop:1.01', 'drop: "1.01"'],
    ['drop:-1', 'drop: "-1"'],
    ['drop:1e-3', 'drop: "1e-3"'],
    ['drop:NaN', 'drop: "NaN"'],
    ['429:2', '429: "2"'],
    ['delay:200-50', 'delay: "200-50" must be milliseconds'],
    ['delay:1-2-3', 'delay: "1-2-3"'],
    ['delay:60001', 'delay: "60001"'],
    ['expire:soon', 'expire: "soon" must be seconds'],
    ['revoke:86401', 'revoke: "86401"'],
    ['close:1012', 'close: "1012" must be a close code'],
    ['close:1005@1', 'close: "1005@1"'],
    ['close:1006@1', 'close: "1006@1"'],
    ['close:999@1', 'close: "999@1"'],
    ['close:2000@1', 'close: "2000@1"'],
    ['close:4000.5@1', 'close: "4000.5@1"'],
    ['close:1012@1@2', 'close: "1012@1@2"'],
    ['freeze:5-1', 'freeze: "5-1" must be the second'],
    ['lose:0.1', '"lose" is no fault; there are 429, close, delay, drop'],
    ['constructor:1', '"constructor" is no fault'],
    ['drop:0.1,,gap:0.1', '"" is no fault'],
    ['drop:0.1,drop:0.2', 'drop is there twice'],
  ])('is refused by the name of the part that is wrong: %s', (text, message) => {
    expect(() => parseFaults(text)).toThrow(FaultSpecError);
    expect(() => parseFaults(text)).toThrow(message);
  });

  it('is bounded in length and in parts', () => {
    expect(() => parseFaults(' '.repeat(513))).toThrow('longer than 512 characters');
    expect(() => parseFaults('drop:1,'.repeat(17))).toThrow('more than 16 parts');
  });

  it('has a line in the guide for each of its words, and a command to try it', () => {
    const guide = readFileSync(
      new URL('../../../../docs/guides/fault-simulator.md', import.meta.url),
      'utf8',
    );
    const listed = /there are (.*)$/.exec(messageOf('?'))?.[1]?.split(', ') ?? [];
    expect(listed.length).toBe(10);
    for (const name of listed) {
      expect(guide).toContain(`| \`${name}:`);
      const command = new RegExp(`^countersign listen .*--faults (${name}:\\S+)`, 'm').exec(guide)?.[1];
      expect(parseFaults(command ?? '')).not.toBeNull();
    }
  });

  it('is read or refused in words, whatever it is', () => {
    const word = fc.constantFrom(
      'drop',
      'delay',
      'close',
      'freeze',
      ':',
      '@',
      '-',
      ',',
      '0.5',
      '1012',
      '9',
      ' ',
    );
    const any = fc.oneof(
      fc.string({ maxLength: 60 }),
      fc.array(word, { maxLength: 12 }).map((all) => all.join('')),
    );
    fc.assert(
      fc.property(any, (text) => {
        try {
          parseFaults(text);
        } catch (error) {
          expect(error).toBeInstanceOf(FaultSpecError);
        }
      }),
    );
  });
});
