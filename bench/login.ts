/**
 * Whole wallet logins per second over HTTP with the durable store: ask for a message, sign it, verify, open
 * the session. The gateway has processor 0 to itself, this program (which signs) has processor 1.
 *
 * Run: npm run bench -- login [--rounds 3] [--seconds 8]
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createHttpClient, createLoadWallets, logIn, startGatewayProcess } from '@countersign/testkit';
import { closedLoop } from './lib/load.ts';
import { measure, percentile } from './lib/rounds.ts';

const LANES = 64;

export async function login({ rounds, seconds }: { rounds: number; seconds: number }): Promise<void> {
  const wallets = await createLoadWallets(1024);
  await measure('login', [{ name: 'wallet login', run: () => once(wallets, seconds) }], rounds);
}

async function once(wallets: Awaited<ReturnType<typeof createLoadWallets>>, seconds: number) {
  const dataDir = mkdtempSync(join(tmpdir(), 'countersign-bench-'));
  const gateway = await startGatewayProcess({
    dataDir,
    cpus: '0',
    flags: ['--no-sandbox', '--log-level', 'error'],
  });
  const client = createHttpClient(gateway.ready.rest, LANES);
  let next = 0;
  try {
    const { perSecond, latencies } = await closedLoop(LANES, seconds, async () => {
      next = (next + 1) % wallets.length;
      const { status } = await logIn(client, wallets[next]!);
      if (status !== 200) throw new Error(`a good login was refused with ${status}`);
    });
    return { perSecond, p50ms: percentile(latencies, 0.5), p99ms: percentile(latencies, 0.99) };
  } finally {
    client.close();
    await gateway.stop();
    rmSync(dataDir, { recursive: true, force: true });
  }
}
