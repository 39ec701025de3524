/**
 * What authentication costs a REST call: a small answer behind a Bearer token (verified, checked for
 * revocation, resolved to a principal, counted against its budget) against a small answer that asks for none,
 * from the same gateway with the same hooks. A bare Fastify route stands beside them.
 *
 * Run: npm run bench -- rest [--rounds 5] [--seconds 5]
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { createHttpClient, createLoadWallets, logIn, startGatewayProcess } from '@countersign/testkit';
import { closedLoop } from './lib/load.ts';
import { measure, percentile, ratio } from './lib/rounds.ts';

const LANES = 64;
const PRIVATE = '/api/v3/brokerage/key_permissions';
const PUBLIC = '/api/v3/brokerage/time';

export async function rest({ rounds, seconds }: { rounds: number; seconds: number }): Promise<void> {
  const [wallet] = await createLoadWallets(1);
  if (wallet === undefined) throw new Error('no wallet');

  const gateway = (path: string) => async () => {
    const dataDir = mkdtempSync(join(tmpdir(), 'countersign-bench-'));
    const process = await startGatewayProcess({
      dataDir,
      cpus: '0',
      flags: ['--no-sandbox', '--log-level', 'error'],
      // One user asks more in a second than the shipped tiers allow in a minute. The check is made all the same.
      env: { COUNTERSIGN_TIERS: '{"free":{"requests":{"limit":1000000000}}}' },
    });
    const client = createHttpClient(process.ready.rest, LANES);
    // Both send the token, so that the same bytes are read; only one of the routes looks at it.
    const { accessToken } = await logIn(client, wallet);
    const figures = await load(client, path, `Authorization: Bearer ${accessToken}\r\n`, seconds);
    await process.stop();
    rmSync(dataDir, { recursive: true, force: true });
    return figures;
  };

  const bare = async () => {
    const { child, url } = await startBare();
    const figures = await load(createHttpClient(url, LANES), PUBLIC, '', seconds);
    child.kill();
    return figures;
  };

  const raw = await measure(
    'rest',
    [
      { name: 'with a Bearer token', run: gateway(PRIVATE) },
      { name: 'without authentication', run: gateway(PUBLIC) },
      { name: 'bare Fastify', run: bare },
    ],
    rounds,
  );
  const share = ratio(raw, 'with a Bearer token', 'without authentication', 'perSecond');
  process.stdout.write(
    `${JSON.stringify({ bench: 'rest', shareOfUnauthenticated: Number(share.toFixed(3)) })}\n`,
  );
}

async function load(
  client: ReturnType<typeof createHttpClient>,
  path: string,
  headers: string,
  seconds: number,
) {
  const { perSecond, latencies } = await closedLoop(LANES, seconds, async () => {
    const { status } = await client.request('GET', path, headers);
    if (status !== 200) throw new Error(`${path} answered ${status}`);
  });
  client.close();
  return { perSecond, p50ms: percentile(latencies, 0.5), p99ms: percentile(latencies, 0.99) };
}

async function startBare(): Promise<{ child: ChildProcess; url: string }> {
  const program = fileURLToPath(new URL('./lib/plain-route.ts', import.meta.url));
  const answer = JSON.stringify({
    iso: '2026-01-01T00:00:00Z',
    epochSeconds: '1767225600',
    epochMillis: '1767225600000',
  });
  const child = spawn('taskset', ['-c', '0', process.execPath, '--import', 'tsx', program, PUBLIC, answer], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = (await once(createInterface({ input: child.stdout! }), 'line')) as [string];
  return { child, url: line };
}
