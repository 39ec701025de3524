/**
 * The broker of many gateways: Redis (or Valkey) numbers, keeps and delivers. Appending and delivering are one
 * script, so that what is heard is in the order of the sequences. Nothing here is the truth: when Redis loses
 * something, the epoch of its streams ends, and readers are given a new beginning.
 */
import { Refusal } from '@countersign/protocol';
import type { Clock } from '../operations/clock.ts';
import type { ChannelTable } from '../streams/channel.ts';
import type { Position, Publication, StreamId } from '../streams/publication.ts';
import type { Broker, Draft, History, PublishOptions, Receipt, Signal } from './broker.ts';
import { createAppender, type Encoded, nonce } from './redis/appender.ts';
import type { RedisConnection } from './redis/connection.ts';
import { partitionKeys, partitionOf } from './redis/keys.ts';
import { createKnownStreams } from './redis/known-streams.ts';
import { createReception } from './redis/reception.ts';
import { readScript } from './redis/scripts.ts';

export interface RedisBrokerOptions {
  /** Stays open when the broker closes. */
  connection: RedisConnection;
  clock: Clock;
  channels: ChannelTable;
  /** See `broker.partitions`: a batch is atomic within each. Default 1. */
  partitions?: number;
  /** Milliseconds without a publication after which a stream is forgotten. Default a week. */
  idleMs?: number;
  /** Most streams remembered in each partition; beyond it those longest without a publication are forgotten. Default 100,000. */
  streams?: number;
}

const HISTORY = readScript(
  import.meta.url,
  './redis/tenure.lua',
  './redis/partition.lua',
  './redis/history.lua',
);
const HEADS = readScript(import.meta.url, './redis/tenure.lua', './redis/partition.lua', './redis/heads.lua');
const TICK = readScript(import.meta.url, './redis/tenure.lua', './redis/partition.lua', './redis/tick.lua');

/** How often Redis is asked how far it is, and how long what it says may take to arrive. */
const TICK_MS = 1000;
const GRACE_MS = 250;
const HEADS_PER_CALL = 200;
const FORGOTTEN_PER_TICK = 1000;

/**
 * Subscribes, and then resolves. `publish`, `history`, `head` and `signal` reject with Refusal `unavailable` while
 * Redis is away, at once or after its time-out; everything goes on by itself when it is back.
 *
 * @throws Error in one line when the subscription cannot be opened
 */
