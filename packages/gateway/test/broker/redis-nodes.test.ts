import {
  findRedis,
  type RedisServer,
  startCuttingProxy,
  startRedis,
  startRedisSentinel,
} from '@countersign/testkit';
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Broker, Draft, Signal } from '../../src/broker/broker.ts';
import { systemClock as clock } from '../../src/operations/clock.ts';
import { channelTable } from '../../src/streams/channel.ts';
import type { Encoder } from '../../src/streams/encoder.ts';
import { createHub, type Hub } from '../../src/streams/hub.ts';
import type { Outbox } from '../../src/streams/outbox.ts';
import type { Position, Publication } from '../../src/streams/publication.ts';
import { type Node, openNode } from './redis-node.ts';

const bin = findRedis();
const channels = channelTable([
  { name: 'trades', kind: 'log', audience: 'public', permission: null, keyedBy: 'product', history: 1000 },
]);
const key = 'ETH-USD';
const draft = (n: number): Draft => ({ channel: 'trades', key, time: n, data: { n } });

type Frame = { n: number; position: Position } | { snapshot: number[]; position: Position };

const encoder: Encoder = {
  publication: (_, { data, epoch, sequence }: Publication) =>
    Buffer.from(JSON.stringify({ n: data.n, position: { epoch, sequence } })),
  snapshot: ({ publications, position }) => [
    Buffer.from(JSON.stringify({ snapshot: publications.map(({ data }) => data.n), position })),
  ],
};

/** A subscriber that keeps what it was sent. */
class Reader {
  readonly frames: Frame[] = [];
  recovered: boolean | null = null;
  cut = false;
  #leave = (): void => {};

  async join(hub: Hub, since?: Position): Promise<this> {
    const take = (frame: Uint8Array) => void this.frames.push(JSON.parse(Buffer.from(frame).toString()));
    const outbox: Outbox = {
      push: take,
      pushAll: (frames) => void [...frames].forEach(take),
      queuedBytes: 0,
      congested: false,
      clear: true,
      whenClear: (callback) => callback(),
      flush() {},
      close() {},
    };
    const onCut = () => {
      this.cut = true;
    };
    const subscription = hub.join({
      channel: 'trades',
      key,
      encoder,
      outbox,
      onCut,
      ...(since && { since }),
    });
    this.#leave = () => subscription.leave();
    await subscription.ready;
    this.recovered = subscription.settled?.recovered ?? null;
    outbox.pushAll(subscription.opening);
    subscription.start();
    return this;
  }

  leave(): void {
    this.#leave();
  }

  get position(): Position {
    return this.frames.at(-1)?.position as Position;
  }

  /** Numbers that it knows of, from its last snapshot on. */
  get numbers(): number[] {
    const known: number[] = [];
    for (const frame of this.frames) {
      if ('snapshot' in frame) known.splice(0, known.length, ...frame.snapshot);
      else known.push(frame.n);
    }
    return known;
  }
}

const upTo = (n: number) => Array.from({ length: n }, (_, i) => i + 1);

