import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loginTypedData } from '@countersign/tokens';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { checkOffer, findWallet, walletOf } from '../src/session/wallet.ts';
import { testIo } from './test-io.ts';

// Golden vector of the wire facts, section 2: signed alike by ethers 5, ethers 6, viem and eth-account.
const key = '0x4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318';
const address = '0x2c7536E3605D9C16a7a3D7b1898e529396a65c23';
const signature =
  '0xff5f9bad2d66e7cdbf1d6b4c6137cd144c549d78d7b3424379a6cd0d97f5b2131b6d8f04d5ed09038cfa7ec6076069127c968a2a7d9a7b189ee43e96ecc874681b';

describe('a wallet', () => {
  test('signs the golden login message as other libraries do', async () => {
    const wallet = await walletOf(`${key}\n`);
    expect(wallet.address).toBe(address);
    expect(wallet.sign({ nonce: '52a90c73', chainId: 1, domain: 'ethgas.com' })).toBe(signature);
  });

  test.each(['', '0x12', 'zz'.repeat(32), '00'.repeat(32), 'ff'.repeat(32)])(
    'is not made of %s, which is not repeated',
    async (text) => {
      const error = await walletOf(text).catch((thrown: Error) => thrown);
      expect(error).toBeInstanceOf(Error);
      if (text.length > 4) expect((error as Error).message).not.toContain(text);
    },
  );
});

describe('the wallet key is looked for', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'countersign-cli-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  test('in the file that was named, with a warning when others can read it', async () => {
    const path = join(folder, 'key');
    writeFileSync(path, key, { mode: 0o600 });
    const io = testIo({ env: { COUNTERSIGN_WALLET_KEY: '11'.repeat(32) } });
    expect((await findWallet(io, path)).address).toBe(address);
    expect(io.errLines).toEqual([]);
    chmodSync(path, 0o644);
    await findWallet(io, path);
    expect(io.errLines).toEqual([expect.stringContaining('can be read by others')]);
  });

  test('in the environment', async () => {
    expect((await findWallet(testIo({ env: { COUNTERSIGN_WALLET_KEY: key } }), undefined)).address).toBe(
      address,
    );
  });

  test('at the prompt of a terminal, and nowhere else', async () => {
    expect((await findWallet(testIo({ terminal: true, answers: [key] }), undefined)).address).toBe(address);
    await expect(findWallet(testIo({ terminal: true }), undefined)).rejects.toThrow('stopped');
    await expect(findWallet(testIo(), undefined)).rejects.toThrow('no wallet key');
  });
});

describe('what the server wants signed', () => {
  const nonce = '52a90c73';
  const good = loginTypedData({ nonce, chainId: 560048 });
  const expected = { nonce, chainId: undefined, domain: 'ethgas.com' };
  const offer = (change: (data: Record<string, never>) => void, more: object = {}) => {
    const data = structuredClone(good) as never;
    change(data);
    return () => checkOffer(JSON.stringify(data), { ...expected, ...more });
  };

  test('is accepted when it is the login message, in any order of members', () => {
    const reversed = Object.fromEntries(Object.entries(good).reverse());
    expect(checkOffer(JSON.stringify(good), expected)).toBe(560048);
    expect(checkOffer(JSON.stringify(reversed, null, 2), expected)).toBe(560048);
  });

  // biome-ignore lint/suspicious/noExplicitAny: each case breaks the type in its own way
  test.each<[string, (data: any) => void, object?]>([
    [
      'another name',
      (data) => {
        data.domain.name = 'Permit2';
      },
    ],
    [
      'another version',
      (data) => {
        data.domain.version = '2';
      },
    ],
    [
      'a contract',
      (data) => {
        data.domain.verifyingContract = `0x${'1'.repeat(40)}`;
      },
    ],
    [
      'an unknown chain',
      (data) => {
        data.domain.chainId = 5;
      },
    ],
    [
      'a chain as text',
      (data) => {
        data.domain.chainId = '560048';
      },
    ],
    ['another chain than was asked for', () => undefined, { chainId: 1 }],
    [
      'another site',
      (data) => {
        data.message.domain = 'evil.example';
      },
    ],
    [
      'another text',
      (data) => {
        data.message.message = 'Transfer everything';
      },
    ],
    [
      'another nonce',
      (data) => {
        data.message.hash = 'ffffffff';
      },
    ],
    ['a nonce that is no hex', () => undefined, { nonce: 'sign me' }],
    [
      'another primary type',
      (data) => {
        data.primaryType = 'Order';
      },
    ],
    [
      'a field more',
      (data) => {
        data.types.data.push({ name: 'amount', type: 'uint256' });
      },
    ],
    [
      'fields in another order',
      (data) => {
        data.types.data.reverse();
      },
    ],
    [
      'a member more in the domain',
      (data) => {
        data.domain.salt = '0x00';
      },
    ],
  ])('is refused with %s', (_, change, more) => {
    expect(offer(change, more)).toThrow('the server asks for a signature that is not given');
  });

  test.each([undefined, null, 7, '', 'null', '[]', '{"types":', { types: {} }, ' '.repeat(20_000)])(
    'is refused when it is no message at all',
    (text) => {
      expect(() => checkOffer(text, expected)).toThrow('not given');
    },
  );
});
