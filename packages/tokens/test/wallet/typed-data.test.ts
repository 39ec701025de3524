import { TypedDataEncoder } from 'ethers';
import { ethers as ethers5 } from 'ethers5';
import fc, { type GeneratorValue } from 'fast-check';
import { hashTypedData as viemHash } from 'viem';
import { describe, expect, it } from 'vitest';
import { encodeType, hashTypedData, hexData, type TypedData, type TypedDataField } from '../../src/index.ts';
import { expectRefusal } from '../support/raw-token.ts';

const MAIL: TypedData = {
  types: {
    EIP712Domain: [
      { name: 'name', type: 'string' },
      { name: 'version', type: 'string' },
      { name: 'chainId', type: 'uint256' },
      { name: 'verifyingContract', type: 'address' },
    ],
    Person: [
      { name: 'name', type: 'string' },
      { name: 'wallet', type: 'address' },
    ],
    Mail: [
      { name: 'from', type: 'Person' },
      { name: 'to', type: 'Person' },
      { name: 'contents', type: 'string' },
    ],
  },
  primaryType: 'Mail',
  domain: {
    name: 'Ether Mail',
    version: '1',
    chainId: 1,
    verifyingContract: '0xCcCCccccCCCCcCCCCCCcCcCccCcCCCcCcccccccC',
  },
  message: {
    from: { name: 'Cow', wallet: '0xCD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826' },
    to: { name: 'Bob', wallet: '0xbBbBBBBbbBBBbbbBbbBbbbbBBbBbbbbBbBbbBBbB' },
    contents: 'Hello, Bob!',
  },
};

const hex = (g: GeneratorValue, length: number): string =>
  hexData(g(() => fc.uint8Array({ minLength: length, maxLength: length })));

/** A value of a type; structs only refer to structs after them, so this ends. */
function makeValue(g: GeneratorValue, types: Record<string, TypedDataField[]>, type: string): unknown {
  const array = /^(.+)\[(\d*)\]$/.exec(type);
  if (array) {
    const length = array[2] === '' ? g(() => fc.integer({ min: 0, max: 3 })) : Number(array[2]);
    return Array.from({ length }, () => makeValue(g, types, array[1]!));
  }
  const fields = types[type];
  if (fields) return Object.fromEntries(fields.map((field) => [field.name, makeValue(g, types, field.type)]));
  const integer = /^(u?int)(\d+)$/.exec(type);
  if (integer) {
    const bits = BigInt(integer[2]!);
    const range =
      integer[1] === 'uint'
        ? { min: 0n, max: 2n ** bits - 1n }
        : { min: -(2n ** (bits - 1n)), max: 2n ** (bits - 1n) - 1n };
    const value = g(() => fc.bigInt(range));
    return g(() => fc.boolean()) ? value : value.toString();
  }
  if (type === 'bool') return g(() => fc.boolean());
  if (type === 'string') return g(() => fc.string({ unit: 'grapheme', maxLength: 20 }));
  if (type === 'address') return hex(g, 20);
  if (type === 'bytes') return hexData(g(() => fc.uint8Array({ maxLength: 70 })));
  return hex(g, Number(type.slice(5)));
}

const width = fc.integer({ min: 1, max: 32 });
const atom = fc.oneof(
  fc.constantFrom('bool', 'string', 'address', 'bytes'),
  width.map((bytes) => `uint${bytes * 8}`),
  width.map((bytes) => `int${bytes * 8}`),
  width.map((bytes) => `bytes${bytes}`),
);
const suffix = fc.constantFrom('', '', '', '[]', '[2]', '[][]', '[3][]', '[][2]');

function makeTypedData(g: GeneratorValue): TypedData {
  const count = g(() => fc.integer({ min: 1, max: 4 }));
  const names = Array.from({ length: count }, (_, i) => `${'ZQBM'[i]}struct${i}`);
  const types: Record<string, TypedDataField[]> = {};
  names.forEach((name, i) => {
    const fields: TypedDataField[] = Array.from(
      { length: g(() => fc.integer({ min: 1, max: 4 })) },
      (_, n) => ({
        name: `f${n}`,
        type: g(() => atom) + g(() => suffix),
      }),
    );
    names.slice(i + 1).forEach((later, n) => {
      // The next struct always, so that none is left unused; the others sometimes.
      if (n === 0 || g(() => fc.boolean())) fields.push({ name: `s${n}`, type: later + g(() => suffix) });
    });
    types[name] = fields;
  });
  const all: Record<string, unknown> = {
    name: g(() => fc.string()),
    version: '1',
    chainId: g(() => fc.integer({ min: 1, max: 1_000_000 })),
    verifyingContract: hex(g, 20),
    salt: hex(g, 32),
  };
  const kept = g(() => fc.subarray(Object.keys(all), { minLength: 1 }));
  const domain = Object.fromEntries(
    Object.keys(all)
      .filter((name) => kept.includes(name))
      .map((name) => [name, all[name]]),
  );
  const primaryType = names[0]!;
  return { types, primaryType, domain, message: makeValue(g, types, primaryType) as Record<string, unknown> };
}

