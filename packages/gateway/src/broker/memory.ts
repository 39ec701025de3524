/** The broker of a gateway that is one process: sequences, history and signals in memory. */
import { randomBytes } from 'node:crypto';
import { Refusal } from '@countersign/protocol';
import type { Clock } from '../operations/clock.ts';
import type { ChannelTable } from '../streams/channel.ts';
import type { Position, Publication, StreamId } from '../streams/publication.ts';
import type { Broker, Draft, History, PublishOptions, Receipt, Signal } from './broker.ts';
import { IdempotencyKeys } from './idempotency-keys.ts';
import { Ring } from './ring.ts';

export interface MemoryBrokerOptions {
  clock: Clock;
  /** The channels that may be published to; each says how much history its streams keep. */
  channels: ChannelTable;
  /** Source of the epoch. Default: the system's. */
  random?: (bytes: number) => Uint8Array;
  /** Most streams remembered; beyond it those longest without a publication are forgotten. Default 100,000. */
  streams?: number;
  /** Most idempotency keys remembered; beyond it the oldest are forgotten early. Default 100,000. */
  idempotencyKeys?: number;
}

interface Log {
  epoch: string;
  sequence: number;
  history: Ring<Publication>;
}

/**
 * Creates an in-process broker. The epoch is new in every process, so no reader takes positions across a
 * restart. `history` and `head` answer synchronously. A listener that throws does not stop a publish.
 */
export function createMemoryBroker(options: MemoryBrokerOptions): Broker {
  const { clock, channels, random = randomBytes, streams: most = 100_000 } = options;
  const start = Buffer.from(random(8)).toString('hex');
  const keys = new IdempotencyKeys(clock, options.idempotencyKeys ?? 100_000);
  const half = Math.max(1, Math.floor(most / 2));

  // Two generations instead of an exact order of use: finding a busy stream stays one lookup. When the young
  // generation is full, the old one is forgotten and the young one becomes old.
  let young = new Map<StreamId, Log>();
  let old = new Map<StreamId, Log>();
  // Part of the epoch, so that a stream that comes back after being forgotten is seen to be another one.
  let generation = 0;
  let closed = false;

  let deliver: ((publication: Publication) => void) | null = null;
  const hearers: ((signal: Signal) => void)[] = [];
  const outgoing: Publication[] = [];
  let delivering = false;

  const epoch = () => `${start}.${generation}`;
  const find = (stream: StreamId) => young.get(stream) ?? old.get(stream);

  function open(stream: StreamId, history: number): Log {
    let log = young.get(stream);
    if (log !== undefined) return log;
    log = old.get(stream) ?? { epoch: epoch(), sequence: 0, history: new Ring(history) };
    if (young.size >= half) {
      // The log in hand leaves the old generation first: it is in use, whatever happens to the others.
      old.delete(stream);
      if (old.size > 0) generation++;
      old = young;
      young = new Map();
    }
    old.delete(stream);
    young.set(stream, log);
    return log;
  }

  function deliverAll(): void {
    if (delivering) return;
    delivering = true;
    try {
      for (let next = outgoing.shift(); next !== undefined; next = outgoing.shift()) {
        try {
          deliver?.(next);
        } catch {
          // The port forbids it; a broken listener must not make the publisher believe that nothing was published.
        }
      }
    } finally {
      delivering = false;
    }
  }

  function append(draft: Draft): Receipt {
    const stream: StreamId = `${draft.channel}/${draft.key}`;
    const log = open(stream, channels.get(draft.channel)?.history ?? 0);
    log.sequence++;
    const { channel, key, time, data, item, action, remove } = draft;
    // Member by member: several times faster than spreading, on the path of every publication.
    const publication: Publication = { epoch: log.epoch, sequence: log.sequence, channel, key, time, data };
    if (item !== undefined) publication.item = item;
    if (action !== undefined) publication.action = action;
    if (remove !== undefined) publication.remove = remove;
    log.history.push(publication);
    outgoing.push(publication);
    deliverAll();
    return { stream, epoch: log.epoch, sequence: publication.sequence, duplicate: false };
  }

  return {
    async publish(drafts: readonly Draft[], { idempotencyKey }: PublishOptions = {}) {
      if (closed) throw new Refusal('unavailable', 'the broker is closed');
      if (idempotencyKey !== undefined) {
        const first = keys.get(idempotencyKey);
        if (first !== undefined) return first.map((receipt) => ({ ...receipt, duplicate: true }));
      }
      for (const { channel } of drafts) {
        if (!channels.has(channel)) throw new Refusal('unknown_channel', 'published to an unknown channel');
      }
      const receipts = drafts.map(append);
      if (idempotencyKey !== undefined) keys.set(idempotencyKey, receipts);
      return receipts.map((receipt) => ({ ...receipt }));
    },

    history(stream: StreamId, since: Position | null): History {
      const log = find(stream);
      const head = log ? { epoch: log.epoch, sequence: log.sequence } : { epoch: epoch(), sequence: 0 };
      const from = since ?? { epoch: head.epoch, sequence: 0 };
      const missed = head.sequence - from.sequence;
      const kept = log?.history.length ?? 0;
      if (from.epoch !== head.epoch || missed < 0 || missed > kept) {
        return { complete: false, tail: log?.history.newest(kept) ?? [], head };
      }
      return { complete: true, publications: log?.history.newest(missed) ?? [], head };
    },

    head(stream: StreamId): Position {
      const log = find(stream);
      return log ? { epoch: log.epoch, sequence: log.sequence } : { epoch: epoch(), sequence: 0 };
    },

    knows: (channel, key) => find(`${channel}/${key}`) !== undefined,

    onPublication(listener) {
      deliver = listener;
    },

    onGap() {},

    async signal(signal: Signal) {
      if (closed) return;
      // Not within the caller's own work: over a network a signal would not arrive there either.
      await null;
      try {
        for (const hear of hearers) hear(signal);
      } catch {
        // A hint that could not be used is no reason to fail whoever gave it.
      }
    },

    onSignal(listener) {
      hearers.push(listener);
    },

    async close() {
      closed = true;
      deliver = null;
      hearers.length = 0;
      young.clear();
      old.clear();
      keys.clear();
    },
  };
}
