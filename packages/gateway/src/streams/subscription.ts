/** One reader of one stream: from the moment it joins it is owed every publication, or a word that it is not. */
import { Refusal } from '@countersign/protocol';
import type { Channel } from './channel.ts';
import type { Encoder, Snapshot } from './encoder.ts';
import type { Outbox } from './outbox.ts';
import type { Position, Publication } from './publication.ts';

/**
 * Why a subscription was ended from this side. `slow`: the reader is too far behind on a stream that may not
 * skip. `gap`: publications were lost and the dialect has no frame to say so. `fault`: the encoder threw.
 */
export type CutReason = 'slow' | 'gap' | 'fault';

export interface Opened {
  /** Where the opening frames leave the reader. */
  position: Position;
  /** Null: it named no position. True: everything it missed is in the opening. False: the opening is a snapshot. */
  recovered: boolean | null;
}

export interface Subscription {
  readonly channel: Channel;
  readonly key: string;
  /** What the join came to, once known; at once whenever this node knows the stream. */
  readonly settled: Opened | null;
  /** The same for awaiting. Rejects with Refusal `unavailable` if the broker cannot be reached, or after leave. */
  readonly ready: Promise<Opened>;
  /**
   * Frames to send before `start`, by `outbox.pushAll`: a snapshot, or what was missed. Encoded on the first
   * read, after `ready`. What the encoder throws is thrown here.
   */
  readonly opening: readonly Uint8Array[];
  /** The last publication that was put into the outbox, the snapshot that was, or the opening. */
  readonly position: Position;
  /** Sends what was held since the join, then live publications. Once, after `ready`. */
  start(): void;
  /** Further publications, held ones too, are encoded by this one. */
  setEncoder(encoder: Encoder): void;
  /** Nothing more is sent for it. Idempotent. */
  leave(): void;
}

/** What a subscriber needs from the stream's side. */
export interface Host {
  readonly channel: Channel;
  readonly key: string;
  /** Most publications held for one reader that has not started, or items conflated for one that is behind. */
  readonly most: number;
  readonly counters: Counters;
  current(): Snapshot;
  frames(snapshot: Snapshot, encoder: Encoder, outbox: Outbox, resync: boolean): readonly Uint8Array[];
  regroup(subscriber: Subscriber, encoder: Encoder): void;
  remove(subscriber: Subscriber): void;
}

/** Totals since the hub was made. */
export interface Counters {
  published: number;
  /** Frames put into outboxes for publications. */
  delivered: number;
  /** Publications not sent because a newer one of the item was. */
  conflated: number;
  /** Snapshots sent in place of publications. */
  resynced: number;
  /** Subscriptions ended by the hub. */
  cut: number;
  /** Encoders and callbacks that threw. */
  faults: number;
}

export class Subscriber implements Subscription {
  readonly channel: Channel;
  readonly key: string;
  readonly outbox: Outbox;
  encoder: Encoder;
  /** Index in its group; the host's. */
  slot = 0;
  /** The newest sequence handed to `offer`; a publication is never taken twice. */
  seen = 0;
  /** `waiting` for the stream, `held` until start, `live`, `behind` until the outbox is clear, `gone`. */
  mode: 'waiting' | 'held' | 'live' | 'behind' | 'gone' = 'waiting';
  settled: Opened | null = null;
  readonly since: Position | undefined;

  readonly #host: Host;
  readonly #onCut: (reason: CutReason) => void;
  readonly #onLeave: () => void;
  #epoch = '';
  #sequence = 0;
  #source: Snapshot | readonly Publication[] = [];
  #opening: readonly Uint8Array[] | null = null;
  #held: Publication[] = [];
  /** By item, oldest first; null when only a snapshot can help. */
  #conflated: Map<string, Publication> | null = null;
  /** Set when held publications are not all that was missed. */
  #lost: 'no' | 'held too long' | 'replaced' = 'no';
  #promise: { resolve: (opened: Opened) => void; reject: (error: unknown) => void } | null = null;
  #ready: Promise<Opened> | null = null;

  constructor(
    host: Host,
    join: { since?: Position; encoder: Encoder; outbox: Outbox; onCut: (reason: CutReason) => void },
    onLeave: () => void,
  ) {
    this.#host = host;
    this.channel = host.channel;
    this.key = host.key;
    this.encoder = join.encoder;
    this.outbox = join.outbox;
    this.since = join.since;
    this.#onCut = join.onCut;
    this.#onLeave = onLeave;
  }

