import { readFileSync } from 'node:fs';
import { sha256 } from '@noble/hashes/sha2.js';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  buildSiweMessage,
  checkSiweMessage,
  concatBytes,
  fromHex,
  hexData,
  keccak256,
  parseSiweMessage,
  personalMessageHash,
  ready,
  recoverAddress,
  type SiweMessage,
  toHex,
  utf8,
  verifyWalletSignature,
} from '../src/index.ts';
import { isPchars, isScheme, isUri, parseAuthority, parseDateTime } from '../src/wallet/uri.ts';
import { expectRefusal } from './support/raw-token.ts';

type Case = readonly [tcId: number, message: string, signature: string, valid: boolean];
interface Fields extends SiweMessage {
  readonly signature: string;
  /** When the vector is judged; now when absent. */
  readonly time?: string;
  readonly domainBinding?: string;
  readonly matchNonce?: string;
}

const read = <T>(name: string): T =>
  JSON.parse(readFileSync(new URL(`../vectors/published/${name}.json`, import.meta.url), 'utf8')) as T;
const bytes = (hex: string): Uint8Array => fromHex(hex) as Uint8Array;

beforeAll(ready);

describe('Wallet signatures against Wycheproof secp256k1', () => {
  const { x, y, tests } = read<{ x: string; y: string; tests: Case[] }>('wycheproof-secp256k1');
  const address = hexData(keccak256(concatBytes(bytes(x), bytes(y))).subarray(12));
  const N = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
  const isHigh = (signature: string): boolean => BigInt(`0x${signature.slice(64)}`) > N / 2n;
  /** Recovery needs a `v`, which the set has not: a signature is accepted when one of the two fits. */
  const accepts = (message: string, signature: string): boolean =>
    ['1b', '1c'].some((v) =>
      verifyWalletSignature({ address, digest: sha256(bytes(message)), signature: signature + v }),
    );

  it('refuses every signature that is published as invalid', () => {
    const invalid = tests.filter(([, , , valid]) => !valid);
    expect(invalid).toHaveLength(58);
    expect(invalid.filter(([, message, signature]) => accepts(message, signature))).toEqual([]);
  });

  it('accepts every valid signature of low s', () => {
    const low = tests.filter(([, , signature, valid]) => valid && !isHigh(signature));
    expect(low.length).toBeGreaterThan(15);
    expect(low.filter(([, message, signature]) => !accepts(message, signature))).toEqual([]);
  });

  it('refuses every valid signature of high s, whose low twin it accepts (EIP-2)', () => {
    const high = tests.filter(([, , signature, valid]) => valid && isHigh(signature));
    expect(high.length).toBeGreaterThan(15);
    for (const [tcId, message, signature] of high) {
      const s = (N - BigInt(`0x${signature.slice(64)}`)).toString(16).padStart(64, '0');
      expect([tcId, accepts(message, signature)]).toEqual([tcId, false]);
      expect([tcId, accepts(message, signature.slice(0, 64) + s)]).toEqual([tcId, true]);
    }
  });
});

