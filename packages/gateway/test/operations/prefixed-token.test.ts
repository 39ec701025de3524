import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isPrefixedToken, newPrefixedToken } from '../../src/operations/prefixed-token.ts';

describe('a prefixed token', () => {
  it('has its prefix, 30 random characters and 6 that check them', () => {
    const tokens = Array.from({ length: 1000 }, () => newPrefixedToken('cst_', randomBytes));
    for (const token of tokens) {
      expect(token).toMatch(/^cst_[0-9A-Za-z]{36}$/);
      expect(isPrefixedToken(token, 'cst_')).toBe(true);
    }
    expect(new Set(tokens).size).toBe(1000);
  });

  it('uses every character about as often as any other', () => {
    const counts = new Map<string, number>();
    for (let i = 0; i < 2000; i += 1) {
      for (const letter of newPrefixedToken('', randomBytes).slice(0, 30))
        counts.set(letter, (counts.get(letter) ?? 0) + 1);
    }
    expect(counts.size).toBe(62);
    // 968 expected of each; five standard deviations are 155.
    for (const count of counts.values()) expect(Math.abs(count - 968)).toBeLessThan(200);
  });

  it('is known from any with one character changed, cut, added, or of another kind', () => {
    const token = newPrefixedToken('cst_', randomBytes);
    fc.assert(
      fc.property(fc.nat(token.length - 1), fc.constantFrom(...'0aZ_é'), (at, letter) => {
        const changed = token.slice(0, at) + letter + token.slice(at + 1);
        expect(isPrefixedToken(changed, 'cst_')).toBe(changed === token);
      }),
    );
    expect(isPrefixedToken(token, 'csa_')).toBe(false);
    for (const other of [token.slice(0, -1), `${token}0`, ` ${token}`, `${token}\n`, '', 'cst_']) {
      expect(isPrefixedToken(other, 'cst_')).toBe(false);
    }
  });
});
