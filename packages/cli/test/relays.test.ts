import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { EXIT } from '../src/exit-codes.ts';
import { run } from '../src/run.ts';
import { testIo } from './test-io.ts';

const KEY = `0x${'b2'.repeat(48)}`;
const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.close();
    server.closeAllConnections();
  }
});

/** A relay of this machine that takes so long to answer. */
async function relay(delay: number, seen: string[]): Promise<string> {
  const server = createServer((request, response) => {
    seen.push(`${request.method} ${request.url} ${JSON.stringify(request.headers)}`);
    setTimeout(() => response.end(), delay);
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://${KEY}@127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function relays(...argv: string[]) {
  const io = testIo();
  const code = await run(['relays', ...argv], io);
  return { code, out: io.outLines };
}

test('the table of relays is printed without asking anybody', async () => {
  const { out } = await relays('--json');
  const rows = out.map(
    (line) => JSON.parse(line) as { region: string; environment: string; publicKey: string },
  );
  expect(rows.map(({ region, environment }) => `${region} ${environment}`)).toEqual([
    'Tokyo mainnet',
    'Frankfurt mainnet',
    'Virginia mainnet',
    'Tokyo hoodi',
  ]);
  for (const { publicKey } of rows) expect(publicKey).toMatch(/^0x[0-9a-f]{96}$/);
});

test('it can be narrowed to one environment', async () => {
  expect((await relays('--environment', 'hoodi')).out).toEqual([
    expect.stringMatching(/^Tokyo +hoodi +hoodi-relay\.ethgas\.com +0xb20c/),
  ]);
  expect((await relays('--environment', 'sepolia')).code).toBe(EXIT.usage.code);
});

test('relays are measured, the nearest comes first, and those without an answer come last', async () => {
  const seen: string[] = [];
  const [slow, near] = [await relay(150, seen), await relay(0, seen)];
  const gone = `http://${KEY}@127.0.0.1:1`;
  const { code, out } = await relays('--nearest', '--json', '--url', [gone, slow, near].join(','));
  expect(code).toBe(EXIT.ok.code);
  const rows = out.map((line) => JSON.parse(line) as { host: string; roundTrip: number | null });
  expect(rows.map(({ host }) => host)).toEqual([near, slow, gone].map((url) => new URL(url).host));
  expect(rows.map(({ roundTrip }) => roundTrip !== null)).toEqual([true, true, false]);
  expect(seen.join('\n')).not.toContain(KEY.slice(2));
  expect((await relays('--nearest', '--url', near)).out).toEqual([
    expect.stringMatching(/^ +[\d.]+ ms .*127/),
  ]);
});

test('nobody who answers is an exit code of its own, and what is no relay is a wrong use', async () => {
  expect((await relays('--nearest', '--url', `http://${KEY}@127.0.0.1:1`)).code).toBe(EXIT.unreachable.code);
  expect((await relays('--nearest', '--url', 'https://relay.example')).code).toBe(EXIT.usage.code);
  expect((await relays('--url', `https://${KEY}@relay.example`)).code).toBe(EXIT.usage.code);
});