describe.skipIf(bin === null)('nodes that share a Redis [needs redis-server]', () => {
  let server: RedisServer;
  let made = 0;
  const closing: (() => unknown)[] = [];

  beforeAll(async () => {
    server = await startRedis(bin as string);
  });
  afterAll(() => server?.close());
  afterEach(async () => {
    for (const close of closing.splice(0).reverse()) await close();
  });

  async function open(prefix: string, url = server.url(), settings = {}): Promise<Node & { hub: Hub }> {
    const node = await openNode(url, { prefix, commandTimeoutMs: 500, ...settings }, channels);
    const hub = createHub({ broker: node.broker, channels, clock });
    closing.push(
      () => node.broker.close(),
      () => hub.close(),
    );
    return { ...node, hub };
  }

  async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
    const end = Date.now() + 15_000;
    while (!(await condition())) {
      if (Date.now() > end) throw new Error('it did not come to that');
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  const prefix = () => `nodes${made++}:`;

  it('delivers on every node what is published on one, and signals to all', async () => {
    const shared = prefix();
    const [a, b] = [await open(shared), await open(shared)];
    const heard: Signal[][] = [[], []];
    for (const [i, { broker }] of [a, b].entries()) broker.onSignal((signal) => heard[i]?.push(signal));
    const readers = [await new Reader().join(a.hub), await new Reader().join(b.hub)];
    await a.broker.publish([draft(1)]);
    await b.broker.publish([draft(2)]);
    await a.broker.signal({ kind: 'access-changed', sequence: 7 });
    for (const reader of readers) {
      await until(() => reader.numbers.length === 2);
      expect(reader.numbers).toEqual([1, 2]);
    }
    const signal = { kind: 'access-changed', sequence: 7 };
    await until(() => heard.every((signals) => signals.length === 1));
    expect(heard).toEqual([[signal], [signal]]);
  });

  it('keeps apart what has another prefix or another database', async () => {
    const shared = prefix();
    const nodes = [await open(shared), await open(prefix()), await open(shared, server.url(1))];
    const readers = await Promise.all(nodes.map(({ hub }) => new Reader().join(hub)));
    for (const [i, { broker }] of nodes.entries()) await broker.publish([draft(i + 1)]);
    await until(() => readers.every(({ numbers }) => numbers.length > 0));
    expect(readers.map(({ numbers }) => numbers)).toEqual([[1], [2], [3]]);
  });

  it('publishes once when two nodes publish the same key at one moment', async () => {
    const shared = prefix();
    const [a, b] = [await open(shared), await open(shared)];
    for (let n = 1; n <= 20; n++) {
      const options = { idempotencyKey: `key ${n}` };
      const both = await Promise.all([a, b].map(({ broker }) => broker.publish([draft(n)], options)));
      const receipts = both.flat();
      expect(receipts.map(({ sequence }) => sequence)).toEqual([n, n]);
      expect(receipts.filter(({ duplicate }) => duplicate)).toHaveLength(1);
    }
  });

  it('keeps the order in which a node was asked to publish, however it gathers', async () => {
    const { broker, hub } = await open(prefix());
    const reader = await new Reader().join(hub);
    const receipts = await Promise.all(upTo(900).map((n) => broker.publish([draft(n)])));
    expect(receipts.map(([receipt]) => receipt?.sequence)).toEqual(upTo(900));
    await until(() => reader.numbers.length === 900);
    expect(reader.numbers).toEqual(upTo(900));
  });

  it('knows on a node that has just started which products there are', async () => {
    const shared = prefix();
    const { broker } = await open(shared);
    await broker.publish(upTo(2500).map((n) => ({ ...draft(n), key: `P${n}` })));
    const { hub } = await open(shared);
    for (const n of [1, 1250, 2500]) expect(hub.has('trades', `P${n}`)).toBe(true);
    expect(hub.has('trades', 'P2501')).toBe(false);
  });

  it('lets a reader go on at another node where it was', async () => {
    const shared = prefix();
    const [a, b] = [await open(shared), await open(shared)];
    const reader = await new Reader().join(a.hub);
    await a.broker.publish(upTo(10).map(draft));
    await until(() => reader.numbers.length === 10);
    reader.leave();
    await a.broker.publish([draft(11), draft(12)]);
    const moved = await new Reader().join(b.hub, reader.position);
    await b.broker.publish([draft(13)]);
    await until(() => moved.numbers.length === 3);
    expect(moved.recovered).toBe(true);
    expect(moved.numbers).toEqual([11, 12, 13]);
  });

  it('gives every reader each publication once and in order while subscriptions are cut', async () => {
    const shared = prefix();
    const [a, b] = [await open(shared), await open(shared)];
    const reader = await new Reader().join(b.hub);
    let n = 0;
    for (let round = 0; round < 12; round++) {
      for (let i = 0; i < 60; i++) await a.broker.publish([draft(++n)]);
      server.cli('client', 'kill', 'type', 'pubsub');
    }
    await until(() => reader.numbers.length >= n);
    expect(reader.frames.slice(1)).toHaveLength(n);
    expect(reader.numbers).toEqual(upTo(n));
    expect(b.hub.stats().resynced).toBe(0);
  });

  it('loses nothing for a reader that joins a stream which nobody read while the node was cut off', async () => {
    const shared = prefix();
    const [a, b] = [await open(shared), await open(shared)];
    const first = await new Reader().join(b.hub);
    await a.broker.publish([draft(1)]);
    await until(() => first.numbers.length === 1);
    first.leave();
    const gap = new Promise<void>((resolve) => b.broker.onGap(resolve));
    server.cli('client', 'kill', 'type', 'pubsub');
    await a.broker.publish([draft(2)]);
    await gap;
    const second = await new Reader().join(b.hub);
    expect(second.numbers).toEqual([1, 2]);
  });

  it('tells each reader, or leaves it nothing to miss, whatever happens in between', async () => {
    const step = fc.oneof(
      {
        weight: 6,
        arbitrary: fc.record({ do: fc.constant('publish' as const), many: fc.integer({ min: 1, max: 30 }) }),
      },
      { weight: 2, arbitrary: fc.record({ do: fc.constant('cut' as const) }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('flush' as const) }) },
      { weight: 2, arbitrary: fc.record({ do: fc.constant('move' as const) }) },
    );
    const forget = "for _, k in ipairs(redis.call('KEYS', ARGV[1])) do redis.call('DEL', k) end";
    const run = async (steps: readonly { do: string; many?: number }[]) => {
      const shared = prefix();
      const nodes = [await open(shared), await open(shared)];
      const [a, b] = nodes as [(typeof nodes)[0], (typeof nodes)[0]];
      let reader = await new Reader().join(b.hub);
      const readers = [reader];
      /** What was published at each place. */
      const truth = new Map<string, number>();
      let n = 0;
      let last = '';
      for (const { do: what, many = 0 } of steps) {
        if (what === 'publish') {
          const numbers = upTo(many).map(() => ++n);
          const receipts = await a.broker.publish(numbers.map(draft));
          receipts.forEach(({ epoch, sequence }, i) => {
            last = `${epoch} ${sequence}`;
            expect(truth.has(last)).toBe(false);
            truth.set(last, numbers[i] as number);
          });
        } else if (what === 'cut') {
          server.cli('client', 'kill', 'type', 'pubsub');
        } else if (what === 'flush') {
          server.cli('eval', forget, '0', `${shared}*`);
        } else {
          const since = reader.frames.length > 0 ? reader.position : undefined;
          reader.leave();
          reader = await new Reader().join(readers.length % 2 === 0 ? b.hub : a.hub, since);
          readers.push(reader);
        }
      }
      if (last !== '')
        await a.broker.publish([draft(++n)]).then(([receipt]) => {
          last = `${receipt?.epoch} ${receipt?.sequence}`;
          truth.set(last, n);
        });
      await until(() => last === '' || `${reader.position?.epoch} ${reader.position?.sequence}` === last);
      for (const { frames, recovered } of readers) {
        let at: Position | null = recovered === true ? null : { epoch: '', sequence: -1 };
        for (const frame of frames) {
          const { epoch, sequence } = frame.position;
          if ('n' in frame) {
            expect(truth.get(`${epoch} ${sequence}`)).toBe(frame.n);
            if (at !== null) expect(frame.position).toEqual({ epoch: at.epoch, sequence: at.sequence + 1 });
          }
          at = frame.position;
        }
      }
    };
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 3, maxLength: 12 }), async (steps) => {
        await run(steps);
        for (const close of closing.splice(0).reverse()) await close();
      }),
      { numRuns: 60, interruptAfterTimeLimit: 12_000 },
    );
  });

  it('is behind but never wrong on a slow line that is cut (drill D05)', async () => {
    const shared = prefix();
    const proxy = await startCuttingProxy(server.url());
    closing.push(() => proxy.close());
    const [a, b] = [await open(shared), await open(shared, proxy.url)];
    const reader = await new Reader().join(b.hub);
    let n = 0;
    for (let round = 0; round < 5; round++) {
      for (let i = 0; i < 20; i++) await a.broker.publish([draft(++n)]);
      proxy.cut();
    }
    await until(() => reader.numbers.length >= n);
    expect(reader.numbers).toEqual(upTo(n));
  });
});

