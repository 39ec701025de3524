/**
 * D29: clients of the SDK read through the balancer while the gateways are killed (SIGKILL) in turn, one every few
 * seconds, and started again, and a venue publishes all the while.
 *
 * Must hold: no reader misses an entry of a log without being told, none is given one twice, every book is the one that
 * was published, everybody is up to date again in the end; nobody is told of a loss, since Redis lost nothing.
 *
 * Run: npm run drills -- d29 [--nodes 2] [--seed N] [--long]
 */
import { pause, startDrillCluster } from './lib/gateway.ts';
import { createRandom } from './lib/random.ts';
import { startReaders } from './lib/readers.ts';
import { report, summary } from './lib/report.ts';

const READERS = 16;
/** Seconds that a node lives after the one before it was killed: from the first to the second figure. */
const LIFE = [1, 3] as const;

export async function d29({ nodes, seed, long = false }: { nodes: number; seed: number; long?: boolean }) {
  const seconds = long ? 300 : 30;
  const random = createRandom(seed);
  const { cluster, stop } = await startDrillCluster({ nodes });
  try {
    const readers = await startReaders(cluster, { seed, count: READERS });
    try {
      await pause(2000);
      const until = performance.now() + seconds * 1000;
      const msToReady: number[] = [];
      for (let kill = 0; performance.now() < until; kill += 1) {
        const node = cluster.nodes[kill % nodes]!;
        await node.stop('SIGKILL');
        await node.start();
        msToReady.push(node.process.startedIn);
        await pause(1000 * (LIFE[0] + random() * (LIFE[1] - LIFE[0])));
        report(`kill ${kill + 1}: ${readers.current()} of ${readers.count} readers are up to date`);
      }
      const { figures, failures } = await readers.finish(30);
      for (const failure of failures) report(failure);
      const told = figures.logsToldOfLoss as number;
      return summary(
        'D29',
        { seed, nodes, seconds, kills: msToReady.length, msToReady, ...figures, failures: failures.length },
        failures.length === 0 && told === 0 && (figures.connects as number) > READERS,
      );
    } finally {
      await readers.close();
    }
  } finally {
    await stop();
  }
}
