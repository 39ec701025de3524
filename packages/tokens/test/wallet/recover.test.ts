import { hashMessage, Wallet } from 'ethers';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  addressOfPrivateKey,
  checksumAddress,
  fromHex,
  hexData,
  keccak256,
  parseAddress,
  personalMessageHash,
  ready,
  recoverAddress,
  signDigest,
  utf8,
  verifyWalletSignature,
} from '../../src/index.ts';
import { expectRefusal } from '../support/raw-token.ts';

const N = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
const KEY = fromHex('4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318')!;
const DIGEST = keccak256(utf8('digest'));

const word = (value: bigint): string => value.toString(16).padStart(64, '0');

describe('wallet signatures', () => {
  beforeAll(ready);

  const parts = (): { r: bigint; s: bigint; v: number; signature: string; address: string } => {
    const signature = signDigest(DIGEST, KEY);
    return {
      signature,
      r: BigInt(signature.slice(0, 66)),
      s: BigInt(`0x${signature.slice(66, 130)}`),
      v: Number.parseInt(signature.slice(130), 16),
      address: addressOfPrivateKey(KEY),
    };
  };
  const build = (r: bigint, s: bigint, v: number): string =>
    `0x${word(r)}${word(s)}${v.toString(16).padStart(2, '0')}`;

  it('are accepted with and without 0x, in either case of hex, as bytes, and with v of 0/1 or 27/28', () => {
    const { signature, r, s, v, address } = parts();
    const forms = [
      signature,
      signature.slice(2),
      signature.slice(2).toUpperCase(),
      `0x${signature.slice(2).toUpperCase()}`,
      fromHex(signature)!,
      build(r, s, v - 27),
    ];
    for (const form of forms) {
      expect(recoverAddress(DIGEST, form)).toBe(address);
      for (const claimed of [address, address.toUpperCase().replace('X', 'x'), checksumAddress(address)]) {
        expect(verifyWalletSignature({ address: claimed, digest: DIGEST, signature: form })).toBe(true);
      }
    }
  });

  it('are refused in every other form', async () => {
    const { signature, r, s, v, address } = parts();
    const twin = build(r, N - s, v === 27 ? 28 : 27);
    const compact2098 = `0x${word(r)}${word(s | (BigInt(v - 27) << 255n))}`;
    const bad: (string | Uint8Array)[] = [
      twin,
      compact2098,
      '',
      '0x',
      signature.slice(0, -2),
      `${signature}00`,
      `${signature.slice(0, -2)}zz`,
      `00${signature}`,
      ` ${signature}`,
      signature.replace('0x', '0x0x').slice(0, 132),
      'ab'.repeat(500_000),
      new Uint8Array(0),
      new Uint8Array(64),
      new Uint8Array(65),
      new Uint8Array(66),
      build(0n, s, v),
      build(N, s, v),
      build(N + 1n, s, v),
      build(2n ** 256n - 1n, s, v),
      build(r, 0n, v),
      build(r, N, v),
      build(r, (N - 1n) / 2n + 1n, v),
      // x = 5 is on no point of the curve.
      build(5n, s, v),
      ...[2, 3, 26, 29, 30, 35, 36, 37, 255].map((odd) => build(r, s, odd)),
    ];
    for (const form of bad) {
      await expectRefusal(() => recoverAddress(DIGEST, form), 'signature');
      expect(verifyWalletSignature({ address, digest: DIGEST, signature: form })).toBe(false);
    }
  });

  it('accept the largest low s', () => {
    const { r, v } = parts();
    expect(recoverAddress(DIGEST, build(r, (N - 1n) / 2n, v))).toMatch(/^0x[0-9a-f]{40}$/);
  });

  it('do not prove another digest or another address', () => {
    const { signature, address, r, s, v } = parts();
    expect(verifyWalletSignature({ address, digest: keccak256(utf8('other')), signature })).toBe(false);
    expect(verifyWalletSignature({ address: `0x${'1'.repeat(40)}`, digest: DIGEST, signature })).toBe(false);
    expect(verifyWalletSignature({ address: 'nobody', digest: DIGEST, signature })).toBe(false);
    expect(
      verifyWalletSignature({ address, digest: DIGEST, signature: build(r, s, v === 27 ? 28 : 27) }),
    ).toBe(false);
  });

  it('agree with ethers in both directions', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 32, maxLength: 32 }),
        fc.bigInt(1n, N - 1n),
        (digest, secret) => {
          const wallet = new Wallet(`0x${word(secret)}`);
          const theirs = wallet.signingKey.sign(digest).serialized;
          expect(signDigest(digest, fromHex(word(secret))!)).toBe(theirs);
          expect(recoverAddress(digest, theirs)).toBe(wallet.address.toLowerCase());
        },
      ),
      { numRuns: 50 },
    );
  });

  it('are not made with a key out of range', async () => {
    for (const key of [new Uint8Array(32), fromHex(word(N))!, new Uint8Array(31)]) {
      await expectRefusal(() => signDigest(DIGEST, key), 'key');
      await expectRefusal(() => addressOfPrivateKey(key), 'key');
    }
  });

  it('throw a TypeError for a digest that is not 32 bytes', () => {
    expect(() => recoverAddress(new Uint8Array(31), parts().signature)).toThrow(TypeError);
    expect(() => signDigest(new Uint8Array(33), KEY)).toThrow(TypeError);
  });

  it('of personal messages use the length in bytes', () => {
    for (const text of ['', 'hello', 'é€😀', 'x'.repeat(1000)]) {
      expect(hexData(personalMessageHash(text))).toBe(hashMessage(text));
      expect(hexData(personalMessageHash(utf8(text)))).toBe(hashMessage(text));
    }
  });
});

describe('parseAddress', () => {
  // The examples of EIP-55.
  const examples = [
    '0x52908400098527886E0F7030069857D2E4169EE7',
    '0x8617E340B3D01FA5F11F306F4090FD50E238070D',
    '0xde709f2102306220921060314715629080e2fb77',
    '0x27b1fdb04752bbc536007a920d24acb045561c26',
    '0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed',
    '0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359',
    '0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB',
    '0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb',
  ];
  it.each(examples)('reads %s in its checksum, lower and upper case', (text) => {
    const lower = text.toLowerCase();
    expect(parseAddress(text)).toBe(lower);
    expect(parseAddress(lower)).toBe(lower);
    expect(parseAddress(`0x${text.slice(2).toUpperCase()}`)).toBe(lower);
    expect(parseAddress(text.toUpperCase())).toBe(lower);
    expect(checksumAddress(lower)).toBe(text);
    expect(checksumAddress(fromHex(text)!)).toBe(text);
  });

  it.each([
    '0x5AAeb6053F3E94C9b9A09f33669435E7Ef1BeAed',
    '0x5aaeb6053F3E94C9b9A09f33669435E7Ef1BeAed',
    `0x${'0'.repeat(40)}`,
    '5aaeb6053f3e94c9b9a09f33669435e7ef1beaed',
    '0x5aaeb6053f3e94c9b9a09f33669435e7ef1beae',
    '0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed0',
    '0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaeg',
    ' 0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed',
    '0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed\n',
    'vitalik.eth',
    '',
    123 as never,
    undefined as never,
  ])('refuses %j', async (text) => {
    await expectRefusal(() => parseAddress(text), 'address');
  });
});
