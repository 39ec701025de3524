/** Memory of this process and of the gateway's, each after a full collection, and how it goes up or down. */
import { WebSocket } from 'ws';

export interface MemoryPoint {
  /** Seconds since the start. */
  at: number;
  /** In MiB. */
  heap: number;
  rss: number;
  external: number;
}

export interface Slope {
  /** MiB per hour. */
  perHour: number;
  /** Half the width of the 95 % interval. */
  within: number;
  /** MiB, on average. */
  mean: number;
}

const MIB = 2 ** 20;
const BLOCK_SECONDS = 30;
/** 97.5 % quantile of Student's t distribution, for 1 to 30 degrees of freedom; a few more stand for the rest. */
const T = [
  12.71, 4.3, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.2, 2.18, 2.16, 2.14, 2.13, 2.12, 2.11, 2.1,
  2.09, 2.09, 2.08, 2.07, 2.07, 2.06, 2.06, 2.06, 2.05, 2.05, 2.05, 2.04,
];

/**
 * A straight line through the means of blocks of half a minute: neighbouring samples are alike (what is under way now
 * was so five seconds ago), and counting each as news would make the interval too narrow.
 */
export function slopeOf(points: readonly MemoryPoint[], of: 'heap' | 'rss' | 'external'): Slope | null {
  const blocks = new Map<number, MemoryPoint[]>();
  for (const point of points) {
    const block = Math.floor(point.at / BLOCK_SECONDS);
    blocks.set(block, [...(blocks.get(block) ?? []), point]);
  }
  const mean = (list: readonly number[]) => list.reduce((sum, one) => sum + one, 0) / list.length;
  const xs = [...blocks.values()].map((block) => mean(block.map(({ at }) => at / 3600)));
  const ys = [...blocks.values()].map((block) => mean(block.map((point) => point[of])));
  const freedom = xs.length - 2;
  if (freedom < 1) return null;
  const [x, y] = [mean(xs), mean(ys)];
  const spread = xs.reduce((sum, one) => sum + (one - x) ** 2, 0);
  const perHour = xs.reduce((sum, one, i) => sum + (one - x) * (ys[i]! - y), 0) / spread;
  const rest = ys.reduce((sum, one, i) => sum + (one - y - perHour * (xs[i]! - x)) ** 2, 0);
  const within = (T[freedom - 1] ?? 2) * Math.sqrt(rest / freedom / spread);
  return { perHour, within, mean: y };
}

/** @throws Error unless Node was started with `--expose-gc` */
export async function memoryHere(at: number): Promise<MemoryPoint> {
  const { gc } = globalThis as { gc?: () => void };
  if (gc === undefined) throw new Error('run it with --expose-gc');
  gc();
  // What was only held by finalizers goes with the second one.
  await new Promise((resolve) => setImmediate(resolve));
  gc();
  return pointOf(at, process.memoryUsage());
}

export interface RemoteMemory {
  sample(at: number): Promise<MemoryPoint>;
  /** For `--heap-snapshots`: the text of one. */
  snapshot(write: (chunk: string) => void): Promise<void>;
  close(): void;
}

/** @param inspector of the other process, see `inspectorOf` */
export async function memoryOf(inspector: string): Promise<RemoteMemory> {
  const socket = new WebSocket(inspector, { maxPayload: 2 ** 30 });
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
  const waiting = new Map<number, (result: { result?: { value: string } }) => void>();
  let next = 0;
  let onChunk = (_chunk: string): void => {};
  socket.on('message', (data) => {
    const { id, result, method, params } = JSON.parse(String(data));
    if (method === 'HeapProfiler.addHeapSnapshotChunk') onChunk(params.chunk);
    waiting.get(id)?.(result ?? {});
    waiting.delete(id);
  });
  const ask = (method: string, params: object = {}) =>
    new Promise<{ result?: { value: string } }>((resolve) => {
      next += 1;
      waiting.set(next, resolve);
      socket.send(JSON.stringify({ id: next, method, params }));
    });
  return {
    async sample(at) {
      await ask('HeapProfiler.collectGarbage');
      await ask('HeapProfiler.collectGarbage');
      const { result } = await ask('Runtime.evaluate', {
        expression: 'JSON.stringify(process.memoryUsage())',
      });
      return pointOf(at, JSON.parse(result!.value));
    },
    async snapshot(write) {
      onChunk = write;
      await ask('HeapProfiler.takeHeapSnapshot');
    },
    close: () => socket.terminate(),
  };
}

const pointOf = (at: number, { heapUsed, rss, external }: NodeJS.MemoryUsage): MemoryPoint => ({
  at: Math.round(at),
  heap: heapUsed / MIB,
  rss: rss / MIB,
  external: external / MIB,
});
