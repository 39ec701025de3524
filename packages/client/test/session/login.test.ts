import { loginTypedData } from '@countersign/tokens';
import * as ethers6 from 'ethers';
import { ethers as ethers5 } from 'ethers5';
import { createWalletClient, custom } from 'viem';
import { privateKeyToAccount } from 'viem/accounts';
import { mainnet } from 'viem/chains';
import { describe, expect, test } from 'vitest';
import { createWalletSession, type SignerInput } from '../../src/index.ts';
import { countingFetch, gatewayWith, keyOf, record, sessionAt } from '../support.ts';

const account = privateKeyToAccount(`0x${keyOf(0)}`);

/** A browser wallet: answers as MetaMask does. */
function browserWallet(answers: Record<string, () => unknown> = {}) {
  const asked: string[] = [];
  return {
    asked,
    async request({ method, params }: { method: string; params?: unknown }) {
      asked.push(method);
      const answer = answers[method];
      if (answer !== undefined) return answer();
      if (method === 'eth_requestAccounts' || method === 'eth_accounts') return [account.address];
      if (method === 'eth_chainId') return '0x1';
      if (method === 'net_version') return '1';
      if (method === 'eth_signTypedData_v4') {
        const [, text] = params as [string, string];
        const typedData = JSON.parse(text);
        // ethers gives the chain as text, which viem would leave out of the domain without a word.
        typedData.domain.chainId = Number(typedData.domain.chainId);
        return account.signTypedData(typedData);
      }
      throw Object.assign(new Error(`no ${method}`), { code: 4200 });
    },
  };
}

const signers: [string, () => SignerInput | Promise<SignerInput>, boolean][] = [
  ['a private key in hex', () => keyOf(0), true],
  ['a private key with 0x and blanks', () => ` 0x${keyOf(0)}\n`, true],
  ['a private key in bytes', () => Uint8Array.from(Buffer.from(keyOf(0), 'hex')), true],
  ['a viem account', () => account, true],
  [
    'a viem wallet client with a local account',
    () => createWalletClient({ account, chain: mainnet, transport: custom(browserWallet()) }),
    true,
  ],
  [
    'a viem wallet client of a browser wallet',
    () => createWalletClient({ chain: mainnet, transport: custom(browserWallet()) }),
    false,
  ],
  ['an ethers 6 wallet', () => new ethers6.Wallet(keyOf(0)), true],
  [
    'an ethers 6 signer of a browser wallet',
    () => new ethers6.BrowserProvider(browserWallet() as never).getSigner(),
    false,
  ],
  ['an ethers 5 wallet', () => new ethers5.Wallet(keyOf(0)), true],
  ['an EIP-1193 provider', () => browserWallet(), false],
];

describe('a login', () => {
  test.each(signers)('works with %s', async (_name, make, unattended) => {
    const { urls } = await gatewayWith();
    const session = sessionAt(urls.rest, { signer: await make() });
    if (!unattended) {
      await expect(session.accessToken()).rejects.toMatchObject({ code: 'sign_in_needed', remedy: 'user' });
    }
    await session.login();
    const answer = await session.fetch('/v1/user/info');
    expect(((await answer.json()) as { data: { user: { address: string } } }).data.user.address).toBe(
      account.address.toLowerCase(),
    );
    expect(session.address).toBe(account.address.toLowerCase());
  });

  test('happens by itself, and once, when callers ask for a token together', async () => {
    const { urls } = await gatewayWith();
    const fetch = countingFetch();
    const session = sessionAt(urls.rest, { fetch });
    const tokens = await Promise.all(Array.from({ length: 20 }, () => session.accessToken()));
    expect(new Set(tokens).size).toBe(1);
    expect(fetch.calls).toEqual(['/v1/user/login', '/v1/user/login/verify']);
  });

  test('asks a browser wallet once when two buttons are pressed', async () => {
    const { urls } = await gatewayWith();
    const wallet = browserWallet();
    const session = sessionAt(urls.rest, { signer: wallet });
    await Promise.all([session.login(), session.login()]);
    expect(wallet.asked.filter((method) => method === 'eth_signTypedData_v4')).toHaveLength(1);
  });

  test('takes the chain of the wallet where none is given', async () => {
    const { urls } = await gatewayWith();
    const wallet = browserWallet({ eth_chainId: () => '0x88bb0' });
    const { chainId: _, ...options } = { chainId: 1, baseUrl: urls.rest, signer: wallet };
    const session = createWalletSession(options);
    await session.login();
    expect((await session.sessions())[0]).toMatchObject({ chainId: 560048, current: true });
    await session.close();
  });

  test('that a person declines needs the user, and is not repeated', async () => {
    const { urls } = await gatewayWith();
    const wallet = browserWallet({
      eth_signTypedData_v4: () => {
        throw Object.assign(new Error('User rejected the request.'), { code: 4001 });
      },
    });
    const session = sessionAt(urls.rest, { signer: wallet });
    await expect(session.login()).rejects.toMatchObject({ code: 'signer_rejected', remedy: 'user' });
    expect(session.state).toBe('ended');
    expect(wallet.asked.filter((method) => method === 'eth_signTypedData_v4')).toHaveLength(1);
  });

  test('that is taken back by its signal ends with the signal and changes nothing', async () => {
    const { urls } = await gatewayWith();
    const controller = new AbortController();
    const wallet = browserWallet({
      eth_signTypedData_v4: () => {
        controller.abort(new Error('changed my mind'));
        return `0x${'11'.repeat(65)}`;
      },
    });
    const session = sessionAt(urls.rest, { signer: wallet });
    await expect(session.login({ signal: controller.signal })).rejects.toThrow('changed my mind');
    expect(session.state).toBe('idle');
  });

  test('with a signature that does not fit is tried three times, further and further apart, and then reported', async () => {
    const { urls } = await gatewayWith();
    const other = privateKeyToAccount(`0x${keyOf(1)}`);
    const fetch = countingFetch();
    const session = sessionAt(urls.rest, {
      fetch,
      signer: { ...account, signTypedData: other.signTypedData } as SignerInput,
    });
    const failures = record(session, 'failure');
    await expect(session.accessToken()).rejects.toMatchObject({ code: 'login_refused', remedy: 'user' });
    expect(fetch.calls.filter((path) => path.endsWith('/verify'))).toHaveLength(3);
    expect(failures.map(({ retryIn }) => retryIn !== null)).toEqual([true, true, false]);
    await expect(session.accessToken()).rejects.toMatchObject({ code: 'login_refused' });
    expect(fetch.calls.filter((path) => path.endsWith('/verify'))).toHaveLength(3);
  });

  test('for a chain that is not served is refused for good', async () => {
    const { urls } = await gatewayWith();
    const session = sessionAt(urls.rest, { chainId: 5 });
    await expect(session.accessToken()).rejects.toMatchObject({
      code: 'refused',
      remedy: 'permanent',
      status: 400,
      serverCode: 'error.request.unknownChain',
    });
  });
});

