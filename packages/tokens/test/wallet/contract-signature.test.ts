import { AbiCoder, Interface } from 'ethers';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  concatBytes,
  encodeIsValidSignature,
  fromHex,
  hexData,
  isValidSignatureResult,
  unwrapErc6492,
} from '../../src/index.ts';
import { expectRefusal } from '../support/raw-token.ts';

const MAGIC = '6492'.repeat(16);
const coder = AbiCoder.defaultAbiCoder();
const wrap = (factory: string, data: string, signature: string): string =>
  coder.encode(['address', 'bytes', 'bytes'], [factory, data, signature]) + MAGIC;

describe('ERC-1271', () => {
  it('encodes the call as ethers does', () => {
    const abi = new Interface(['function isValidSignature(bytes32,bytes) view returns (bytes4)']);
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 32, maxLength: 32 }),
        fc.uint8Array({ maxLength: 200 }),
        (digest, signature) => {
          expect(encodeIsValidSignature(digest, signature)).toBe(
            abi.encodeFunctionData('isValidSignature', [digest, signature]),
          );
        },
      ),
    );
    expect(() => encodeIsValidSignature(new Uint8Array(31), new Uint8Array())).toThrow(TypeError);
  });

  it('takes only the padded magic value for a yes', () => {
    const yes = `0x1626ba7e${'00'.repeat(28)}`;
    expect(isValidSignatureResult(yes)).toBe(true);
    expect(isValidSignatureResult(fromHex(yes)!)).toBe(true);
    const no = [
      '0x',
      '',
      '0x1626ba7e',
      `${yes}00`,
      `0x${'00'.repeat(28)}1626ba7e`,
      `0x1626ba7e${'00'.repeat(27)}01`,
      `0x${'00'.repeat(31)}01`,
      `0xffffffff${'00'.repeat(28)}`,
      yes.slice(0, -1),
      'ff'.repeat(5_000_000),
    ];
    for (const result of no) expect(isValidSignatureResult(result)).toBe(false);
  });
});

describe('ERC-6492', () => {
  const bytes = fc.uint8Array({ maxLength: 100 }).map(hexData);
  const address = fc.uint8Array({ minLength: 20, maxLength: 20 }).map(hexData);

  it('unwraps what an ABI encoder wraps', () => {
    fc.assert(
      fc.property(address, bytes, bytes, (factory, data, signature) => {
        const wrapped = wrap(factory, data, signature);
        for (const form of [wrapped, fromHex(wrapped)!]) {
          const out = unwrapErc6492(form)!;
          expect([out.factory, hexData(out.factoryData), hexData(out.signature)]).toEqual([
            factory,
            data,
            signature,
          ]);
        }
      }),
    );
  });

  it('says that other signatures are not wrapped', () => {
    for (const text of [
      '',
      '0x',
      `0x${'11'.repeat(65)}`,
      `0x${MAGIC.slice(2)}`,
      `${wrap(`0x${'11'.repeat(20)}`, '0x', '0x')}00`,
      'zz',
    ]) {
      expect(unwrapErc6492(text)).toBeUndefined();
    }
  });

  it('refuses wrapped content that is not exactly what an ABI encoder writes', async () => {
    const good = fromHex(wrap(`0x${'11'.repeat(20)}`, '0x0102', '0x030405'))!;
    const change = (at: number, value: number): Uint8Array =>
      Uint8Array.from(good, (byte, i) => (i === at ? value : byte));
    const bad: Uint8Array[] = [
      fromHex(MAGIC)!,
      change(0, 1),
      change(63, 0x80),
      change(95, 0xc0),
      change(127, 33),
      change(96, 1),
      change(96 + 32 + 10, 1),
      change(good.length - 33, 1),
      concatBytes(good.subarray(0, -32), new Uint8Array(32), good.subarray(-32)),
      concatBytes(good.subarray(0, -64), good.subarray(-32)),
      concatBytes(good.subarray(0, 90), good.subarray(-32)),
    ];
    for (const wrapped of bad) await expectRefusal(() => unwrapErc6492(wrapped), 'abi');
  });
});
