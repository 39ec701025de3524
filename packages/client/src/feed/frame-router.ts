/** Brings the frames of one connection to the subscriptions that they belong to, and counts them where the server does. */
import type { FeedDialect } from './dialect.ts';
import type { Entry, EntryObserver } from './entry.ts';
import type { Frame } from './frame.ts';

/** Where subscriptions are found. */
export interface Entries {
  readonly entries: Iterable<Entry>;
  get(channel: string, key: string): Entry | undefined;
}

export class FrameRouter {
  readonly #dialect: FeedDialect;
  readonly #held: Entries;
  readonly #observe: EntryObserver;
  /** Next number of the connection; null where the server numbers none, and before its first. */
  #next: number | null = null;

  constructor(dialect: FeedDialect, held: Entries, observe: EntryObserver) {
    this.#dialect = dialect;
    this.#held = held;
    this.#observe = observe;
  }

  /** A new connection, with numbers of its own. */
  begin(): void {
    this.#next = null;
  }

  take(frames: readonly Frame[], count: number | null): void {
    if (this.count(count)) for (const frame of frames) this.#route(frame);
  }

  /** @returns false for a frame that was numbered before one that has come already */
  count(count: number | null): boolean {
    if (count === null) return true;
    const expected = this.#next;
    if (expected !== null && count < expected) {
      this.#observe.duplicate();
      return false;
    }
    this.#next = count + 1;
    if (expected !== null && count > expected) {
      this.#observe.gap({ channel: '', key: '', expected, received: count });
      for (const entry of this.#held.entries) entry.lostFrames();
    }
    return true;
  }

  #route(frame: Frame): void {
    const info = this.#dialect.channels.get(frame.channel);
    const named = frame.key ?? this.#dialect.guessKey(frame);
    if (info === undefined || named === null) return this.#routeBlind(frame);
    const key = info.perAccount ? named.slice(0, Math.max(0, named.lastIndexOf('/'))) : named;
    this.#held.get(frame.channel, key)?.receive(frame);
  }

  /** Nothing in the frame says which stream it is: if only one can be meant, that one. */
  #routeBlind(frame: Frame): void {
    let only: Entry | null = null;
    for (const entry of this.#held.entries) {
      if (entry.channel.name !== frame.channel) continue;
      if (only !== null) return;
      only = entry;
    }
    only?.receive(frame);
  }
}
