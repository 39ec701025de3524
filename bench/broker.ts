/**
 * Publications a second through the broker, in memory and through one Redis, and how long one takes from the node
 * where it is published to another. Nodes and load share this process, so figures of two nodes are those of two
 * nodes on one processor: what they show is what Redis carries, not what two machines would.
 *
 * Run: npm run bench -- broker [--rounds 3] [--seconds 4]
 */
import { findRedis, startRedis } from '@countersign/testkit';
import type { Broker, Draft } from '../packages/gateway/src/broker/broker.ts';
import { createMemoryBroker } from '../packages/gateway/src/broker/memory.ts';
import { openRedis } from '../packages/gateway/src/broker/redis/connection.ts';
import { createRedisBroker } from '../packages/gateway/src/broker/redis.ts';
import { systemClock as clock } from '../packages/gateway/src/operations/clock.ts';
import { parseConfig } from '../packages/gateway/src/operations/config.ts';
import { channelTable } from '../packages/gateway/src/streams/channel.ts';
import { type Figures, measure, percentile } from './lib/rounds.ts';

const LANES = 64;
const STREAMS = 100;
/** Publications a second while latency is measured: far from what either carries. */
const CALM = 200;
const channels = channelTable([
  { name: 'trades', kind: 'log', audience: 'public', permission: null, keyedBy: 'product', history: 100 },
]);

let made = 0;
const draft = (sent = 0): Draft => ({
  channel: 'trades',
  key: `PRODUCT-${made++ % STREAMS}`,
  time: Date.now(),
  data: { sent, price: '3120.55', size: '0.25', side: 'buy', note: 'x'.repeat(60) },
});

/** As many as are taken, `batch` in each call, by lanes that wait for their receipts; all nodes hear all of them. */
async function flood(nodes: readonly Broker[], batch: number, seconds: number): Promise<Figures> {
  let heard = 0;
  for (const node of nodes) node.onPublication(() => heard++);
  const end = performance.now() + seconds * 1000;
  let published = 0;
  const lane = async (i: number): Promise<void> => {
    const node = nodes[i % nodes.length] as Broker;
    while (performance.now() < end) {
      await node.publish(Array.from({ length: batch }, () => draft()));
      published += batch;
    }
  };
  await Promise.all(Array.from({ length: LANES }, (_, i) => lane(i)));
  const patience = performance.now() + 5000;
  while (heard < published * nodes.length && performance.now() < patience) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  return { perSecond: published / seconds, lost: published * nodes.length - heard };
}

/** From one node to the other, at a calm rate. */
async function latency(from: Broker, to: Broker, seconds: number): Promise<Figures> {
  const took: number[] = [];
  to.onPublication(({ data }) => took.push(performance.now() - Number(data.sent)));
  for (let i = 0; i < seconds * CALM; i++) {
    await from.publish([draft(performance.now())]);
    await new Promise((resolve) => setTimeout(resolve, 1000 / CALM));
  }
  return { p50: percentile(took, 0.5), p99: percentile(took, 0.99) };
}

export async function broker({ rounds, seconds }: { rounds: number; seconds: number }): Promise<void> {
  const bin = findRedis();
  if (bin === null) return void process.stderr.write('broker: left out, there is no redis-server\n');
  const server = await startRedis(bin);
  const onMemory = async (run: (broker: Broker) => Promise<Figures>) => {
    const memory = createMemoryBroker({ clock, channels });
    try {
      return await run(memory);
    } finally {
      await memory.close();
    }
  };
  const onRedis = async (count: number, run: (nodes: Broker[]) => Promise<Figures>) => {
    server.cli('flushall');
    const connections = await Promise.all(
      Array.from({ length: count }, () =>
        openRedis(parseConfig({ broker: { url: server.url() } }).broker, { clock }),
      ),
    );
    const nodes = await Promise.all(
      connections.map((connection) => createRedisBroker({ connection, clock, channels })),
    );
    try {
      return await run(nodes);
    } finally {
      for (const part of [...nodes, ...connections]) await part.close();
    }
  };
  try {
    await measure(
      'broker',
      [
        { name: 'memory, one at a time', run: () => onMemory((node) => flood([node], 1, seconds)) },
        {
          name: 'redis, one node, one at a time',
          run: () => onRedis(1, (nodes) => flood(nodes, 1, seconds)),
        },
        {
          name: 'redis, one node, 100 at a time',
          run: () => onRedis(1, (nodes) => flood(nodes, 100, seconds)),
        },
        {
          name: 'redis, two nodes, one at a time',
          run: () => onRedis(2, (nodes) => flood(nodes, 1, seconds)),
        },
        {
          name: 'redis, two nodes, 100 at a time',
          run: () => onRedis(2, (nodes) => flood(nodes, 100, seconds)),
        },
        { name: 'memory, latency', run: () => onMemory((node) => latency(node, node, seconds)) },
        {
          name: 'redis, latency to another node',
          run: () => onRedis(2, ([a, b]) => latency(a as Broker, b as Broker, seconds)),
        },
      ],
      rounds,
    );
  } finally {
    await server.close();
  }
}
