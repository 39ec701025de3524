/** What the tests of streams share: a sink that can stop taking bytes, and frames that a test can read back. */
import { createFakeClock } from '../../../testkit/src/fake-clock.ts';
import type { Broker } from '../../src/broker/broker.ts';
import { createMemoryBroker } from '../../src/broker/memory.ts';
import { type ChannelTable, channelTable } from '../../src/streams/channel.ts';
import type { Encoder } from '../../src/streams/encoder.ts';
import { createFlusher } from '../../src/streams/flusher.ts';
import { createHub } from '../../src/streams/hub.ts';
import { createOutbox, type Outbox, type Sink } from '../../src/streams/outbox.ts';
import type { BookLevel, JsonObject, Position, Publication } from '../../src/streams/publication.ts';
import type { CutReason, Subscription } from '../../src/streams/subscription.ts';
import type { TopicLimits } from '../../src/streams/topics.ts';

const base = { audience: 'public', permission: null, keyedBy: 'product' } as const;

export const channels: ChannelTable = channelTable([
  { ...base, name: 'ticker', kind: 'latest', history: 8 },
  { ...base, name: 'level2', kind: 'book', history: 8 },
  { ...base, name: 'trades', kind: 'log', history: 8 },
]);

/** A kernel that can stop taking bytes. */
export class TestSink implements Sink {
  chunks: Uint8Array[] = [];
  backlog = 0;
  stalled = false;
  #held: Uint8Array[] = [];
  #drained: (() => void)[] = [];

  write(chunk: Uint8Array): void {
    if (this.stalled) {
      this.#held.push(chunk);
      this.backlog += chunk.length;
    } else {
      this.chunks.push(chunk);
    }
  }

  whenDrained(callback: () => void): void {
    this.#drained.push(callback);
  }

  drain(): void {
    this.stalled = false;
    this.chunks.push(...this.#held);
    this.#held = [];
    this.backlog = 0;
    for (const callback of this.#drained.splice(0)) callback();
  }
}

export type Frame =
  | {
      kind: 'publication';
      epoch: string;
      sequence: number;
      key: string;
      item: string;
      remove: boolean;
      data: JsonObject;
    }
  | {
      kind: 'snapshot';
      epoch: string;
      sequence: number;
      key: string;
      resync: boolean;
      publications: Publication[];
      books: [item: string, book: { levels: BookLevel[]; checksum: number }][];
    };

const line = (frame: object): Uint8Array => Buffer.from(`${JSON.stringify(frame)}\n`);

/** Frames are lines of JSON with everything in them. */
export function lineEncoder(): Encoder & { encoded: number } {
  return {
    encoded: 0,
    publication(_, { channel, key, epoch, sequence, item, remove, data }) {
      this.encoded++;
      const frame = {
        kind: 'publication',
        channel,
        epoch,
        sequence,
        key,
        item: item ?? '',
        remove: remove === true,
        data,
      };
      return line(frame);
    },
    snapshot({ channel, key, position, publications, books }, resync) {
      this.encoded++;
      return [
        line({
          kind: 'snapshot',
          channel: channel.name,
          ...position,
          key,
          resync,
          publications,
          books: [...books],
        }),
      ];
    },
  };
}

export function setup(limits: Partial<TopicLimits> = {}, makeBroker?: (broker: Broker) => Broker) {
  const clock = createFakeClock();
  const memory = createMemoryBroker({ clock, channels });
  const broker = makeBroker?.(memory) ?? memory;
  const hub = createHub({ broker, channels, clock, limits });
  const tasks: (() => void)[] = [];
  const flusher = createFlusher({ clock, coalesceMs: 0, defer: (task) => tasks.push(task) });
  const encoder = lineEncoder();

  const node = {
    clock,
    broker,
    hub,
    encoder,
    flush: () => {
      while (tasks.length > 0) tasks.shift()?.();
    },
    publish: (channel: string, data: JsonObject, more: Partial<Publication> = {}) =>
      void broker.publish([{ channel, key: 'K', time: clock.now(), data, ...more }]),
    connect: (soft = 1e6, hard = 1e7) => new Reader(node, soft, hard),
    outbox: (sink: Sink, soft: number, hard: number, onOverflow: () => void) =>
      createOutbox({ sink, flusher, limits: { soft, hard }, onOverflow }),
  };
  return node;
}

export type Node = ReturnType<typeof setup>;

/** One connection with any number of subscriptions. */
export class Reader {
  readonly sink = new TestSink();
  readonly outbox: Outbox;
  readonly cuts: CutReason[] = [];
  overflowed = false;
  readonly #node: Node;

  constructor(node: Node, soft: number, hard: number) {
    this.#node = node;
    this.outbox = node.outbox(this.sink, soft, hard, () => {
      this.overflowed = true;
    });
  }

  join(channel: string, options: { key?: string; since?: Position; encoder?: Encoder } = {}): Subscription {
    const { key = 'K', encoder = this.#node.encoder, since } = options;
    return this.#node.hub.join({
      channel,
      key,
      encoder,
      outbox: this.outbox,
      onCut: (reason) => this.cuts.push(reason),
      ...(since && { since }),
    });
  }

  /** Joins, sends the opening and starts. */
  enter(channel: string, options: { key?: string; since?: Position; encoder?: Encoder } = {}): Subscription {
    const subscription = this.join(channel, options);
    this.outbox.pushAll(subscription.opening);
    subscription.start();
    return subscription;
  }

  /** Every frame that has come through since the last call. */
  read(): Frame[] {
    this.#node.flush();
    return parse(this.sink.chunks.splice(0));
  }
}

export const parse = (chunks: readonly Uint8Array[]): Frame[] =>
  Buffer.concat(chunks)
    .toString()
    .split('\n')
    .filter((text) => text !== '')
    .map((text) => JSON.parse(text) as Frame);

/** Sequences of publications, and snapshots as text: what most tests look at. */
export const brief = (frames: readonly Frame[]): (number | string)[] =>
  frames.map((frame) =>
    frame.kind === 'publication'
      ? frame.sequence
      : `${frame.resync ? 'resync' : 'snapshot'} ${frame.sequence}`,
  );
