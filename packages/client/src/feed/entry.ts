/**
 * One subscription on the wire: what the server is asked for once, however many subscribers it has here. It keeps the
 * trackers of its streams, says when it has to be asked for anew, and hands on what is right.
 */
import type { Clock } from '../clock.ts';
import type { CountersignError } from '../errors.ts';
import type { ChannelInfo } from './channel.ts';
import type { Frame } from './frame.ts';
import { Pace } from './pace.ts';
import type { Sink } from './sink.ts';
import { type Place, Tracker } from './tracker.ts';
import type { Position, ResyncReason } from './update.ts';

export interface EntryHost {
  readonly clock: Clock;
  readonly random: () => number;
  /** Something has to be asked of the server. */
  wake(): void;
  observe: EntryObserver;
}

export interface EntryObserver {
  gap(event: { channel: string; key: string; expected: number | null; received: number | null }): void;
  resync(event: { channel: string; key: string; reason: ResyncReason; recovered: boolean }): void;
  duplicate(): void;
}

/**
 * - `wanted`: the server has to be asked for it
 * - `asking`: it has been; answers and what comes before them are under way
 * - `live`: frames are taken as they come
 * - `ended`: nobody wants it any more, or the server refused it for good
 */
export type EntryStatus = 'wanted' | 'asking' | 'live' | 'ended';

/** Frames that may come before the answer that they belong to. */
const MOST_QUEUED = 20_000;
/** Milliseconds in which the rest of an opening has to come. */
const OPENING_PATIENCE = 3000;
/**
 * Times in a row that a recovery may get nowhere before a snapshot is asked for instead. Of a log that gives up entries
 * that the server may still have: it takes more than a few unlucky frames.
 */
const FRUITLESS = { latest: 3, book: 3, log: 8 } as const;
/** Times that an opening may come short before what came of it counts as all there is. */
const SHORTS = 6;

export class Entry {
  readonly channel: ChannelInfo;
  readonly key: string;
  /** Further members of the request, as the venue knows them. */
  readonly extra: Readonly<Record<string, unknown>>;
  readonly sinks = new Set<Sink>();
  status: EntryStatus = 'wanted';
  /** The server sends it, as far as is known. */
  held = false;
  /** Refusals for lack of a good credential in a row. */
  authFailures = 0;
  readonly #host: EntryHost;
  readonly #trackers = new Map<string, Tracker>();
  readonly #pace: Pace;
  #reason: ResyncReason | null = null;
  #queue: Frame[] | null = null;
  /** Openings in a row that did not come whole. */
  #shorts = 0;
  /** Frames of the connection were lost while the answer was under way. */
  #tainted = false;
  #cancelCheck: (() => void) | null = null;
  #announced = false;

  constructor(channel: ChannelInfo, key: string, extra: Readonly<Record<string, unknown>>, host: EntryHost) {
    this.channel = channel;
    this.key = key;
    this.extra = extra;
    this.#host = host;
    this.#pace = new Pace(host);
  }

  /** It has been live at some time: from then on trouble is for here to mend, and not the subscriber's error. */
  get announced(): boolean {
    return this.#announced;
  }