  get ready(): Promise<Opened> {
    if (this.settled !== null) return Promise.resolve(this.settled);
    if (this.mode === 'gone') return Promise.reject(left());
    if (this.#ready === null) {
      this.#ready = new Promise((resolve, reject) => {
        this.#promise = { resolve, reject };
      });
      // Whoever reads it sees the rejection; nobody has to.
      this.#ready.catch(() => {});
    }
    return this.#ready;
  }

  get position(): Position {
    return { epoch: this.#epoch, sequence: this.#sequence };
  }

  get opening(): readonly Uint8Array[] {
    if (this.#opening === null) {
      const source = this.#source;
      this.#opening = isList(source)
        ? this.#encodeAll(source)
        : this.#host.frames(source, this.encoder, this.outbox, false);
    }
    return this.#opening;
  }

  /** The stream is known: what the reader gets first, and from where it is owed publications. */
  settle(position: Position, source: Snapshot | readonly Publication[], recovered: boolean | null): void {
    if (this.mode !== 'waiting') return;
    this.mode = 'held';
    this.#moveTo(position);
    this.#source = source;
    this.settled = { position, recovered };
    this.#promise?.resolve(this.settled);
    this.#promise = null;
  }

  fail(error: unknown): void {
    this.leave(error);
  }

  start(): void {
    if (this.mode !== 'held') return;
    this.#opening ??= [];
    this.#source = [];
    const held = this.#held;
    this.#held = [];
    this.mode = 'live';
    if (this.#lost === 'held too long' && this.channel.kind === 'log') this.cut('slow');
    else if (this.#lost !== 'no') this.resync();
    else for (const publication of held) this.offer(publication);
  }

  /** Takes a publication in any mode but `waiting`. The host has made sure that it is new to this reader. */
  offer(publication: Publication): void {
    if (this.mode === 'held') this.#hold(publication);
    else if (this.mode === 'behind') this.#conflate(publication);
    else if (this.mode === 'live') {
      if (this.outbox.congested) this.#fallBehind(publication);
      else this.#send(publication);
    }
  }

  /** Puts a frame that the host has encoded into the outbox. */
  deliver(publication: Publication, frame: Uint8Array | null): void {
    this.#sequence = publication.sequence;
    if (frame === null) return;
    this.#host.counters.delivered++;
    this.outbox.push(frame);
  }

  /** Replaces what the reader has by the current state, as soon as the outbox can take it. */
  resync(): void {
    if (this.mode === 'held') {
      this.#held = [];
      this.#lost = 'replaced';
      return;
    }
    if (this.mode === 'waiting' || this.mode === 'gone') return;
    if (!this.outbox.clear) {
      this.#wait(null);
      return;
    }
    const snapshot = this.#host.current();
    let frames: readonly Uint8Array[];
    try {
      frames = this.#host.frames(snapshot, this.encoder, this.outbox, true);
    } catch {
      this.#host.counters.faults++;
      this.cut('fault');
      return;
    }
    if (frames.length === 0 && this.channel.kind === 'log') {
      this.cut('gap');
      return;
    }
    this.mode = 'live';
    this.#conflated = null;
    this.#moveTo(snapshot.position);
    this.#host.counters.resynced++;
    this.outbox.pushAll(frames);
  }

  cut(reason: CutReason): void {
    if (this.mode === 'gone') return;
    this.leave();
    this.#host.counters.cut++;
    try {
      this.#onCut(reason);
    } catch {
      this.#host.counters.faults++;
    }
  }

  setEncoder(encoder: Encoder): void {
    if (this.mode !== 'gone' && encoder !== this.encoder) this.#host.regroup(this, encoder);
    this.encoder = encoder;
  }

  /** @param error what whoever still waits for `ready` is told */
  leave(error?: unknown): void {
    if (this.mode === 'gone') return;
    this.mode = 'gone';
    this.#host.remove(this);
    this.#onLeave();
    this.#source = [];
    this.#held = [];
    this.#conflated = null;
    // Made only for somebody: errors are dear, and a revocation may end thousands of subscriptions.
    this.#promise?.reject(error ?? left());
    this.#promise = null;
  }

  #send(publication: Publication): void {
    let frame: Uint8Array | null;
    try {
      frame = this.encoder.publication(this.channel, publication);
    } catch {
      this.#host.counters.faults++;
      this.cut('fault');
      return;
    }
    this.deliver(publication, frame);
  }

  #hold(publication: Publication): void {
    if (this.#lost !== 'no') return;
    if (this.#held.length < this.#host.most) {
      this.#held.push(publication);
    } else {
      this.#held = [];
      this.#lost = 'held too long';
    }
  }

  #fallBehind(publication: Publication): void {
    if (this.channel.kind === 'log') {
      this.cut('slow');
    } else if (this.channel.kind === 'book') {
      this.#wait(null);
    } else {
      this.#wait(new Map([[publication.item ?? '', publication]]));
    }
  }

  #wait(conflated: Map<string, Publication> | null): void {
    const waiting = this.mode === 'behind';
    this.mode = 'behind';
    this.#conflated = conflated;
    if (!waiting) this.outbox.whenClear(() => this.#catchUp());
  }

  #conflate(publication: Publication): void {
    const items = this.#conflated;
    if (items === null) return;
    const item = publication.item ?? '';
    // Deleted first, so that the order of the map stays the order of sequences.
    if (items.delete(item)) this.#host.counters.conflated++;
    items.set(item, publication);
    if (items.size > this.#host.most) this.#conflated = null;
  }

  #catchUp(): void {
    if (this.mode !== 'behind') return;
    this.mode = 'live';
    const items = this.#conflated;
    if (items === null) {
      this.resync();
      return;
    }
    for (const [item, publication] of items) {
      if (this.outbox.congested) {
        this.#wait(items);
        return;
      }
      items.delete(item);
      this.#send(publication);
      // Sending may end the subscription, or the connection by overflow.
      if (this.mode !== 'live') return;
    }
    this.#conflated = null;
  }

  #encodeAll(publications: readonly Publication[]): Uint8Array[] {
    const frames: Uint8Array[] = [];
    for (const publication of publications) {
      const frame = this.encoder.publication(this.channel, publication);
      if (frame !== null) frames.push(frame);
    }
    return frames;
  }

  #moveTo({ epoch, sequence }: Position): void {
    this.#epoch = epoch;
    this.#sequence = sequence;
    this.seen = sequence;
  }
}

const isList = (source: Snapshot | readonly Publication[]): source is readonly Publication[] =>
  Array.isArray(source);

const left = (): Refusal => new Refusal('unavailable', 'the subscription was left before it was ready');
