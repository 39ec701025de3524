/** Carries out subscribe and unsubscribe: what is allowed, what is known, how much, and in which order it is said. */
import type { ErrorCode } from '@countersign/protocol';
import { decide, streamKeys } from '../access/gatekeeper.ts';
import type { Command, Joined, Phrase, Want } from '../dialects/dialect.ts';
import type { Principal } from '../session/principal.ts';
import type { Encoder } from '../streams/encoder.ts';
import type { Position } from '../streams/publication.ts';
import type { Holdings, OpeningStream } from './holdings.ts';
import type { Host } from './host.ts';

export type Subscribe = Extract<Command, { kind: 'subscribe' }>;

/** What decides about streams besides the principal who asks. */
export interface Terms {
  /** True if the venue serves this public stream. */
  knows(channel: string, key: string): boolean;
  /** Most streams that the connection may hold. */
  most(): number;
  /** Whose the private streams are. */
  userId(): number | null;
  /** What is said to whoever needs a principal where there is none. */
  missing(): ErrorCode;
}

/** A stream that is wanted and not held yet. */
interface Fresh {
  want: Want;
  key: string;
}

interface Opening extends Fresh {
  stream: OpeningStream;
}

export class Subscriptions {
  readonly #holdings: Holdings;
  readonly #host: Host;
  readonly #terms: Terms;

  constructor(holdings: Holdings, host: Host, terms: Terms) {
    this.#holdings = holdings;
    this.#host = host;
    this.#terms = terms;
  }

  /**
   * Joins what is allowed and refuses the rest, want by want. Nothing comes between the decision and the
   * joining; what happens to access later finds the streams among the holdings.
   *
   * @param hold takes such a want; false if no more may wait
   */
  async subscribe(
    command: Subscribe,
    by: Principal | null,
    hold: ((want: Want) => boolean) | null,
  ): Promise<void> {
    const allowed: Want[] = [];
    for (const want of command.wants) {
      const { allowed: may, code } = decide(by, { do: 'join', channel: want.channel });
      if (may) allowed.push(want);
      else if (code !== 'unauthorized') this.#host.refuse(want.phrase, code ?? 'forbidden');
      else if (hold === null) this.#host.refuse(want.phrase, this.#terms.missing());
      else if (!hold(want)) this.#host.refuse(want.phrase, 'too_many_subscriptions');
    }
    if (allowed.length > 0) await this.#join(allowed, command.phrase, by);
  }

  unsubscribe(wants: readonly Want[], phrase: Phrase): void {
    for (const want of wants) {
      for (const key of this.#holdings.keys(want.channel, want.key)) this.#holdings.leave(want.channel, key);
    }
    this.#host.say((talk) => talk.unsubscribed(phrase, wants, this.#holdings.list(this.#terms.userId())));
  }

  /** Takes up again what was paused, each stream from where it was. */
  async resume(encoder: Encoder, go: () => boolean = () => true): Promise<void> {
    const streams = this.#holdings.resume(encoder);
    const opened = await Promise.all(streams.map(({ ready }) => ready));
    if (!go()) return;
    for (const [index, stream] of streams.entries()) {
      await this.#begin(stream, opened[index]?.recovered === false ? 'told apart' : 'start');
    }
  }

  /** Leaves the streams that a principal may not read any more, and says so. */
  reconsider(principal: Principal): void {
    const ended = this.#holdings.leavePrivate(
      (channel, wantKey, key) =>
        decide(principal, { do: 'join', channel }).allowed &&
        streamKeys(channel, wantKey, principal).includes(key),
    );
    for (const phrase of ended) this.#host.refuse(phrase, 'forbidden');
  }

