/**
 * Proof that a stream works from end to end on this node: something is published and must come out of the hub
 * at a reader. On a channel of our own, which no dialect has and no client can name.
 */
import type { Broker } from '../broker/broker.ts';
import type { Clock } from '../operations/clock.ts';
import type { Channel } from './channel.ts';
import type { Encoder } from './encoder.ts';
import type { Hub } from './hub.ts';
import type { Outbox } from './outbox.ts';

/** Belongs in the tables of the broker and the hub, and in no other. */
export const PROBE_CHANNEL: Channel = {
  name: 'countersign.probe',
  kind: 'log',
  audience: 'public',
  permission: null,
  keyedBy: 'nothing',
  history: 1,
};

export interface StreamProbeOptions {
  hub: Pick<Hub, 'join'>;
  broker: Pick<Broker, 'publish'>;
  clock: Clock;
  /** Tells this node's probe from those of others on the same broker. */
  node: string;
  /** Milliseconds after which a publication counts as lost. Default 2000. */
  patienceMs?: number;
}

const encoder: Encoder = {
  publication: (_channel, { data }) => Buffer.from(String(data.mark)),
  snapshot: () => [],
};

/** A reader that takes everything at once. */
const reader = (take: (frame: Uint8Array) => void): Outbox => ({
  push: take,
  pushAll() {},
  queuedBytes: 0,
  congested: false,
  clear: true,
  whenClear: (callback) => callback(),
  flush() {},
  close() {},
});

/**
 * @returns a check that resolves to the milliseconds from publishing to reading; rejects when nothing came in
 *   time, or when the hub or the broker refuses
 */
export function createStreamProbe(options: StreamProbeOptions): () => Promise<number> {
  const { hub, broker, clock, node, patienceMs = 2000 } = options;
  let marks = 0;

  return async () => {
    marks += 1;
    const mark = `${node}/${marks}`;
    let arrived = (_at: number): void => {};
    let lost = (_error: Error): void => {};
    const arrival = new Promise<number>((resolve, reject) => {
      arrived = resolve;
      lost = reject;
    });
    // Awaited below; if the work before that fails, nobody would hear the rejection.
    arrival.catch(() => {});
    const cancel = clock.after(patienceMs, () => lost(new Error('nothing came out of the stream')));
    const subscription = hub.join({
      channel: PROBE_CHANNEL.name,
      key: node,
      encoder,
      outbox: reader((frame) => {
        if (Buffer.from(frame).toString() === mark) arrived(clock.monotonic());
      }),
      onCut: () => lost(new Error('the reader was cut')),
    });
    try {
      await Promise.race([subscription.ready, arrival]);
      subscription.start();
      const started = clock.monotonic();
      const time = clock.now();
      await Promise.race([
        broker.publish([{ channel: PROBE_CHANNEL.name, key: node, time, data: { mark } }]),
        arrival,
      ]);
      return (await arrival) - started;
    } finally {
      cancel();
      subscription.leave();
    }
  };
}
