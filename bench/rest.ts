/**
 * What authentication costs a REST call: `GET /v1/user/info` with a Bearer token (verified, checked for
 * revocation, resolved to a principal) against the same answer from the same Fastify set-up without any
 * authentication, served by `bench/lib/plain-route.ts`.
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
const PATH = '/v1/user/info';

export async function rest({ rounds, seconds }: { rounds: number; seconds: number }): Promise<void> {
  const [wallet] = await createLoadWallets(1);
  let answer = '';

  const authenticated = async () => {
    const dataDir = mkdtempSync(join(tmpdir(), 'countersign-bench-'));
    const gateway = await startGatewayProcess({
      dataDir,
      cpus: '0',
      flags: ['--no-sandbox', '--log-level', 'error'],
    });
    const client = createHttpClient(gateway.ready.rest, LANES);
    const { accessToken } = await logIn(client, wallet!);
    const headers = `Authorization: Bearer ${accessToken}\r\n`;
    answer = (await client.request('GET', PATH, headers)).body;
    const figures = await load(client, headers, seconds);
    await gateway.stop();
    rmSync(dataDir, { recursive: true, force: true });
    return figures;
  };

  const plain = async () => {
    const { child, url } = await startPlain(answer);
    // The same bytes come in, so that only the work on them differs.
    const figures = await load(
      createHttpClient(url, LANES),
      `Authorization: Bearer ${'x'.repeat(560)}\r\n`,
      seconds,
    );
    child.kill();
    return figures;
  };

  const raw = await measure(
    'rest',
    [
      { name: 'with a Bearer token', run: authenticated },
      { name: 'plain Fastify route', run: plain },
    ],
    rounds,
  );
  const share = ratio(raw, 'with a Bearer token', 'plain Fastify route', 'perSecond');
  process.stdout.write(`${JSON.stringify({ bench: 'rest', shareOfPlain: Number(share.toFixed(3)) })}\n`);
}

async function load(client: ReturnType<typeof createHttpClient>, headers: string, seconds: number) {
  const { perSecond, latencies } = await closedLoop(LANES, seconds, async () => {
    const { status } = await client.request('GET', PATH, headers);
    if (status !== 200) throw new Error(`answered ${status}`);
  });
  client.close();
  return { perSecond, p50ms: percentile(latencies, 0.5), p99ms: percentile(latencies, 0.99) };
}

async function startPlain(answer: string): Promise<{ child: ChildProcess; url: string }> {
  const program = fileURLToPath(new URL('./lib/plain-route.ts', import.meta.url));
  const child = spawn('taskset', ['-c', '0', process.execPath, '--import', 'tsx', program, PATH, answer], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = (await once(createInterface({ input: child.stdout! }), 'line')) as [string];
  return { child, url: line };
}
