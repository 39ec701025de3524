/** Carries out subscribe and unsubscribe: what is allowed, what is known, how much, and in which order it is said. */
import type { ErrorCode } from '@countersign/protocol';
import { decide, streamKeys } from '../access/gatekeeper.ts';
import type { Command, Conversation, Joined, Phrase, Want } from '../dialects/dialect.ts';
import type { Authentication, Principal } from '../session/principal.ts';
import type { Encoder } from '../streams/encoder.ts';
import type { Outbox } from '../streams/outbox.ts';
import type { Holdings, OpenedStream } from './holdings.ts';

export type Subscribe = Extract<Command, { kind: 'subscribe' }>;

/** What subscribing needs of the connection. */
export interface Host {
  readonly outbox: Outbox;
  readonly closed: boolean;
  readonly conversation: Conversation;
  /** Most streams that the connection may hold. */
  readonly most: number;
  /** True if the venue serves this public stream. */
  knows(channel: string, key: string): boolean;
  say(words: (conversation: Conversation) => string[]): void;
  refuse(phrase: Phrase, code: ErrorCode): void;
}

/** A stream that is wanted and not held yet. */
interface Fresh {
  want: Want;
  key: string;
}

export class Subscriptions {
  readonly #holdings: Holdings;
  readonly #host: Host;

  constructor(holdings: Holdings, host: Host) {
    this.#holdings = holdings;
    this.#host = host;
  }

  /**
   * Joins what is allowed and refuses the rest, want by want.
   *
   * @param mayHold true if a want that only lacks a login may wait for one
   * @returns the wants that should wait
   */
  async subscribe(command: Subscribe, by: Authentication | null, mayHold: boolean): Promise<Want[]> {
    const allowed: Want[] = [];
    const waiting: Want[] = [];
    for (const want of command.wants) {
      const verdict = decide(by?.principal ?? null, { do: 'join', channel: want.channel });
      if (verdict.allowed) allowed.push(want);
      else if (verdict.code === 'unauthorized' && mayHold) waiting.push(want);
      else this.#host.refuse(want.phrase, verdict.code ?? 'forbidden');
    }
    if (allowed.length > 0) await this.#join(allowed, command.phrase, by);
    return waiting;
  }

  unsubscribe(wants: readonly Want[], phrase: Phrase): void {
    for (const want of wants) {
      for (const key of this.#holdings.keys(want.channel, want.key)) this.#holdings.leave(want.channel, key);
    }
    this.#host.say((talk) => talk.unsubscribed(phrase, wants, this.#holdings.list()));
  }

  /** Takes up again what was paused, each stream from where it was. */
  async resume(encoder: Encoder): Promise<void> {
    for (const stream of await this.#holdings.resume(encoder)) await this.#begin(stream);
  }

  /** Leaves the streams that a principal may not read any more. */
  reconsider(principal: Principal): void {
    for (const { channel } of this.#holdings.list().values()) {
      if (decide(principal, { do: 'join', channel }).allowed) continue;
      for (const key of this.#holdings.keys(channel, null)) this.#holdings.leave(channel, key);
    }
  }

  async #join(wants: readonly Want[], phrase: Phrase, by: Authentication | null): Promise<void> {
    const fresh = this.#fresh(wants, by);
    const over = this.#overLimit(fresh);
    if (over !== null) return this.#host.refuse(phrase, over);
    const joined: Joined[] = wants.map((want) => ({ want, streams: [] }));
    const opened: OpenedStream[] = [];
    const { encoder, snapshotFirst } = this.#host.conversation;
    for (const { want, key } of fresh) {
      // One request may name a stream twice.
      if (this.#holdings.has(want.channel, key)) continue;
      const open = want.channel.audience === 'public';
      const stream = await this.#holdings.join(
        want.channel,
        key,
        open ? key : want.key,
        encoder,
        open ? null : by,
        want.since,
      );
      if (this.#host.closed) return;
      opened.push(stream);
      const place = wants.indexOf(want);
      joined[place] = { want, streams: [...(joined[place]?.streams ?? []), stream] };
    }
    const answer = () => this.#host.say((talk) => talk.subscribed(phrase, joined, this.#holdings.list()));
    // Coinbase: snapshots first, then one answer; ETHGas: an answer for each arg, then what it opened.
    if (!snapshotFirst) answer();
    for (const stream of opened) await this.#begin(stream, snapshotFirst);
    if (snapshotFirst) {
      answer();
      for (const stream of opened) stream.start();
    }
  }

  #fresh(wants: readonly Want[], by: Authentication | null): Fresh[] {
    const fresh: Fresh[] = [];
    for (const want of wants) {
      const open = want.channel.audience === 'public';
      for (const key of streamKeys(want.channel, want.key, by?.principal ?? null)) {
        if (open && !this.#host.knows(want.channel.name, key)) continue;
        if (!this.#holdings.has(want.channel, key)) fresh.push({ want, key });
      }
    }
    return fresh;
  }

  #overLimit(fresh: readonly Fresh[]): ErrorCode | null {
    if (this.#holdings.size + fresh.length > this.#host.most) return 'too_many_subscriptions';
    for (const { want } of fresh) {
      const most = want.channel.perConnection;
      if (most === undefined) continue;
      const added = fresh.filter((other) => other.want.channel === want.channel).length;
      if (this.#holdings.count(want.channel) + added > most) return 'too_many_subscriptions';
    }
    return null;
  }

  /** Sends what opens a stream as one unit once there is room for it, so that a large book cuts nobody off. */
  async #begin(stream: OpenedStream, hold = false): Promise<void> {
    const { outbox } = this.#host;
    if (!outbox.clear) await new Promise<void>((resolve) => outbox.whenClear(resolve));
    if (this.#host.closed) return;
    outbox.pushAll(stream.opening);
    if (!hold) stream.start();
  }
}
