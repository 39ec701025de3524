import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../src/operations/clock.ts';
import { parseConfig } from '../../src/operations/config.ts';
import { createContractWallets, MAX_CONTRACT_SIGNATURE } from '../../src/session/contract-wallet.ts';

const MAGIC = `0x1626ba7e${'0'.repeat(56)}`;
const ADDRESS = `0x${'ab'.repeat(20)}`;
const FACTORY = `0x${'fa'.repeat(20)}`;
const DIGEST = new Uint8Array(32).fill(7);
const SIGNATURE = new Uint8Array(65).fill(9);

interface Call {
  method: string;
  params: [{ to?: string; data: string; gas: string }, string];
}
type Answer = (call: Call, reply: ServerResponse, request: IncomingMessage) => void;

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

const result = (reply: ServerResponse, value: unknown): void => {
  reply.setHeader('content-type', 'application/json');
  reply.end(JSON.stringify({ jsonrpc: '2.0', id: 1, result: value }));
};

/** A JSON-RPC endpoint of chain 1 on a real socket. */
async function endpoint(answer: Answer, chainId = '0x1'): Promise<{ url: string; calls: Call[] }> {
  const calls: Call[] = [];
  const server = createServer((request, reply) => {
    let body = '';
    request.on('data', (chunk) => {
      body += chunk;
    });
    request.on('end', () => {
      const call = JSON.parse(body) as Call;
      calls.push(call);
      if (call.method === 'eth_chainId') result(reply, chainId);
      else answer(call, reply, request);
    });
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, calls };
}

const wallets = (url: string | null, factories: string[] = [], timeoutMs = 2000) =>
  createContractWallets({
    config: parseConfig({ wallet: { rpc: url === null ? {} : { 1: url }, factories } }),
    clock: systemClock,
    timeoutMs,
  });

const proof = { address: ADDRESS, chainId: 1, digest: DIGEST, signature: SIGNATURE };

describe('a contract wallet', () => {
  it('is off on chains without an endpoint', async () => {
    const off = wallets(null);
    expect(off.serves(1)).toBe(false);
    expect(await off.verify(proof)).toBe('invalid');
  });

  it('signs in when it answers with the padded magic value', async () => {
    const { url, calls } = await endpoint((_, reply) => result(reply, MAGIC));
    const on = wallets(url);
    expect(on.serves(1)).toBe(true);
    expect(await on.verify(proof)).toBe('valid');
    const [, { params }] = calls as [Call, Call];
    expect(params[1]).toBe('latest');
    expect(params[0].to).toBe(ADDRESS);
    expect(params[0].gas).toBe('0x4c4b40');
    // isValidSignature(bytes32,bytes), written out by hand from the ABI specification.
    expect(params[0].data).toBe(
      `0x1626ba7e${'07'.repeat(32)}${'40'.padStart(64, '0')}${'41'.padStart(64, '0')}${'09'.repeat(65)}${'00'.repeat(31)}`,
    );
  });

  it('asks for the chain id once', async () => {
    const { url, calls } = await endpoint((_, reply) => result(reply, MAGIC));
    const on = wallets(url);
    await on.verify(proof);
    await on.stillValid(proof);
    expect(calls.map(({ method }) => method)).toEqual(['eth_chainId', 'eth_call', 'eth_call']);
  });

  it.each<[string, Answer, 'invalid' | 'unavailable']>([
    ['an empty result, as of an address without code', (_, reply) => result(reply, '0x'), 'invalid'],
    [
      'a revert',
      (_, reply) => reply.end(JSON.stringify({ id: 1, error: { code: 3, message: 'execution reverted' } })),
      'invalid',
    ],
    ['the magic value without padding', (_, reply) => result(reply, '0x1626ba7e'), 'invalid'],
    [
      'the magic value padded on the left',
      (_, reply) => result(reply, `0x${'0'.repeat(56)}1626ba7e`),
      'invalid',
    ],
    ['the magic value with a tail', (_, reply) => result(reply, `${MAGIC}00`), 'invalid'],
    ['true as a word', (_, reply) => result(reply, `0x${'1'.padStart(64, '0')}`), 'invalid'],
    ['true as JSON', (_, reply) => result(reply, true), 'unavailable'],
    ['no result', (_, reply) => reply.end('{"jsonrpc":"2.0","id":1}'), 'unavailable'],
    ['text that is not JSON', (_, reply) => reply.end('yes'), 'unavailable'],
    ['a failure status', (_, reply) => reply.writeHead(500).end(), 'unavailable'],
    [
      'a redirect to an endpoint that says yes',
      (_, reply, request) =>
        request.url === '/yes' ? result(reply, MAGIC) : reply.writeHead(307, { location: '/yes' }).end(),
      'unavailable',
    ],
    [
      'the magic value with 1 KiB after it',
      (_, reply) => reply.end(JSON.stringify({ id: 1, result: MAGIC }) + ' '.repeat(1024)),
      'unavailable',
    ],
    ['a closed connection', (_, reply) => void reply.destroy(), 'unavailable'],
  ])('does not sign in by %s', async (_, answer, verdict) => {
    const { url } = await endpoint(answer);
    expect(await wallets(url).verify(proof)).toBe(verdict);
  });

  it('stops reading a reply of 10 MB', async () => {
    let sent = 0;
    const { url } = await endpoint((_, reply) => {
      const chunk = Buffer.alloc(65_536, 32);
      const more = (): void => {
        while (sent < 10_000_000 && !reply.destroyed) {
          sent += chunk.length;
          if (!reply.write(chunk)) return void reply.once('drain', more);
        }
        reply.end();
      };
      more();
    });
    expect(await wallets(url).verify(proof)).toBe('unavailable');
    expect(sent).toBeLessThan(10_000_000);
  });

  it('gives up on an endpoint that stalls before or inside its reply', async () => {
    const silent = await endpoint(() => {});
    const halfway = await endpoint((_, reply) => void reply.write('{"result":'));
    expect(await wallets(silent.url, [], 100).verify(proof)).toBe('unavailable');
    expect(await wallets(halfway.url, [], 100).verify(proof)).toBe('unavailable');
  });

  it('does not ask an endpoint that serves another chain', async () => {
    const { url, calls } = await endpoint((_, reply) => result(reply, MAGIC), '0x5');
    expect(await wallets(url).verify(proof)).toBe('unavailable');
    expect(calls.map(({ method }) => method)).toEqual(['eth_chainId']);
  });

  it('does not ask about an empty or oversized signature', async () => {
    const { url, calls } = await endpoint((_, reply) => result(reply, MAGIC));
    const on = wallets(url);
    expect(await on.verify({ ...proof, signature: new Uint8Array(0) })).toBe('invalid');
    expect(await on.verify({ ...proof, signature: new Uint8Array(MAX_CONTRACT_SIGNATURE + 1) })).toBe(
      'invalid',
    );
    expect(calls).toEqual([]);
  });

  it('refuses more than 32 requests at once instead of queueing them', async () => {
    const waiting: ServerResponse[] = [];
    const { url } = await endpoint((_, reply) => {
      waiting.push(reply);
      if (waiting.length >= 32) for (const each of waiting) if (!each.writableEnded) result(each, MAGIC);
    });
    const on = wallets(url);
    // The chain id has to be known, or the first call of each would be that.
    const first = on.verify(proof);
    while (waiting.length === 0) await new Promise((resolve) => setImmediate(resolve));
    const verdicts = await Promise.all([first, ...Array.from({ length: 40 }, () => on.verify(proof))]);
    expect(verdicts.filter((verdict) => verdict === 'valid')).toHaveLength(32);
    expect(verdicts.filter((verdict) => verdict === 'unavailable')).toHaveLength(9);
  });
});

describe('an ERC-6492 signature', () => {
  const word = (value: number) => value.toString(16).padStart(64, '0');
  const wrap = (factory: string, inner: string, factoryData = 'c0ffee') =>
    Buffer.from(
      [
        factory.slice(2).padStart(64, '0'),
        word(96),
        word(160),
        word(factoryData.length / 2),
        factoryData.padEnd(64, '0'),
        word(inner.length / 2),
        inner.padEnd(Math.ceil(inner.length / 64) * 64, '0'),
        '6492'.repeat(16),
      ].join(''),
      'hex',
    );
  const wrapped = { ...proof, signature: wrap(FACTORY, '09'.repeat(65)) };

  it('is refused without asking while no factory is allowed, or another one', async () => {
    const { url, calls } = await endpoint((_, reply) => result(reply, MAGIC));
    expect(await wallets(url).verify(wrapped)).toBe('invalid');
    expect(await wallets(url, [ADDRESS]).verify(wrapped)).toBe('invalid');
    expect(calls).toEqual([]);
  });

  it('of a deployed wallet is asked by ERC-1271 with the inner signature', async () => {
    const { url, calls } = await endpoint((_, reply) => result(reply, MAGIC));
    expect(await wallets(url, [FACTORY]).verify(wrapped)).toBe('valid');
    const [, { params }] = calls as [Call, Call];
    expect(params[0].data).toContain(`${word(65)}${'09'.repeat(65)}`);
    expect(params[0].data).not.toContain('64926492');
  });

  it('of a wallet that is not deployed is asked inside a creation that calls the factory', async () => {
    const { url, calls } = await endpoint(({ params: [call] }, reply) =>
      result(reply, call.to === undefined ? MAGIC : '0x'),
    );
    expect(await wallets(url, [FACTORY.toUpperCase().replace('0X', '0x')]).verify(wrapped)).toBe('valid');
    const [, , { params }] = calls as [Call, Call, Call];
    expect(params[0].to).toBeUndefined();
    expect(params[0].gas).toBe('0x989680');
    expect(params[0].data).toContain('c0ffee1626ba7e');
  });

  it('with a wrong inner part does not sign in', async () => {
    const { url } = await endpoint(({ params: [call] }, reply) =>
      result(reply, call.data.includes('09'.repeat(65)) ? MAGIC : '0x'),
    );
    const on = wallets(url, [FACTORY]);
    expect(await on.verify({ ...proof, signature: wrap(FACTORY, '08'.repeat(65)) })).toBe('invalid');
  });

  it('with offsets or lengths beyond its end is refused without asking', async () => {
    const { url, calls } = await endpoint((_, reply) => result(reply, MAGIC));
    const on = wallets(url, [FACTORY]);
    const good = Buffer.from(wrapped.signature).toString('hex');
    const bad = [
      good.replace(word(96), word(9600)),
      good.replace(word(160), 'f'.repeat(64)),
      good.replace(word(65), word(650)),
      `01${good.slice(2)}`,
      '6492'.repeat(16),
    ];
    for (const signature of bad)
      expect(await on.verify({ ...proof, signature: Buffer.from(signature, 'hex') })).toBe('invalid');
    expect(calls).toEqual([]);
  });
});
