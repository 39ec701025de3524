/**
 * What an idle connection costs the gateway in memory: resident set with 1,000, 5,000 and 10,000 sockets that have
 * subscribed to one quiet channel, above what it was with 200 that came and went. `steady` is what the
 * system shows after two quiet seconds, `collected` after a full collection of garbage. Goal: 12 kB.
 *
 * Run: npm run bench -- idle [--rounds 3]
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openRawWebSocket, type RawWebSocket, startGatewayProcess } from '@countersign/testkit';
import { collectGarbage, inspectorOf } from './lib/collect-garbage.ts';
import { measure } from './lib/rounds.ts';

const COUNTS = [1000, 5000, 10_000];
const WARM = 200;
const AT_ONCE = 50;
const QUIET = 2000;
const SUBSCRIBE = JSON.stringify({
  op: 'subscribe',
  args: [{ channel: 'recentTradeUpdate', marketType: 'inclusionPreconf' }],
});

export async function idle({ rounds }: { rounds: number }): Promise<void> {
  await measure('idle', [{ name: 'kB per connection', run: once }], rounds);
}

async function once() {
  const dataDir = mkdtempSync(join(tmpdir(), 'countersign-bench-'));
  const gateway = await startGatewayProcess({
    dataDir,
    cpus: '0',
    flags: ['--no-sandbox', '--log-level', 'error'],
    node: ['--inspect=127.0.0.1:0'],
  });
  const inspector = inspectorOf(gateway.log);
  const sockets: RawWebSocket[] = [];
  const openUpTo = async (count: number) => {
    while (sockets.length < count) {
      const some = Array.from({ length: AT_ONCE }, () => openRawWebSocket(gateway.ready.websocket));
      for (const socket of await Promise.all(some)) {
        socket.send(SUBSCRIBE);
        sockets.push(socket);
      }
    }
  };
  const closeAll = () => {
    for (const socket of sockets.splice(0)) socket.close();
  };
  try {
    await openUpTo(WARM);
    await pause(QUIET);
    closeAll();
    await pause(QUIET / 4);
    await collectGarbage(inspector);
    await pause(QUIET / 4);
    const baseline = residentKb(gateway.pid);
    const figures: Record<string, number> = { baselineKb: baseline };
    for (const count of COUNTS) {
      await openUpTo(count);
      await pause(QUIET);
      const lost = sockets.filter(({ closed, frames }) => closed || frames === 0).length;
      if (lost > 0) throw new Error(`${lost} of ${count} sockets are closed or were not answered`);
      figures[`steady${count}`] = (residentKb(gateway.pid) - baseline) / count;
      await collectGarbage(inspector);
      await pause(QUIET / 4);
      figures[`collected${count}`] = (residentKb(gateway.pid) - baseline) / count;
    }
    return figures;
  } finally {
    closeAll();
    await gateway.stop('SIGKILL');
    rmSync(dataDir, { recursive: true, force: true });
  }
}

/** Linux only. `taskset` runs the program in its own place, so the process id is the gateway's. */
const residentKb = (pid: number): number =>
  Number(/VmRSS:\s*(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