describe('Sign-In with Ethereum against the vectors of its reference implementation', () => {
  it('parses all 8 messages that must parse, and builds them again', () => {
    const { tests } = read<{ tests: { message: string; fields: object }[] }>('siwe-parsing-positive');
    expect(tests).toHaveLength(8);
    for (const { message, fields } of tests) {
      const parsed = parseSiweMessage(message);
      // The published fields spell the chain as text.
      expect({ ...parsed, chainId: String(parsed.chainId) }).toEqual(fields);
      expect(buildSiweMessage(parsed)).toBe(message);
    }
  });

  it('refuses all messages that must not parse, except two that break no rule', () => {
    const { tests } = read<{ tests: { commit: number; name: string; message: string }[] }>(
      'siwe-parsing-negative',
    );
    expect(tests).toHaveLength(40);
    const parsed = tests.filter(({ message }) => {
      try {
        return parseSiweMessage(message) !== undefined;
      } catch {
        return false;
      }
    });
    // Faults of the first of the two versions: `_` is unreserved and so allowed in a registered
    // name (RFC 3986 §2.3, §3.2.2), and the message called "version not 1" has version 1.
    expect(parsed.map(({ commit, name }) => [commit, name])).toEqual([
      [0, 'domain not RFC4501 authority'],
      [0, 'version not 1'],
    ]);
  });

  it('refuses the messages without a chain once their other fault is mended', async () => {
    // Five of them have an address without checksum, which alone would refuse them.
    const { tests } = read<{ tests: { commit: number; name: string; message: string }[] }>(
      'siwe-parsing-negative',
    );
    for (const { message } of tests.filter(({ message }) => !message.includes('Chain ID'))) {
      const mended = message
        .replace(/0xc02aaa39b223fe8d0a0e5c4f27ead9083c756cc2/, '0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2')
        .replace('\nNonce: ', '\nChain ID: 1\nNonce: ');
      await expectRefusal(() => parseSiweMessage(mended), 'siwe');
    }
  });

  it('refuses all 16 messages with a bad URI', async () => {
    const { tests } = read<{ tests: { message: string }[] }>('siwe-invalid-uris');
    expect(tests).toHaveLength(16);
    for (const { message } of tests) {
      await expectRefusal(() => parseSiweMessage(message), 'siwe');
      expect(parseSiweMessage(message.replace(/^URI: .*$/m, 'URI: uri://host'))).toBeTruthy();
    }
  });

  it('builds no message of the 18 faulty field sets', async () => {
    const { tests } = read<{ tests: { fields: SiweMessage }[] }>('siwe-parsing-negative-objects');
    expect(tests).toHaveLength(18);
    for (const { fields } of tests) await expectRefusal(() => buildSiweMessage(fields), 'siwe');
  });

  it('builds a message of exactly those of 13 field sets that are valid', async () => {
    const { tests } = read<{ tests: { name: string; fields: SiweMessage; valid: boolean }[] }>(
      'siwe-message-objects',
    );
    expect(tests).toHaveLength(13);
    for (const { fields, valid } of tests) {
      if (valid) expect(parseSiweMessage(buildSiweMessage(fields))).toEqual(fields);
      else await expectRefusal(() => buildSiweMessage(fields), 'siwe');
    }
  });

  it('takes the characters of the 48 grammar cases where they belong and nowhere else', () => {
    const { tests } = read<{ tests: { rule: string; input: string; valid: boolean }[] }>('siwe-chars');
    expect(tests).toHaveLength(48);
    const rules: Record<string, (text: string) => boolean> = {
      scheme: isScheme,
      statement: (text) => {
        try {
          return (
            parseSiweMessage(
              `a.example wants you to sign in with your Ethereum account:
0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2

${text}

URI: https://a.example
Version: 1
Chain ID: 1
Nonce: 32891757
Issued At: 2021-09-30T16:25:24Z`,
            ).statement === text
          );
        } catch {
          return false;
        }
      },
      'pct-encoded': isPchars,
      userinfo: (text) => parseAuthority(`${text}@host`)?.host === 'host',
      IPvFuture: (text) => parseAuthority(`[${text}]`)?.host === `[${text}]`,
      'reg-name': (text) => parseAuthority(text)?.host === text,
      'segment-nz': isPchars,
      fragment: (text) => isUri(`a:#${text}`),
    };
    expect(tests.filter(({ rule, input, valid }) => rules[rule]?.(input) !== valid)).toEqual([]);
  });

  /** What a site does with a signed message, at the time and with the expectations a vector gives. */
  function verify({ signature, time, domainBinding, matchNonce, ...message }: Fields): void {
    const now = time === undefined ? 1_790_000_000 : parseDateTime(time);
    const text = buildSiweMessage(message);
    checkSiweMessage(parseSiweMessage(text), {
      domain: domainBinding ?? message.domain,
      chainId: message.chainId,
      nonce: matchNonce ?? message.nonce,
      now: now as number,
    });
    const digest = personalMessageHash(utf8(text));
    if (recoverAddress(digest, signature) !== message.address.toLowerCase())
      throw new Error('another signer');
  }
  const positive = read<{ tests: { name: string; fields: Fields }[] }>('siwe-verification-positive').tests;
  const negative = read<{ tests: { name: string; fields: Fields }[] }>('siwe-verification-negative').tests;

  it('verifies the signature of all 4 signed messages', () => {
    expect(positive).toHaveLength(4);
    for (const { fields } of positive) {
      const { signature, time: _, ...message } = fields;
      const digest = personalMessageHash(utf8(buildSiweMessage(message)));
      expect(verifyWalletSignature({ address: message.address, digest, signature })).toBe(true);
      expect(toHex(digest)).toHaveLength(64);
    }
  });

  it('accepts the signed messages, except one that is judged before it was issued', () => {
    const refused = positive.filter(({ fields }) => {
      try {
        verify(fields);
        return false;
      } catch {
        return true;
      }
    });
    // Issued in 2022 and judged in 2020: EIP-4361 leaves `Issued At` unchecked, this package refuses the future.
    expect(refused.map(({ name }) => name)).toEqual(['expired message']);
  });

  it.each(negative)('refuses a signed message: $name', ({ fields }) => {
    expect(() => verify(fields)).toThrow();
  });
});
