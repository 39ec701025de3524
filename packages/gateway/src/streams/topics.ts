/** The streams that this node keeps, and which of them go when there are too many. */
import { Refusal } from '@countersign/protocol';
import type { Clock } from '../operations/clock.ts';
import type { ChannelTable } from './channel.ts';
import type { Snapshot } from './encoder.ts';
import { Fanout } from './fanout.ts';
import { type Publication, type StreamId, streamId } from './publication.ts';
import { Stream, type StreamLimits } from './stream.ts';
import type { Counters } from './subscription.ts';

export interface TopicLimits extends StreamLimits {
  /** Most streams kept without a subscriber; beyond it idle ones are dropped and asked of the broker again. Default 100,000. */
  streams: number;
  /** Most publications held for one subscription that has not started, or items conflated. Default 10,000. */
  held: number;
}

/** A stream, who reads it, and what waits for an answer of the broker about it. */
export interface Topic {
  stream: Stream;
  fanout: Fanout;
  /** True while the broker is asked for what is missing; publications wait in `pending`. */
  asking: boolean;
  pending: Publication[];
  /** Queries for a snapshot that wait for the stream to be loaded. */
  queries: { resolve: (snapshot: Snapshot) => void; reject: (error: unknown) => void }[];
  /** Published to since the last look for idle streams. */
  touched: boolean;
  /** What is being asked was asked before a gap was known: it has to be asked again. */
  askAgain: boolean;
}

export interface Topics {
  readonly size: number;
  get(id: StreamId): Topic | undefined;
  /** The topic of a stream, made if there is none. @throws Refusal `unknown_channel` */
  open(channel: string, key: string): Topic;
  delete(id: StreamId): void;
  values(): Iterable<Topic>;
  clear(): void;
}

/** Streams looked at to find an idle one. */
const LOOKS = 64;

export function createTopics({
  channels,
  clock,
  limits,
  counters,
}: {
  channels: ChannelTable;
  clock: Pick<Clock, 'now'>;
  limits: TopicLimits;
  counters: Counters;
}): Topics {
  const topics = new Map<StreamId, Topic>();

  /** Second chance: streams in use, or published to since the last look, go to the end of the line. */
  function dropIdle(): void {
    let looks = LOOKS;
    for (const [id, topic] of topics) {
      if (looks-- === 0) return;
      topics.delete(id);
      if (topic.fanout.size === 0 && !topic.asking && !topic.touched) return;
      topic.touched = false;
      topics.set(id, topic);
    }
  }

  return {
    get size() {
      return topics.size;
    },
    get: (id) => topics.get(id),
    open(channelName, key) {
      const found = topics.get(streamId(channelName, key));
      if (found !== undefined) return found;
      const channel = channels.get(channelName);
      if (channel === undefined) throw new Refusal('unknown_channel', 'no such channel');
      if (topics.size >= limits.streams) dropIdle();
      const stream = new Stream(channel, key, limits, () => clock.now());
      const fanout = new Fanout(stream, limits.held, counters, () => {
        if (!topic.asking && stream.sequence === 0) topics.delete(stream.id);
        else stream.rest();
      });
      const topic: Topic = {
        stream,
        fanout,
        asking: false,
        pending: [],
        queries: [],
        touched: false,
        askAgain: false,
      };
      topics.set(stream.id, topic);
      return topic;
    },
    delete: (id) => void topics.delete(id),
    values: () => topics.values(),
    clear: () => topics.clear(),
  };
}
