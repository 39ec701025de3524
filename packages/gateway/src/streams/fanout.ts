/** The readers of one stream, grouped so that each publication is encoded once for all who read the same form. */
import type { Channel } from './channel.ts';
import type { Encoder, Snapshot } from './encoder.ts';
import type { Outbox } from './outbox.ts';
import type { Publication } from './publication.ts';
import type { Stream } from './stream.ts';
import type { Counters, Host, Subscriber } from './subscription.ts';

/** Forms of one snapshot kept for the next reader: as many as dialects have forms, not one per connection. */
const KEPT_FORMS = 4;

interface Form {
  encoder: Encoder;
  outbox: Outbox;
  resync: boolean;
  frames: readonly Uint8Array[];
}

export class Fanout implements Host {
  readonly channel: Channel;
  readonly key: string;
  readonly most: number;
  readonly counters: Counters;
  readonly #stream: Stream;
  readonly #onEmpty: () => void;
  readonly #groups = new Map<Encoder, Subscriber[]>();
  #count = 0;
  #formsOf: Snapshot | null = null;
  #forms: Form[] = [];

  constructor(stream: Stream, most: number, counters: Counters, onEmpty: () => void) {
    this.#stream = stream;
    this.channel = stream.channel;
    this.key = stream.key;
    this.most = most;
    this.counters = counters;
    this.#onEmpty = onEmpty;
  }

  get size(): number {
    return this.#count;
  }

  add(subscriber: Subscriber): void {
    this.#count++;
    this.#enter(subscriber);
  }

  remove(subscriber: Subscriber): void {
    this.#quit(subscriber);
    this.#count--;
    if (this.#count > 0) return;
    this.#formsOf = null;
    this.#forms = [];
    this.#onEmpty();
  }

  regroup(subscriber: Subscriber, encoder: Encoder): void {
    this.#quit(subscriber);
    subscriber.encoder = encoder;
    this.#enter(subscriber);
  }

  /**
   * Hands a publication to every reader. Readers may leave, join or change groups meanwhile: from the end of
   * each group, so that the one moved into a gap is one already served, and `seen` tells whoever comes up twice.
   */
  deliver(publication: Publication): void {
    const { sequence } = publication;
    for (const [encoder, group] of this.#groups) {
      let frame: Uint8Array | null | undefined;
      for (let i = group.length - 1; i >= 0; i--) {
        const subscriber = group[i];
        if (subscriber === undefined || subscriber.seen >= sequence) continue;
        subscriber.seen = sequence;
        if (subscriber.mode !== 'live' || subscriber.outbox.congested) {
          subscriber.offer(publication);
          continue;
        }
        if (frame === undefined) {
          try {
            // Only now: an encoder that counts what it sends must not be asked for what nobody is sent.
            frame = encoder.publication(this.channel, publication);
          } catch {
            this.counters.faults++;
            subscriber.cut('fault');
            continue;
          }
        }
        subscriber.deliver(publication, frame);
      }
    }
  }

  /** Gives every reader the state in place of publications. */
  resync(): void {
    for (const subscriber of this.all()) subscriber.resync();
  }

  all(): Subscriber[] {
    return [...this.#groups.values()].flat();
  }

  current(): Snapshot {
    return this.#stream.snapshot();
  }

  /**
   * A snapshot's frames, kept for other readers of the same form: a thousand who come back together cost one
   * encoding. Never reused for the outbox that they were made for, since an encoder that numbers the frames
   * of its one connection must not number two alike.
   */
  frames(snapshot: Snapshot, encoder: Encoder, outbox: Outbox, resync: boolean): readonly Uint8Array[] {
    if (this.#formsOf !== snapshot) {
      this.#formsOf = snapshot;
      this.#forms = [];
    }
    const kept = this.#forms.find((form) => form.encoder === encoder && form.resync === resync);
    if (kept !== undefined && kept.outbox !== outbox) return kept.frames;
    const frames = encoder.snapshot(snapshot, resync);
    if (kept === undefined) {
      if (this.#forms.length === KEPT_FORMS) this.#forms.shift();
      this.#forms.push({ encoder, outbox, resync, frames });
    }
    return frames;
  }

  #enter(subscriber: Subscriber): void {
    const group = this.#groups.get(subscriber.encoder);
    if (group === undefined) {
      subscriber.slot = 0;
      this.#groups.set(subscriber.encoder, [subscriber]);
    } else {
      subscriber.slot = group.length;
      group.push(subscriber);
    }
  }

  #quit(subscriber: Subscriber): void {
    const group = this.#groups.get(subscriber.encoder);
    const last = group?.pop();
    if (group === undefined || last === undefined) return;
    if (last !== subscriber) {
      group[subscriber.slot] = last;
      last.slot = subscriber.slot;
    }
    if (group.length === 0) this.#groups.delete(subscriber.encoder);
  }
}
