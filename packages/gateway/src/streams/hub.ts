/** Where publications meet subscribers on this node. */
import { Refusal } from '@countersign/protocol';
import type { Awaitable, Broker, History } from '../broker/broker.ts';
import type { Clock } from '../operations/clock.ts';
import type { ChannelTable } from './channel.ts';
import type { Encoder, Snapshot } from './encoder.ts';
import type { Outbox } from './outbox.ts';
import { type Position, type Publication, streamId } from './publication.ts';
import { createRepair } from './repair.ts';
import { type Counters, type CutReason, Subscriber, type Subscription } from './subscription.ts';
import { createTopics, type Topic, type TopicLimits } from './topics.ts';

export type { CutReason, Opened, Subscription } from './subscription.ts';

export interface HubOptions {
  broker: Broker;
  channels: ChannelTable;
  clock: Clock;
  limits?: Partial<TopicLimits>;
}

export interface Join {
  channel: string;
  key: string;
  /** The last position that the reader has, if it wants to recover. */
  since?: Position;
  encoder: Encoder;
  outbox: Outbox;
  /** The hub has ended the subscription; it has left already. The caller tells the reader why. */
  onCut: (reason: CutReason) => void;
}

export type HubStats = Readonly<Counters> & { readonly streams: number; readonly subscriptions: number };

export interface Hub {
  /**
   * Registers at once: from now on publications are held for the subscription until it starts. What arrives
   * meanwhile is neither lost nor doubled nor out of order. A key that never had data gives an empty
   * snapshot at sequence 0; which keys exist, and who may read them, is not checked here.
   *
   * To send: wait for `ready`, for `outbox.whenClear` if it is not clear, `outbox.pushAll(opening)`, `start()`.
   *
   * @throws Refusal `unknown_channel`
   */
  join(join: Join): Subscription;
  /** The state of a stream now. Rejects with Refusal `unavailable` if the broker cannot be reached. */
  snapshot(channel: string, key: string): Awaitable<Snapshot>;
  /** True if anything was published to the stream in its present epoch, as far as this node or its broker knows. */
  has(channel: string, key: string): boolean;
  /**
   * Compares every stream that has subscribers with the broker and repairs what fell behind, and has the others loaded anew.
   * The hub does this itself whenever the broker reports a gap. Resolves to the number of streams that were
   * behind; rejects when the broker cannot be asked.
   */
  verify(): Promise<number>;
  stats(): HubStats;
  /** Ends every subscription without a word to anyone. Idempotent. */
  close(): void;
}

/** Publications that wait for one answer of the broker; beyond it the broker is asked once more instead. */
const MOST_PENDING = 10_000;
/** Pause before the broker is asked again for what it could not give. */
const RETRY_MS = 1000;
/** Streams compared with the broker at the same time. */
const COMPARED_AT_ONCE = 64;

