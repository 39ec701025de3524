/** The streams that one connection holds: joined, paused while the proof behind them is expired, resumed, left. */
import type { Holding, Phrase } from '../dialects/dialect.ts';
import type { Channel } from '../streams/channel.ts';
import type { Encoder } from '../streams/encoder.ts';
import type { CutReason, Hub, Opened, Subscription } from '../streams/hub.ts';
import type { Outbox } from '../streams/outbox.ts';
import { type Position, type StreamId, streamId } from '../streams/publication.ts';

interface Held {
  readonly channel: Channel;
  readonly key: string;
  /** How the subscriber named it: what acks repeat. */
  readonly wantKey: string | null;
  /** Of the request that joined it, to answer once more should access to it be taken away. Private streams only. */
  readonly phrase: Phrase | null;
  /** Null while paused. */
  subscription: Subscription | null;
  /** The opening was sent: from then on the subscription's position is the reader's. */
  opened: boolean;
  /** The request that joined it has been seen to: whatever happens to the stream now, that request does not tell. */
  answered: boolean;
  /** Where the reader was before its present subscription, if it is to go on from there. */
  since: Position | undefined;
}

/** A stream that was joined and whose opening has not been sent. */
export interface OpeningStream {
  readonly key: string;
  /** Where it begins. Null if it was left or paused before that was known. Rejects if it cannot be read. */
  readonly ready: Promise<Opened | null>;
  /** `lost` = given up for good before its opening was sent; `paused` = it is taken up again by a later login. */
  readonly state: 'open' | 'paused' | 'lost';
  /**
   * Puts the opening into the outbox. Encoded here and not before: some encoders number frames as they make them.
   *
   * @returns how many frames that were
   */
  send(): number;
  /** Lets what was published meanwhile, and everything after it, flow. */
  start(): void;
}

const isPrivate = ({ channel }: Held): boolean => channel.audience !== 'public';

export class Holdings {
  readonly #held = new Map<StreamId, Held>();
  readonly #hub: Hub;
  readonly #outbox: Outbox;
  readonly #onCut: (reason: CutReason) => void;

  constructor(hub: Hub, outbox: Outbox, onCut: (reason: CutReason) => void) {
    this.#hub = hub;
    this.#outbox = outbox;
    this.#onCut = onCut;
  }

  get size(): number {
    return this.#held.size;
  }

  has(channel: Channel, key: string): boolean {
    return this.#held.has(streamId(channel.name, key));
  }

  /** How many streams of a channel are held. */
  count(channel: Channel): number {
    let count = 0;
    for (const held of this.#held.values()) if (held.channel === channel) count += 1;
    return count;
  }

  /**
   * Joins a stream that is not held yet, at once: no change of access comes between a decision and its effect.
   *
   * @throws Refusal `unavailable` if the hub is closed
   */
  join(
    channel: Channel,
    key: string,
    { key: wantKey, phrase }: { key: string | null; phrase: Phrase },
    encoder: Encoder,
    since: Position | undefined,
  ): OpeningStream {
    const own = channel.audience === 'public' ? { wantKey: key, phrase: null } : { wantKey, phrase };
    const held: Held = { channel, key, ...own, subscription: null, opened: false, answered: false, since };
    const stream = this.#attach(held, encoder);
    this.#held.set(streamId(channel.name, key), held);
    return stream;
  }

  leave(channel: Channel, key: string): void {
    const id = streamId(channel.name, key);
    const held = this.#held.get(id);
    this.#held.delete(id);
    held?.subscription?.leave();
    if (held !== undefined) held.subscription = null;
  }

  leaveAll(): void {
    for (const held of [...this.#held.values()]) this.leave(held.channel, held.key);
  }

  /**
   * Gives up, for good, every private stream that is not to be kept.
   *
   * @returns the phrases of the requests that had joined them, as far as these have been answered
   */
  leavePrivate(
    keep: (channel: Channel, wantKey: string | null, key: string) => boolean = () => false,
  ): ReadonlySet<Phrase> {
    const phrases = new Set<Phrase>();
    for (const held of [...this.#held.values()]) {
      if (!isPrivate(held) || keep(held.channel, held.wantKey, held.key)) continue;
      this.leave(held.channel, held.key);
      // One whose beginning was never sent is answered by whoever waits to send it.
      if (held.answered) phrases.add(held.phrase);
    }
    return phrases;
  }

  /**
   * Stops the private streams and remembers where the reader was.
   *
   * @returns false if there was none
   */
  pause(): boolean {
    let any = false;
    for (const held of [...this.#held.values()]) {
      const { subscription } = held;
      if (subscription === null || !isPrivate(held)) continue;
      any = true;
      if (held.opened) held.since = subscription.position;
      // What its reader never saw the beginning of cannot go on: whoever joined it is told.
      if (held.since === undefined) this.leave(held.channel, held.key);
      else {
        subscription.leave();
        held.subscription = null;
        held.answered = true;
      }
    }
    return any;
  }

  /** Joins again what was paused, from where it was. @throws Refusal `unavailable` */
  resume(encoder: Encoder): OpeningStream[] {
    const paused = [...this.#held.values()].filter(({ subscription }) => subscription === null);
    return paused.map((held) => this.#attach(held, encoder));
  }

  setEncoder(encoder: Encoder): void {
    for (const held of this.#held.values()) held.subscription?.setEncoder(encoder);
  }

  /** Every stream by channel, in the words the subscriber used. `user` is whose the private ones are. */
  list(user: number | null): Holding {
    const holding = new Map<string, { channel: Channel; keys: string[]; user: string | null }>();
    for (const held of this.#held.values()) {
      const { channel, wantKey } = held;
      const entry = holding.get(channel.name) ?? {
        channel,
        keys: [],
        user: isPrivate(held) && user !== null ? String(user) : null,
      };
      if (!entry.keys.includes(wantKey ?? '')) entry.keys.push(wantKey ?? '');
      holding.set(channel.name, entry);
    }
    return holding;
  }

  /** The stream keys of a channel that are held, or those that answer to a name the subscriber used. */
  keys(channel: Channel, wantKey: string | null): string[] {
    const keys: string[] = [];
    for (const held of this.#held.values()) {
      if (held.channel === channel && (wantKey === null || held.wantKey === wantKey)) keys.push(held.key);
    }
    return keys;
  }

  #attach(held: Held, encoder: Encoder): OpeningStream {
    const { since } = held;
    const subscription = this.#hub.join({
      channel: held.channel.name,
      key: held.key,
      encoder,
      outbox: this.#outbox,
      onCut: this.#onCut,
      ...(since === undefined ? {} : { since }),
    });
    held.subscription = subscription;
    held.opened = false;
    const open = () => held.subscription === subscription;
    const isHeld = () => this.#held.get(streamId(held.channel.name, held.key)) === held;
    const outbox = this.#outbox;
    return {
      key: held.key,
      ready: subscription.ready.catch((error: unknown) => {
        if (!open()) return null;
        throw error;
      }),
      get state() {
        return open() ? 'open' : isHeld() ? 'paused' : 'lost';
      },
      send() {
        const frames = subscription.opening;
        held.opened = true;
        held.answered = true;
        outbox.pushAll(frames);
        return frames.length;
      },
      start: () => subscription.start(),
    };
  }
}