describe('hashTypedData', () => {
  it('gives the digest of the EIP-712 example', () => {
    expect(encodeType(MAIL.types, 'Mail')).toBe(
      'Mail(Person from,Person to,string contents)Person(string name,address wallet)',
    );
    expect(hexData(hashTypedData(MAIL))).toBe(
      '0xbe609aee343fb3c4b28e1df9e632fca64fcfaede20f02e86244efddf30957bd2',
    );
  });

  it('agrees with viem, ethers 6 and ethers 5 on random types and data', () => {
    fc.assert(
      fc.property(fc.gen(), (g) => {
        const data = makeTypedData(g);
        const ours = hexData(hashTypedData(data));
        const types = data.types as Record<string, TypedDataField[]>;
        expect(TypedDataEncoder.hash(data.domain, types, data.message)).toBe(ours);
        expect(ethers5.utils._TypedDataEncoder.hash(data.domain, types, data.message)).toBe(ours);
        expect(viemHash(data as never)).toBe(ours);
      }),
      { numRuns: 300 },
    );
  });

  it('agrees with viem when the domain type is given, also in an unusual order', () => {
    const EIP712Domain = [...MAIL.types.EIP712Domain!].reverse();
    const data = { ...MAIL, types: { ...MAIL.types, EIP712Domain } };
    expect(hexData(hashTypedData(data))).toBe(viemHash(data as never));
    const domainOnly = { ...MAIL, primaryType: 'EIP712Domain' };
    expect(hexData(hashTypedData(domainOnly))).toBe(viemHash(domainOnly as never));
  });

  it('hashes recursive types, which the standard allows', () => {
    const types = {
      Tree: [
        { name: 'label', type: 'string' },
        { name: 'children', type: 'Tree[]' },
      ],
    };
    const leaf = { label: 'leaf', children: [] };
    const data = {
      types,
      primaryType: 'Tree',
      domain: { name: 'x' },
      message: { label: 'root', children: [leaf, leaf] },
    };
    expect(hexData(hashTypedData(data))).toBe(viemHash(data as never));
  });

  const one = (type: string, value: unknown, more: object = {}): TypedData => ({
    types: { T: [{ name: 'v', type }], ...more },
    primaryType: 'T',
    domain: { name: 'x' },
    message: { v: value },
  });
  it('reads an integer the same from a bigint, a number, a decimal text and a hex text', () => {
    const digests = [-255n, -255, '-255', '-0xff'].map((value) =>
      hexData(hashTypedData(one('int16', value))),
    );
    expect(new Set(digests).size).toBe(1);
  });

  it('takes null and undefined members of a domain for absent ones', () => {
    const data = one('bool', true);
    const domain = { name: 'x', version: undefined, salt: null };
    expect(hashTypedData({ ...data, domain })).toEqual(hashTypedData(data));
  });

  const endless: Record<string, unknown> = {};
  endless.v = [endless];
  const refused: [string, TypedData][] = [
    ['a uint8 of 256', one('uint8', 256)],
    ['a negative uint', one('uint256', -1)],
    ['an int8 of 128', one('int8', 128)],
    ['an int8 of -129', one('int8', -129)],
    ['a uint256 of 2^256', one('uint256', 2n ** 256n)],
    ['an integer with a fraction', one('uint8', 1.5)],
    ['a number past 2^53', one('uint256', 2 ** 53)],
    ['an empty text for an integer', one('uint8', '')],
    ['a text with a space for an integer', one('uint8', ' 1')],
    ['a boolean as text', one('bool', 'true')],
    ['a boolean as number', one('bool', 1)],
    ['three bytes for bytes4', one('bytes4', '0x010203')],
    ['five bytes for bytes4', one('bytes4', '0x0102030405')],
    ['hex without 0x for bytes', one('bytes', '0102')],
    ['half a byte', one('bytes', '0x123')],
    ['a number as text', one('string', 12345678)],
    ['a missing value', { ...one('string', 'x'), message: {} }],
    ['a null value', one('string', null)],
    ['a value that is not in the type', { ...one('string', 'x'), message: { v: 'x', w: 'y' } }],
    [
      'a domain member that is not in the standard',
      { ...one('string', 'x'), domain: { name: 'x', extra: 1 } },
    ],
    ['too short an array', one('uint8[2]', [1])],
    ['too long an array', one('uint8[2]', [1, 2, 3])],
    ['an object for an array', one('uint8[]', { 0: 1 })],
    ['an array for a struct', one('S', [], { S: [] })],
    ['an undefined struct', one('S', {})],
    ['an inherited name as struct', one('toString', {})],
    ['uint without a size', one('uint', 1)],
    ['uint7', one('uint7', 1)],
    ['uint264', one('uint264', 1)],
    ['bytes0', one('bytes0', '0x')],
    ['bytes33', one('bytes33', `0x${'00'.repeat(33)}`)],
    [
      'a struct that is named like an atom',
      one('uint8', 1, { uint8: [{ name: 'a', type: 'string' }], T: [{ name: 'v', type: 'uint8[]x' }] }),
    ],
    ['a primary type that does not exist', { ...one('string', 'x'), primaryType: 'U' }],
    [
      'data without an end',
      {
        types: { T: [{ name: 'v', type: 'T[]' }] },
        primaryType: 'T',
        domain: { name: 'x' },
        message: endless,
      },
    ],
  ];
  it.each(refused)('refuses %s', async (_, data) => {
    await expectRefusal(() => hashTypedData(data), 'typed_data');
  });

  it('refuses an address with a wrong checksum or length', async () => {
    await expectRefusal(
      () => hashTypedData(one('address', '0xcD2a3d9F938E13CD947Ec05AbC7FE734Df8DD826')),
      'address',
    );
    await expectRefusal(() => hashTypedData(one('address', '0x00')), 'address');
  });
});