  /** Where its streams are, by account id ('' where there is only one); empty if they have to begin with a snapshot. */
  get since(): ReadonlyMap<string, Position> {
    const since = new Map<string, Position>();
    if (this.#pace.fruitless >= FRUITLESS[this.channel.kind]) return since;
    for (const [name, { position }] of this.#trackers) if (position !== null) since.set(name, position);
    return since;
  }

  due(now: number): boolean {
    return this.status === 'wanted' && this.#pace.due(now);
  }

  // ------------------------------------------------------------------------------------------ subscribers

  add(sink: Sink, since: ReadonlyMap<string, Position> | null): void {
    const first = this.sinks.size === 0;
    this.sinks.add(sink);
    if (first) {
      this.#trackers.clear();
      this.#reason = null;
      this.#announced = false;
      for (const [name, position] of since ?? []) this.#tracker(name).moveTo(position);
      if (since !== null && since.size > 0) this.#reason = 'resume';
      if (this.status !== 'asking') this.#want(0);
    } else if (this.status === 'live' || this.#announced) {
      // The wire gives one snapshot per subscription: whoever comes later needs it to begin anew.
      this.refresh('joined', null);
    }
  }

  /**
   * Asks for the streams anew.
   *
   * @param places by account id ('' where there is one stream): where to go on; null for a snapshot. Those that are
   *   not named go on where they are. Null: all of them with a snapshot
   */
  refresh(reason: ResyncReason, places: ReadonlyMap<string, Position | null> | null): void {
    if (places === null) this.#trackers.clear();
    for (const [name, position] of places ?? []) {
      if (position === null) this.#trackers.delete(name);
      else this.#tracker(name).moveTo(position);
    }
    this.#trouble(reason, 0);
  }

  fail(error: CountersignError): void {
    this.status = 'ended';
    this.#cancelTimers();
    for (const sink of [...this.sinks]) sink.failed(error);
    this.sinks.clear();
  }

  end(): void {
    this.status = 'ended';
    this.#cancelTimers();
  }

  // ------------------------------------------------------------------------------------------ the connection

  /** The connection is gone, and the server's side of the subscription with it. */
  offline(): void {
    this.held = false;
    this.#queue = null;
    this.#cancelTimers();
    if (this.status === 'ended') return;
    if (this.#announced && this.#reason !== 'slow') this.#reason = 'reconnect';
    const wasLive = this.status === 'live';
    this.status = 'wanted';
    this.#pace.now();
    if (wasLive) for (const sink of this.sinks) sink.stale('reconnect');
  }

  /** The server is asked: what comes before its answer waits for it. */
  asking(): void {
    this.status = 'asking';
    this.#queue = null;
    this.#tainted = false;
  }

  /** From here on frames can only belong to the new subscription. */
  collect(): void {
    this.#queue = [];
  }

  /** The server would not, this time. `retryAfter` in seconds. */
  postpone(retryAfter: number | undefined): void {
    this.#queue = null;
    this.#want(this.#pace.afterRefusal(retryAfter));
  }

  get refusals(): number {
    return this.#pace.refusals;
  }

  /**
   * The server answered.
   *
   * @param places where the streams begin, by account id; null: the server says nothing about positions
   * @param openingCame what opens the stream comes before the answer (coinbase), not after it
   */
  opened(places: ReadonlyMap<string, Place> | null, openingCame: boolean): void {
    const queue = this.#queue ?? [];
    const reason = this.#reason;
    this.#queue = null;
    this.#reason = null;
    this.#pace.accepted();
    this.authFailures = 0;
    this.status = 'live';
    this.held = true;
    this.#begin(places, reason);
    this.#announced = true;
    for (const frame of queue) {
      if (this.status !== 'live') return;
      this.receive(frame);
    }
    if (this.status !== 'live') return;
    if (this.#tainted) return this.lostFrames();
    if (openingCame && !this.#isComplete()) return this.#short();
    this.#await();
  }

  receive(frame: Frame): void {
    if (this.status === 'asking') {
      if (this.#queue === null) return;
      if (this.#queue.length < MOST_QUEUED) this.#queue.push(frame);
      return;
    }
    if (this.status !== 'live') return;
    const name = this.channel.perAccount ? accountOf(frame.key ?? '') : '';
    const tracker = this.#tracker(name);
    const expected = tracker.last === null ? null : tracker.last + 1;
    const verdict = this.channel.tracked ? tracker.judge(frame) : 'deliver';
    if (verdict === 'drop') return this.#host.observe.duplicate();
    if (verdict === 'gap') {
      this.#host.observe.gap({
        channel: this.channel.name,
        key: this.#shownKey(name),
        expected,
        received: frame.sequence,
      });
      return this.#trouble('gap');
    }
    if (verdict === 'replace') this.#tell(name, 'server', false);
    const { channel } = this;
    const key = this.#shownKey(name);
    const { sequence, time } = frame;
    const { epoch } = tracker;
    for (const { type, item, action, data } of frame.parts) {
      const update = { type, channel: channel.name, key, item, action, sequence, epoch, time, data };
      for (const sink of this.sinks) sink.deliver(update);
    }
    if (verdict === 'replace') this.#await();
    else if (this.#cancelCheck !== null && this.#isComplete()) this.#settled();
  }

  /** Frames of the connection were lost, and nobody knows whose. */
  lostFrames(): void {
    if (this.status === 'live' && this.channel.tracked) {
      this.#trackers.clear();
      this.#trouble('gap');
    } else if (this.status === 'asking') {
      this.#tainted = true;
    }
  }

  // ------------------------------------------------------------------------------------------ inside

  #begin(places: ReadonlyMap<string, Place> | null, reason: ResyncReason | null): void {
    if (places === null) {
      this.#trackers.clear();
      if (reason !== null) this.#tell('', reason, false);
      return;
    }
    for (const name of [...this.#trackers.keys()]) if (!places.has(name)) this.#trackers.delete(name);
    for (const [name, place] of places) {
      const known = this.#trackers.has(name);
      const joins = this.#tracker(name).begin(place);
      // A stream that nobody has read yet has nothing to join up with.
      if (reason !== null && (known || reason !== 'resume')) this.#tell(name, reason, joins);
    }
  }

  #tell(name: string, reason: ResyncReason, recovered: boolean): void {
    const { name: channel } = this.channel;
    const key = this.#shownKey(name);
    this.#host.observe.resync({ channel, key, reason, recovered });
    for (const sink of this.sinks) sink.deliver({ type: 'resync', channel, key, reason, recovered });
  }

  #shownKey(name: string): string {
    if (name === '') return this.key;
    return this.key === '' ? name : `${this.key}/${name}`;
  }

  #tracker(name: string): Tracker {
    let tracker = this.#trackers.get(name);
    if (tracker === undefined) {
      const { opensWithSnapshot, patchesFollowSnapshot, kind } = this.channel;
      tracker = new Tracker({ opensWithSnapshot, patchesFollowSnapshot, isLog: kind === 'log' });
      this.#trackers.set(name, tracker);
    }
    return tracker;
  }

  #isComplete(): boolean {
    for (const tracker of this.#trackers.values()) if (!tracker.complete) return false;
    return true;
  }

  /** Until the opening is whole, or should have been. */
  #await(): void {
    if (this.#isComplete()) return this.#settled();
    this.#cancelCheck?.();
    this.#cancelCheck = this.#host.clock.after(OPENING_PATIENCE, () => this.#checkOpening(), true);
  }

  #settled(): void {
    this.#cancelCheck?.();
    this.#cancelCheck = null;
    this.#pace.settled();
    this.#shorts = 0;
    for (const sink of this.sinks) sink.live();
  }

  #checkOpening(): void {
    this.#cancelCheck = null;
    if (this.status !== 'live') return;
    if (this.#isComplete()) this.#settled();
    else this.#short();
  }

  /** The opening did not come whole. Asked for often enough, the server has shown that this is all there is. */
  #short(): void {
    this.#shorts += 1;
    if (this.#shorts < SHORTS) return this.#trouble('incomplete');
    for (const tracker of this.#trackers.values()) tracker.settleForLess();
    this.#settled();
  }

  /** @param pause milliseconds; by default more with each trouble that follows another closely and gets nowhere */
  #trouble(reason: ResyncReason, pause?: number): void {
    this.#cancelCheck?.();
    this.#cancelCheck = null;
    let progress = 0;
    for (const { last } of this.#trackers.values()) progress += last ?? 0;
    this.#reason ??= reason;
    const wait = this.#pace.afterTrouble(progress, pause);
    const wasLive = this.status === 'live';
    if (this.status !== 'asking') this.#want(wait);
    if (wasLive) for (const sink of this.sinks) sink.stale(reason);
  }

  #want(wait: number): void {
    this.status = 'wanted';
    this.#pace.wait(wait);
  }

  #cancelTimers(): void {
    this.#cancelCheck?.();
    this.#cancelCheck = null;
    this.#pace.stop();
  }
}

/** Keys of account streams end with the account. */
const accountOf = (key: string): string => key.slice(key.lastIndexOf('/') + 1);
