import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { parseRelayUrl, relays } from '../src/index.ts';

const KEY = relays.table[0]?.publicKey ?? '0x';
const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.close();
    server.closeAllConnections();
  }
});

/** A relay that takes so long to answer. @returns its URL with the key in it */
async function relay(delay: number, seen: string[] = []): Promise<string> {
  const server = createServer((request, response) => {
    seen.push(`${request.url} ${request.headers.authorization ?? 'no authorization'}`);
    setTimeout(() => response.writeHead(404).end(), delay);
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://${KEY}@127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe('the table', () => {
  test('has the four published relays with keys of 48 bytes', () => {
    expect(relays.table.map(({ region, environment, host }) => `${region} ${environment} ${host}`)).toEqual([
      'Tokyo mainnet ap-relay.ethgas.com',
      'Frankfurt mainnet eu-relay.ethgas.com',
      'Virginia mainnet us-relay.ethgas.com',
      'Tokyo hoodi hoodi-relay.ethgas.com',
    ]);
    for (const { publicKey, host } of relays.table) {
      expect(publicKey).toMatch(/^0x[0-9a-f]{96}$/);
      expect(parseRelayUrl(`https://${publicKey}@${host}`)).toEqual({
        publicKey,
        host,
        url: `https://${host}`,
      });
    }
  });
});

describe('a relay URL', () => {
  test.each([
    [`https://${KEY}@relay.example`, 'https://relay.example'],
    [`https://${KEY.toUpperCase().replace('0X', '0x')}@relay.example/`, 'https://relay.example'],
    [`http://${KEY}@127.0.0.1:8080/sub/path/`, 'http://127.0.0.1:8080/sub/path'],
    [`${KEY}@relay.example`, 'http://relay.example'],
  ])('%s is called without its key', (text, url) => {
    const parsed = parseRelayUrl(text);
    expect(parsed.url).toBe(url);
    expect(parsed.publicKey).toBe(KEY);
    // Node refuses to make a request to a URL with a user in it.
    expect(() => new Request(parsed.url)).not.toThrow();
  });

  test.each([
    'https://relay.example',
    `https://${KEY.slice(0, -2)}@relay.example`,
    `https://${KEY}00@relay.example`,
    `https://${KEY.slice(2)}@relay.example`,
    `https://${KEY.slice(0, -1)}g@relay.example`,
    `https://${KEY}:password@relay.example`,
    `https://0xc0${'0'.repeat(94)}@relay.example`,
    `https://0x00${'1'.repeat(94)}@relay.example`,
    `ftp://${KEY}@relay.example`,
    `https://${KEY}@relay.example/?a=b`,
    'nonsense',
    '',
  ])('%s is none', (text) => {
    expect(() => parseRelayUrl(text)).toThrow(expect.objectContaining({ code: 'invalid_relay_url' }));
  });
});

describe('the nearest relay', () => {
  test('is the one that answers first, whatever it answers, and no key goes over the wire', async () => {
    const seen: string[] = [];
    const [slow, fast] = [await relay(60, seen), await relay(0, seen)];
    const nearest = await relays.nearest({ candidates: [slow, fast] });
    expect(nearest.url).toBe(parseRelayUrl(fast).url);
    expect(nearest.roundTrip).toBeLessThan(60);
    expect(new Set(seen)).toEqual(new Set(['/eth/v1/builder/status no authorization']));
    expect(seen).toHaveLength(6);
  });

  test('is not one that is silent or gone', async () => {
    const [silent, alive] = [await relay(10_000), await relay(0)];
    const gone = `http://${KEY}@127.0.0.1:1`;
    const all = await relays.measure({ candidates: [silent, gone, alive], timeout: 200 });
    expect(all.map(({ roundTrip }) => roundTrip !== null)).toEqual([true, false, false]);
    await expect(relays.nearest({ candidates: [gone], timeout: 200 })).rejects.toMatchObject({
      code: 'no_relay',
      remedy: 'retry',
    });
  });

  test('is not waited for once the signal is aborted', async () => {
    const controller = new AbortController();
    const nearest = relays.nearest({ candidates: [await relay(10_000)], signal: controller.signal });
    controller.abort(new Error('enough'));
    await expect(nearest).rejects.toThrow('enough');
  });
});