describe('what cannot be a signer', () => {
  test.each([
    [{}, 'unsupported_signer'],
    [{ signTypedData: () => {} }, 'unsupported_signer'],
    ['0x1234', 'invalid_key'],
    [`${keyOf(0)}zz`, 'invalid_key'],
    ['0'.repeat(64), 'invalid_key'],
    [new Uint8Array(31), 'invalid_key'],
  ])('%# is refused at once', (signer, code) => {
    const make = () => createWalletSession({ baseUrl: 'http://127.0.0.1', signer: signer as SignerInput });
    expect(make).toThrow(expect.objectContaining({ code }));
    try {
      make();
    } catch (error) {
      expect(String(error)).not.toContain(keyOf(0));
    }
  });
});

describe('a hostile server', () => {
  const good = () => loginTypedData({ nonce: '52a90c73', chainId: 1, domain: 'ethgas.com' });
  type Change = (data: ReturnType<typeof structuredClone<object>>) => unknown;
  const hostile: [string, Change][] = [
    ['another contract', (data) => set(data, 'domain.verifyingContract', `0x${'1'.repeat(40)}`)],
    ['another chain', (data) => set(data, 'domain.chainId', 137)],
    ['a chain as text', (data) => set(data, 'domain.chainId', '1')],
    ['another application', (data) => set(data, 'domain.name', 'Permit2')],
    ['another version', (data) => set(data, 'domain.version', '2')],
    ['a salt', (data) => set(data, 'domain.salt', `0x${'0'.repeat(64)}`)],
    ['another text', (data) => set(data, 'message.message', 'Transfer everything')],
    ['another site', (data) => set(data, 'message.domain', 'ethgas.com.evil.example')],
    ['a member more in the message', (data) => set(data, 'message.spender', '0x1')],
    ['another type as the root', (data) => set(data, 'primaryType', 'Permit')],
    ['one type more', (data) => set(data, 'types.Permit', [{ name: 'spender', type: 'address' }])],
    ['one field more', (data) => (data as Typed).types.data.push({ name: 'amount', type: 'uint256' })],
    ['fields in another order', (data) => (data as Typed).types.data.reverse()],
    ['a field of another type', (data) => set(data, 'types.data.0.type', 'bytes32')],
    ['a number as nonce', (data) => set(data, 'message.hash', 52090073)],
    ['a nonce that is none', (data) => set(data, 'message.hash', 'I owe you 1 ETH')],
    ['another nonce than it says', (data) => set(data, 'message.hash', '52a90c74')],
  ];

  test.each(hostile)('does not get a signature for %s', async (_name, change) => {
    const data = structuredClone(good()) as object;
    change(data as never);
    let signed = 0;
    const session = sessionAt('http://127.0.0.1:9', {
      signer: {
        ...account,
        signTypedData: async () => {
          signed += 1;
          return `0x${'11'.repeat(65)}`;
        },
      } as SignerInput,
      fetch: (async () =>
        Response.json({
          success: true,
          data: { status: 'verify', eip712Message: JSON.stringify(data), nonceHash: '52a90c73' },
        })) as typeof fetch,
    });
    await expect(session.accessToken()).rejects.toMatchObject({
      code: 'unexpected_login_message',
      remedy: 'permanent',
    });
    expect(signed).toBe(0);
  });
});

interface Typed {
  types: { data: { name: string; type: string }[] };
}

function set(target: object, path: string, value: unknown): void {
  const names = path.split('.');
  const last = names.pop() as string;
  let found = target as Record<string, unknown>;
  for (const name of names) found = found[name] as Record<string, unknown>;
  found[last] = value;
}