  async #join(wants: readonly Want[], phrase: Phrase, by: Principal | null): Promise<void> {
    const fresh = this.#fresh(wants, by);
    const over = this.#overLimit(fresh);
    if (over !== null) return this.#host.refuse(phrase, over);
    const { encoder, snapshotFirst } = this.#host.conversation;
    const openings = this.#open(fresh, encoder);
    const places = await this.#places(wants, openings);
    if (this.#host.closed) return;
    // Access may have ended while the broker was asked, or while the reader was behind.
    const lost = new Set<Want>();
    const note = ({ stream, want }: Opening) => stream.state === 'lost' && lost.add(want);
    openings.forEach(note);
    const joined = places.filter(({ want }) => !lost.has(want));
    const answer = () =>
      this.#host.say((talk) => talk.subscribed(phrase, joined, this.#holdings.list(this.#terms.userId())));
    // Coinbase: snapshots first, then one answer; ETHGas: an answer for each arg, then what it opened.
    if (!snapshotFirst) answer();
    for (const opening of openings) {
      await this.#begin(opening.stream, snapshotFirst ? 'hold' : 'start');
      note(opening);
    }
    if (snapshotFirst) {
      answer();
      for (const { stream } of openings) stream.start();
    }
    // A want is held whole or not at all: its one answer covers the streams of all accounts.
    for (const { want, key } of openings) if (lost.has(want)) this.#holdings.leave(want.channel, key);
    for (const { phrase: own } of lost) this.#host.refuse(own, this.#terms.missing());
  }

  #open(fresh: readonly Fresh[], encoder: Encoder): Opening[] {
    const openings: Opening[] = [];
    for (const { want, key } of fresh) {
      const since = want.since ?? accountSince(want, key);
      openings.push({ want, key, stream: this.#holdings.join(want.channel, key, want, encoder, since) });
    }
    return openings;
  }

  /** What became of each want, once that is known. If one stream cannot be read, none of the request is held. */
  async #places(wants: readonly Want[], openings: readonly Opening[]): Promise<Joined[]> {
    try {
      const ready = await Promise.all(openings.map(({ stream }) => stream.ready));
      return wants.map((want) => ({
        want,
        streams: openings.flatMap((opening, index) => {
          const place = ready[index];
          return opening.want === want && place ? [{ key: opening.key, ...place }] : [];
        }),
      }));
    } catch (error) {
      for (const { want, key } of openings) this.#holdings.leave(want.channel, key);
      throw error;
    }
  }

  #fresh(wants: readonly Want[], by: Principal | null): Fresh[] {
    const fresh = new Map<string, Fresh>();
    for (const want of wants) {
      const open = want.channel.audience === 'public';
      for (const key of streamKeys(want.channel, want.key, by)) {
        if (open && !this.#terms.knows(want.channel.name, key)) continue;
        // One request may name a stream twice.
        const id = `${want.channel.name}/${key}`;
        if (!this.#holdings.has(want.channel, key) && !fresh.has(id)) fresh.set(id, { want, key });
      }
    }
    return [...fresh.values()];
  }

  #overLimit(fresh: readonly Fresh[]): ErrorCode | null {
    if (this.#holdings.size + fresh.length > this.#terms.most()) return 'too_many_subscriptions';
    for (const { channel } of new Set(fresh.map(({ want }) => want))) {
      if (channel.perConnection === undefined) continue;
      const added = fresh.filter(({ want }) => want.channel === channel).length;
      if (this.#holdings.count(channel) + added > channel.perConnection) return 'too_many_subscriptions';
    }
    return null;
  }

  /**
   * Sends what opens a stream as one unit once there is room for it, so that a large book cuts nobody off. In
   * the very turn in which there is room: a moment later there may be none, or no right to it.
   *
   * @param then `hold` = it is started later; `told apart` = the reader has to see that what follows does not join
   *   up with what it has: a snapshot says so by itself, and where there is none the connection is cut
   */
  #begin(stream: OpeningStream, then: 'start' | 'hold' | 'told apart'): Promise<void> {
    return new Promise((resolve) => {
      this.#host.outbox.whenClear(() => {
        resolve();
        if (this.#host.closed || stream.state !== 'open') return;
        try {
          const sent = stream.send();
          if (then === 'told apart' && sent === 0) this.#host.cut('gap');
          else if (then !== 'hold') stream.start();
        } catch {
          this.#host.cut('fault');
        }
      });
    });
  }
}

/** The place in an account's stream: its key ends with the account. */
const accountSince = (want: Want, key: string): Position | undefined =>
  want.accountsSince?.get(key.slice(key.lastIndexOf('/') + 1));
