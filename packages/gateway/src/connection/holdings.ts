/** The streams that one connection holds: joined, paused while the proof behind them is expired, resumed, left. */
import type { Holding } from '../dialects/dialect.ts';
import type { Authentication } from '../session/principal.ts';
import type { Channel } from '../streams/channel.ts';
import type { Encoder } from '../streams/encoder.ts';
import type { CutReason, Hub, Subscription } from '../streams/hub.ts';
import type { Outbox } from '../streams/outbox.ts';
import { type Position, type StreamId, streamId } from '../streams/publication.ts';

interface Held {
  readonly channel: Channel;
  readonly key: string;
  /** How the subscriber named it: what acks repeat. */
  readonly wantKey: string | null;
  /** Whose right it stands on; null for public streams. */
  by: Authentication | null;
  /** Null while paused. */
  subscription: Subscription | null;
  /** Where the reader was when it was paused. */
  pausedAt: Position | null;
}

export interface OpenedStream {
  key: string;
  position: Position;
  recovered: boolean | null;
  /** Frames that go out before anything newer. */
  opening: readonly Uint8Array[];
  /** Lets what was published meanwhile, and everything after it, flow. */
  start(): void;
}

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

  /** Joins a stream that is not held yet. The caller sends `opening` and then calls `start`. */
  async join(
    channel: Channel,
    key: string,
    wantKey: string | null,
    encoder: Encoder,
    by: Authentication | null,
    since: Position | undefined,
  ): Promise<OpenedStream> {
    const held: Held = { channel, key, wantKey, by, subscription: null, pausedAt: null };
    this.#held.set(streamId(channel.name, key), held);
    return this.#attach(held, encoder, since);
  }

  leave(channel: Channel, key: string): void {
    const id = streamId(channel.name, key);
    this.#held.get(id)?.subscription?.leave();
    this.#held.delete(id);
  }

  leaveAll(): void {
    for (const held of this.#held.values()) held.subscription?.leave();
    this.#held.clear();
  }

  /** Gives up every private stream for good. */
  leavePrivate(): void {
    for (const held of [...this.#held.values()]) if (held.by !== null) this.leave(held.channel, held.key);
  }

  /** Stops the private streams whose proof has run out, and remembers where the reader was. */
  pause(now: number): void {
    for (const held of this.#held.values()) {
      if (held.subscription === null || held.by?.expiresAt == null || held.by.expiresAt > now) continue;
      held.pausedAt = held.subscription.position;
      held.subscription.leave();
      held.subscription = null;
    }
  }

  /** Moves the private streams of a session onto its newer proof. */
  renew(by: Authentication): void {
    for (const held of this.#held.values()) if (held.by?.expiresAt != null) held.by = by;
  }

  /** Rejoins what was paused, from where it was. */
  async resume(encoder: Encoder): Promise<OpenedStream[]> {
    const opened: OpenedStream[] = [];
    for (const held of this.#held.values()) {
      if (held.pausedAt === null) continue;
      const since = held.pausedAt;
      held.pausedAt = null;
      opened.push(await this.#attach(held, encoder, since));
    }
    return opened;
  }

  setEncoder(encoder: Encoder): void {
    for (const held of this.#held.values()) held.subscription?.setEncoder(encoder);
  }

  /** Every stream by channel, in the words the subscriber used. */
  list(): Holding {
    const holding = new Map<string, { channel: Channel; keys: string[]; user: string | null }>();
    for (const { channel, wantKey, by } of this.#held.values()) {
      const entry = holding.get(channel.name) ?? { channel, keys: [], user: null };
      if (!entry.keys.includes(wantKey ?? '')) entry.keys.push(wantKey ?? '');
      if (by !== null) entry.user = String(by.principal.userId);
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

  async #attach(held: Held, encoder: Encoder, since: Position | undefined): Promise<OpenedStream> {
    const subscription = this.#hub.join({
      channel: held.channel.name,
      key: held.key,
      encoder,
      outbox: this.#outbox,
      onCut: this.#onCut,
      ...(since === undefined ? {} : { since }),
    });
    held.subscription = subscription;
    const { position, recovered } = await subscription.ready;
    return {
      key: held.key,
      position,
      recovered,
      opening: subscription.opening,
      start: () => subscription.start(),
    };
  }
}