/** Creates the hub of a node and makes it the broker's listener. Create it before anything is published. */
export function createHub({ broker, channels, clock, limits: given = {} }: HubOptions): Hub {
  const limits: TopicLimits = {
    streams: 100_000,
    held: 10_000,
    items: 10_000,
    tail: 50,
    levels: 100_000,
    ...given,
  };
  const counters: Counters = { published: 0, delivered: 0, conflated: 0, resynced: 0, cut: 0, faults: 0 };
  const topics = createTopics({ channels, clock, limits, counters });
  const retries = new Set<() => void>();
  let subscriptions = 0;
  let closed = false;

  function receive(publication: Publication): void {
    if (closed) return;
    counters.published++;
    const id = streamId(publication.channel, publication.key);
    let topic = topics.get(id);
    if (topic === undefined) {
      if (!channels.has(publication.channel)) return;
      topic = topics.open(publication.channel, publication.key);
    }
    topic.touched = true;
    if (topic.asking) wait(topic, publication);
    else take(topic, publication);
  }

  function take(topic: Topic, publication: Publication): void {
    const { stream, fanout } = topic;
    if (stream.loaded) {
      const place = stream.place(publication);
      if (place === 'seen') return;
      if (place === 'next') {
        advance(topic, publication);
        return;
      }
    }
    if (publication.sequence === 1) {
      // The first of an epoch: nothing can be missing before it, and nothing of the old epoch holds.
      const known = stream.loaded;
      stream.begin(publication.epoch);
      stream.apply(publication);
      if (known) fanout.resync();
      return;
    }
    wait(topic, publication);
    ask(topic);
  }

  function advance({ stream, fanout }: Topic, publication: Publication): void {
    const effect = stream.apply(publication);
    if (fanout.size === 0) return;
    if (effect === 'show') fanout.deliver(publication);
    else if (effect === 'resync') fanout.resync();
  }

  function wait(topic: Topic, publication: Publication): void {
    // Dropping leaves a hole, and a hole is asked for.
    if (topic.pending.length >= MOST_PENDING) topic.pending = [];
    topic.pending.push(publication);
  }

  function ask(topic: Topic): void {
    if (topic.asking) return;
    topic.asking = true;
    const { stream } = topic;
    let history: Awaitable<History>;
    try {
      history = broker.history(stream.id, stream.loaded ? stream.position : null);
    } catch (error) {
      unanswered(topic, error);
      return;
    }
    if (history instanceof Promise) {
      history.then(
        (value) => answered(topic, value),
        (error) => unanswered(topic, error),
      );
    } else {
      answered(topic, history);
    }
  }

  function answered(topic: Topic, history: History): void {
    if (closed) return;
    const { stream, fanout } = topic;
    topic.asking = false;
    const askAgain = topic.askAgain;
    topic.askAgain = false;
    if (stream.loaded && history.complete) {
      for (const publication of history.publications) {
        if (stream.place(publication) === 'next') advance(topic, publication);
      }
    } else {
      const known = stream.loaded;
      stream.load(history);
      if (known) fanout.resync();
    }
    const { pending } = topic;
    topic.pending = [];
    for (const publication of pending) {
      if (!topic.asking && publication.sequence !== 1 && stream.place(publication) === 'hole') {
        // Delivered but not in history yet: asking again at once could go round in circles.
        askLater(topic);
      }
      if (topic.asking) wait(topic, publication);
      else take(topic, publication);
    }
    for (const subscriber of fanout.all()) settle(topic, subscriber);
    for (const query of topic.queries.splice(0)) query.resolve(stream.snapshot());
    if (askAgain) ask(topic);
    if (!topic.asking && fanout.size === 0 && stream.sequence === 0) topics.delete(stream.id);
  }

  function unanswered(topic: Topic, cause: unknown): void {
    if (closed) return;
    const { stream, fanout } = topic;
    const reason = cause instanceof Error ? cause.message : 'unknown';
    const error = new Refusal('unavailable', `the broker gave no history: ${reason}`);
    for (const query of topic.queries.splice(0)) query.reject(error);
    for (const subscriber of fanout.all()) {
      if (subscriber.mode !== 'waiting') continue;
      // One that has seen more than this node: told so, and given what there is.
      if (stream.loaded) settle(topic, subscriber);
      else subscriber.fail(error);
    }
    if (fanout.size === 0) {
      // The next publication or join asks again.
      topics.delete(stream.id);
      return;
    }
    askLater(topic);
  }

  function askLater(topic: Topic): void {
    topic.asking = true;
    const cancel = clock.after(RETRY_MS, () => {
      retries.delete(cancel);
      topic.asking = false;
      ask(topic);
    });
    retries.add(cancel);
  }

  /**
   * The reader names a place that this node does not know, as one does that was on a node which hears sooner: given
   * the state here, it would be taken back, and see again what it has.
   */
  function beyond({ stream }: Topic, since: Position | undefined): boolean {
    return since !== undefined && (since.epoch !== stream.epoch || since.sequence > stream.sequence);
  }

  function settle({ stream }: Topic, subscriber: Subscriber): void {
    const { since } = subscriber;
    const missed = since && stream.since(since);
    if (missed) subscriber.settle(stream.position, missed, true);
    else subscriber.settle(stream.position, stream.snapshot(), since ? false : null);
  }

  async function catchUp(topic: Topic): Promise<boolean> {
    const { stream } = topic;
    const head = await broker.head(stream.id);
    const same = head.epoch === stream.epoch && head.sequence <= stream.sequence;
    if (closed || same || topic.asking || topics.get(stream.id) !== topic) return false;
    ask(topic);
    return true;
  }

  async function verify(): Promise<number> {
    const watched: Topic[] = [];
    for (const topic of topics.values()) {
      if (topic.asking) topic.askAgain = true;
      else if (topic.fanout.size > 0) watched.push(topic);
      // Nobody would notice that it is behind, until somebody is given its snapshot: loaded anew for them.
      else topic.stream.loaded = false;
    }
    let behind = 0;
    const compare = async (): Promise<void> => {
      for (let topic = watched.pop(); topic !== undefined && !closed; topic = watched.pop()) {
        if (await catchUp(topic)) behind++;
      }
    };
    await Promise.all(Array.from({ length: COMPARED_AT_ONCE }, compare));
    return behind;
  }

  const repair = createRepair(verify, clock, RETRY_MS);
  broker.onGap(repair.wanted);
  broker.onPublication((publication) => {
    try {
      receive(publication);
    } catch {
      counters.faults++;
    }
  });

  return {
    join({ channel, key, ...rest }) {
      if (closed) throw new Refusal('unavailable', 'the hub is closed');
      const topic = topics.open(channel, key);
      const subscriber = new Subscriber(topic.fanout, rest, () => subscriptions--);
      subscriptions++;
      topic.fanout.add(subscriber);
      if (!topic.stream.loaded || beyond(topic, rest.since)) ask(topic);
      // While a hole is being repaired, the position is still a true one, and what follows is delivered.
      if (topic.stream.loaded && !(topic.asking && beyond(topic, rest.since))) settle(topic, subscriber);
      return subscriber;
    },

    snapshot(channel, key) {
      const topic = topics.open(channel, key);
      if (!topic.stream.loaded) ask(topic);
      if (topic.stream.loaded) return topic.stream.snapshot();
      return new Promise((resolve, reject) => topic.queries.push({ resolve, reject }));
    },

    verify,

    has: (channel, key) =>
      (topics.get(streamId(channel, key))?.stream.sequence ?? 0) > 0 || broker.knows(channel, key),
    stats: () => ({ ...counters, streams: topics.size, subscriptions }),

    close() {
      if (closed) return;
      closed = true;
      for (const cancel of retries) cancel();
      retries.clear();
      repair.close();
      for (const topic of [...topics.values()]) {
        for (const subscriber of topic.fanout.all()) subscriber.leave();
        for (const query of topic.queries.splice(0))
          query.reject(new Refusal('unavailable', 'the hub is closed'));
      }
      topics.clear();
    },
  };
}
