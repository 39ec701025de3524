import { readFileSync } from 'node:fs';
import { TypedDataEncoder, Wallet } from 'ethers';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  addressOfPrivateKey,
  encodeType,
  fromHex,
  hashDomain,
  hashTypedData,
  hexData,
  keccak256,
  loginDigest,
  loginTypedData,
  ready,
  recoverAddress,
  signDigest,
  type TypedData,
  utf8,
  verifyWalletSignature,
} from '../../src/index.ts';

const vectors: {
  privateKey: string;
  address: string;
  nonce: string;
  typeHash: string;
  eip712Message: string;
  cases: { chainId: number; domainSeparator: string; digest: string; signature: string }[];
} = JSON.parse(readFileSync(new URL('../../vectors/login.json', import.meta.url), 'utf8'));

const { nonce, address } = vectors;
const asTypedData = (login: Parameters<typeof loginTypedData>[0]): TypedData =>
  loginTypedData(login) as unknown as TypedData;

describe('the wallet login message', () => {
  beforeAll(ready);

  it('is written exactly as the published sample', () => {
    expect(JSON.stringify(loginTypedData({ nonce, chainId: 32382 }))).toBe(vectors.eip712Message);
  });

  it('has the published type hash', () => {
    expect(hexData(keccak256(utf8(encodeType(asTypedData({ nonce, chainId: 1 }).types, 'data'))))).toBe(
      vectors.typeHash,
    );
  });

  it.each(vectors.cases)(
    'has the golden values on chain $chainId',
    ({ chainId, domainSeparator, digest, signature }) => {
      const typed = asTypedData({ nonce, chainId });
      expect(hexData(hashDomain(typed))).toBe(domainSeparator);
      expect(hexData(hashTypedData(typed))).toBe(digest);
      expect(hexData(loginDigest({ nonce, chainId }))).toBe(digest);
      expect(recoverAddress(loginDigest({ nonce, chainId }), signature)).toBe(address.toLowerCase());
      expect(signDigest(loginDigest({ nonce, chainId }), fromHex(vectors.privateKey)!)).toBe(signature);
      expect(addressOfPrivateKey(fromHex(vectors.privateKey)!)).toBe(address.toLowerCase());
    },
  );

  it('is signed by an ethers wallet the way it is verified here', async () => {
    const wallet = Wallet.createRandom();
    const login = { nonce: '00c0ffee', chainId: 560048, domain: 'desk.example.com' };
    const { domain, types, message } = loginTypedData(login);
    const signature = await wallet.signTypedData({ ...domain }, { data: types.data }, { ...message });
    expect(verifyWalletSignature({ address: wallet.address, digest: loginDigest(login), signature })).toBe(
      true,
    );
  });

  it('keeps the digests of many chains, domains and nonces apart', () => {
    for (let i = 1; i <= 200; i++) {
      const login = { nonce: `${i}`.padStart(8, '0'), chainId: i, domain: `site-${i % 7}.example` };
      const { domain, types, message } = loginTypedData(login);
      expect(hexData(loginDigest(login))).toBe(
        TypedDataEncoder.hash({ ...domain }, { data: types.data }, { ...message }),
      );
    }
  });

  it('changes its digest when any part of it is changed, removed, added or reordered', () => {
    const base = asTypedData({ nonce, chainId: 1 });
    const digest = hexData(hashTypedData(base));
    const { data, EIP712Domain } = base.types as Record<string, { name: string; type: string }[]>;
    const variants: TypedData[] = [
      { ...base, domain: { ...base.domain, name: 'ETHGas' } },
      { ...base, domain: { ...base.domain, version: '2' } },
      { ...base, domain: { ...base.domain, chainId: 2 } },
      { ...base, domain: { ...base.domain, verifyingContract: `0x${'1'.repeat(40)}` } },
      { ...base, message: { ...base.message, hash: '52A90C73' } },
      { ...base, message: { ...base.message, message: 'Please sign' } },
      { ...base, message: { ...base.message, domain: 'evil.example' } },
      { ...base, types: { ...base.types, data: [...data!].reverse() } },
      { ...base, types: { ...base.types, EIP712Domain: [...EIP712Domain!].reverse() } },
      {
        ...base,
        types: { ...base.types, data: [{ name: 'hash', type: 'bytes' }, ...data!.slice(1)] },
        message: { ...base.message, hash: '0x52a90c73' },
      },
      { ...base, types: { EIP712Domain: EIP712Domain!, login: data! }, primaryType: 'login' },
    ];
    const digests = variants.map((variant) => hexData(hashTypedData(variant)));
    expect(new Set([digest, ...digests]).size).toBe(variants.length + 1);
  });

  it('refuses a nonce that is not text and a chain that is not a positive integer', () => {
    expect(() => loginDigest({ nonce: 12345678 as never, chainId: 1 })).toThrow(TypeError);
    expect(() => loginTypedData({ nonce: '', chainId: 1 })).toThrow(TypeError);
    for (const chainId of [0, -1, 1.5, Number.NaN, '1' as never]) {
      expect(() => loginDigest({ nonce, chainId })).toThrow(TypeError);
    }
  });
});
