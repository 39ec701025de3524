import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  decodeAnyBase64,
  decodeBase64url,
  encodeBase64,
  encodeBase64url,
} from '../../src/encoding/base64url.ts';

describe('base64url', () => {
  it('writes what Node writes, and reads it back', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        const text = encodeBase64url(bytes);
        expect(text).toBe(Buffer.from(bytes).toString('base64url'));
        expect(decodeBase64url(text)).toEqual(bytes);
        expect(encodeBase64(bytes)).toBe(Buffer.from(bytes).toString('base64'));
        expect(decodeAnyBase64(encodeBase64(bytes))).toEqual(bytes);
      }),
    );
  });

  it('accepts a text only when encoding its bytes gives the same text', () => {
    const char = fc.constantFrom(...'ABCDwxyz0189-_+/= \n.');
    fc.assert(
      fc.property(fc.array(char, { maxLength: 12 }), (chars) => {
        const text = chars.join('');
        const bytes = decodeBase64url(text);
        if (bytes) expect(encodeBase64url(bytes)).toBe(text);
        else expect(Buffer.from(text, 'base64url').toString('base64url')).not.toBe(text);
      }),
      { numRuns: 2000 },
    );
  });

  it.each(['A', 'AB==', 'AB=', 'AB', 'AAB', ' AA', 'AA\n', 'A+A', 'A/A', 'AAé'])('refuses %j', (text) => {
    expect(decodeBase64url(text)).toBeUndefined();
  });
});