describe.skipIf(bin === null)('nodes behind Sentinel [needs redis-server]', () => {
  const closing: { close(): unknown }[] = [];
  afterEach(async () => {
    for (const part of closing.splice(0).reverse()) await part.close();
  });

  it('follow to the new master, and are not misled by the old one when it returns (drill D04)', async () => {
    const master = await startRedis(bin as string);
    closing.push(master);
    await master.replica();
    const sentinel = await startRedisSentinel(bin as string, 'main', master);
    closing.push(sentinel);
    const settings = {
      prefix: 's:',
      commandTimeoutMs: 300,
      sentinel: { name: 'main', nodes: [`127.0.0.1:${sentinel.port}`] },
    };
    const open = async () => {
      const { broker } = await openNode('redis://ignored', settings, channels);
      closing.push(broker);
      const hub = createHub({ broker, channels, clock });
      closing.push(hub);
      return { broker, hub };
    };
    const [a, b] = [await open(), await open()];
    const reader = await new Reader().join(b.hub);
    const truth = new Map<string, number>();
    const publish = async (broker: Broker, n: number): Promise<boolean> => {
      const receipts = await broker.publish([draft(n)]).catch(() => []);
      for (const { epoch, sequence } of receipts) {
        expect(truth.has(`${epoch} ${sequence}`)).toBe(false);
        truth.set(`${epoch} ${sequence}`, n);
      }
      return receipts.length > 0;
    };
    for (let n = 1; n <= 20; n++) await publish(a.broker, n);
    const old = reader.position;
    master.pause();
    let n = 100;
    const end = Date.now() + 15_000;
    while (!(await publish(a.broker, ++n)) && Date.now() < end) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    master.resume();
    for (let more = 0; more < 50; more++) await publish(a.broker, ++n);
    while (reader.frames.at(-1)?.position.sequence !== 51 && Date.now() < end) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(reader.position.epoch).not.toBe(old.epoch);
    expect(reader.numbers.at(-1)).toBe(n);
    for (const frame of reader.frames) {
      if (!('n' in frame)) continue;
      const { epoch, sequence } = frame.position;
      // What was refused for want of an answer may have been published all the same.
      expect(truth.get(`${epoch} ${sequence}`) ?? frame.n).toBe(frame.n);
    }
  });
});