export async function createRedisBroker(options: RedisBrokerOptions): Promise<Broker> {
  const { connection, clock, channels, partitions: count = 1, streams: most = 100_000 } = options;
  const { idleMs = 7 * 86_400_000 } = options;
  let deliver: ((publication: Publication) => void) | null = null;
  const hearers: ((signal: Signal) => void)[] = [];
  const gapListeners: (() => void)[] = [];
  let closed = false;
  let everConnected = false;

  const gap = (): void => {
    if (closed) return;
    for (const listener of gapListeners) listener();
    // Failing, it knows what it knew; whatever made it fail is followed by another gap.
    known.load().catch(() => {});
  };

  // Channels know no databases: without the number two gateways on two databases would hear each other.
  const channelOf = (name: string) => `${connection.prefix}${connection.database}:${name}`;
  const signals = channelOf('signal');
  const partitions = Array.from({ length: count }, (_, index) => {
    const keys = partitionKeys(index);
    const channel = channelOf(`{${index}}`);
    return {
      keys,
      channel,
      append: createAppender({ connection, keys, channel, idleMs }),
      reception: createReception((publication) => {
        known.add(publication.channel, publication.key);
        try {
          deliver?.(publication);
        } catch {
          // The port forbids it; the rest of the message is owed to its streams all the same.
        }
      }, gap),
      /** Asked for in this turn of the event loop, to be asked of Redis together. */
      heads: [] as {
        stream: StreamId;
        resolve: (head: Position) => void;
        reject: (error: unknown) => void;
      }[],
      /** Messages heard when it was last found behind; -1 when it was not. */
      behindAt: -1,
    };
  });
  const known = createKnownStreams(
    connection,
    partitions.map(({ keys }) => keys),
    channels,
  );
  type Partition = (typeof partitions)[number];
  const byChannel = new Map(partitions.map((partition) => [partition.channel, partition]));
  const home = (stream: StreamId): Partition => partitions[partitionOf(stream, count)]!;

  async function position({ keys }: Partition): Promise<{ epoch: string; position: number }> {
    const args = [nonce(), idleMs, most, FORGOTTEN_PER_TICK];
    const [epoch, at] = await connection.run<[string, string]>(TICK, [keys.meta, keys.idle], args);
    return { epoch, position: Number(at) };
  }

  /** Asks how far Redis is, gives that a moment to arrive, and then compares. */
  async function look(partition: Partition): Promise<void> {
    const { reception } = partition;
    const { epoch, position: at } = await position(partition);
    clock.after(GRACE_MS, () => {
      if (closed || !subscriber.connected) return;
      if (reception.expect(epoch, at)) {
        partition.behindAt = -1;
        return;
      }
      gap();
      // Twice behind and nothing heard in between: this subscription is one to a server that nobody publishes to.
      if (partition.behindAt === reception.heard) subscriber.reconnect('it hears nothing');
      partition.behindAt = reception.heard;
    });
  }

  const lookEverywhere = (): void => {
    if (!connection.available) return;
    for (const partition of partitions) look(partition).catch(() => {});
  };

  function hear(text: string): void {
    let signal: Signal;
    try {
      signal = JSON.parse(text) as Signal;
    } catch {
      return;
    }
    for (const hearer of hearers) {
      try {
        hearer(signal);
      } catch {
        // The port forbids it; the others are to hear it too.
      }
    }
  }

  const subscriber = await connection.subscribe(
    [signals, ...byChannel.keys()],
    (text, channel) => {
      if (closed) return;
      if (channel === signals) hear(text);
      else byChannel.get(channel)?.reception.take(text);
    },
    () => {
      for (const { reception } of partitions) reception.restart();
      // From now on everything arrives; what was missed before is found by comparing.
      if (everConnected) gap();
      everConnected = true;
    },
  );
  try {
    await known.load();
  } catch (error) {
    subscriber.close();
    throw error;
  }
  const stopLooking = clock.every(TICK_MS, lookEverywhere);
  const stopHearing = connection.onHealth((available) => available && lookEverywhere());

  /** Refuses a batch before anything of it is sent. */
  function encode(drafts: readonly Draft[]): Encoded[] {
    return drafts.map((draft) => {
      const channel = channels.get(draft.channel);
      if (channel === undefined) throw new Refusal('unknown_channel', 'published to an unknown channel');
      const stream: StreamId = `${draft.channel}/${draft.key}`;
      return { stream, capacity: channel.history, json: JSON.stringify(draft) };
    });
  }

  async function publish(
    drafts: readonly Draft[],
    { idempotencyKey }: PublishOptions = {},
  ): Promise<Receipt[]> {
    if (closed) throw new Refusal('unavailable', 'the broker is closed');
    const encoded = encode(drafts);
    const parts = new Map<Partition, number[]>();
    encoded.forEach(({ stream }, i) => {
      const partition = home(stream);
      const part = parts.get(partition);
      if (part === undefined) parts.set(partition, [i]);
      else part.push(i);
    });
    const receipts = new Array<Receipt>(drafts.length);
    const appends = [...parts].map(async ([{ append }, part]) => {
      const { duplicate, places } = await append(
        part.map((i) => encoded[i]!),
        idempotencyKey,
      );
      part.forEach((i, at) => {
        // A key that is used again for a longer batch: its first receipts are all there are.
        const [epoch, sequence] = places[at] ?? ['', 0];
        receipts[i] = { stream: encoded[i]!.stream, epoch, sequence, duplicate };
      });
    });
    await Promise.all(appends);
    return receipts;
  }

  function flushHeads(partition: Partition): void {
    const wanted = partition.heads.splice(0, HEADS_PER_CALL);
    if (partition.heads.length > 0) queueMicrotask(() => flushHeads(partition));
    const { keys } = partition;
    connection
      .run<string[]>(HEADS, [keys.meta, ...wanted.map(({ stream }) => keys.head(stream))], [nonce()])
      .then((answer) => {
        for (const [i, { resolve }] of wanted.entries()) {
          resolve({ epoch: answer[i * 2] ?? '', sequence: Number(answer[i * 2 + 1]) });
        }
      })
      .catch((error: unknown) => {
        for (const { reject } of wanted) reject(error);
      });
  }

  return {
    publish,

    async history(stream: StreamId, since: Position | null): Promise<History> {
      const { keys } = home(stream);
      const [complete, epoch, sequence, texts] = await connection.run<[number, string, string, string[]]>(
        HISTORY,
        [keys.meta, keys.head(stream), keys.history(stream)],
        [nonce(), since?.epoch ?? '', since?.sequence ?? 0],
      );
      const head = { epoch, sequence: Number(sequence) };
      const publications = JSON.parse(`[${texts.join(',')}]`) as Publication[];
      publications.forEach((publication, i) => {
        publication.epoch = epoch;
        publication.sequence = head.sequence - publications.length + 1 + i;
      });
      return complete === 1
        ? { complete: true, publications, head }
        : { complete: false, tail: publications, head };
    },

    head(stream: StreamId): Promise<Position> {
      const partition = home(stream);
      return new Promise((resolve, reject) => {
        partition.heads.push({ stream, resolve, reject });
        if (partition.heads.length === 1) queueMicrotask(() => flushHeads(partition));
      });
    },

    knows: known.has,

    onPublication(listener) {
      deliver = listener;
    },

    onGap(listener) {
      gapListeners.push(listener);
    },

    async signal(signal: Signal) {
      if (closed) return;
      await connection.publish(signals, JSON.stringify(signal));
    },

    onSignal(listener) {
      hearers.push(listener);
    },

    async close() {
      if (closed) return;
      closed = true;
      deliver = null;
      hearers.length = 0;
      gapListeners.length = 0;
      stopLooking();
      stopHearing();
      subscriber.close();
    },
  };
}
