/**
 * Brings what a connection holds in line with what is wanted: asks for what is missing, gives back what nobody wants,
 * one request at a time for each subscription, and again after every connection.
 */
import type { Clock } from '../clock.ts';
import { ConnectionError, CountersignError } from '../errors.ts';
import type { Entry } from './entry.ts';
import type { Place } from './tracker.ts';

/** What the server made of one subscription. */
export type Joined =
  | { readonly places: ReadonlyMap<string, Place> | null }
  /** It is not among what the connection holds now. */
  | { readonly missing: CountersignError };

export interface Wire {
  /** All of one channel. @throws CountersignError the request was refused, or nobody answered */
  subscribe(entries: readonly Entry[]): Promise<(entry: Entry) => Joined>;
  /** Resolves when the server does not hold them any more. @throws CountersignError */
  unsubscribe(entries: readonly Entry[]): Promise<void>;
  /** The server does not answer: make a new connection. */
  giveUp(): void;
  /** The server did not take what was shown. @returns true if it is worth asking again with a fresh credential */
  refusedCredential(entry: Entry): boolean;
}

export interface ReconcilerOptions {
  clock: Clock;
  wire: Wire;
  /** Requests that may be under way at once. */
  concurrency: number;
  /** Most subscriptions in one request. */
  batch: number;
  /** What opens a stream comes before the answer. */
  openingFirst: boolean;
}

/** Refusals that say "later", for a subscription that never was: then its subscriber is told. */
const PATIENCE = 6;

export class Reconciler {
  readonly #options: ReconcilerOptions;
  readonly #entries = new Map<string, Entry>();
  /** Those who wait for an entry to be given back. */
  readonly #leaving = new Map<Entry, (() => void)[]>();
  readonly #busy = new Set<Entry>();
  #online = false;
  #mayPrivate = false;
  #generation = 0;
  #jobs = 0;
  #awake = false;

  constructor(options: ReconcilerOptions) {
    this.#options = options;
  }

  get entries(): Iterable<Entry> {
    return this.#entries.values();
  }

  get size(): number {
    return this.#entries.size;
  }

  get(channel: string, key: string): Entry | undefined {
    return this.#entries.get(idOf(channel, key));
  }

  put(entry: Entry): void {
    this.#entries.set(idOf(entry.channel.name, entry.key), entry);
    this.wake();
  }

  /** Nobody wants the entry any more. Resolves when the server has given it up, or cannot send it any more. */
  release(entry: Entry): Promise<void> {
    if (!entry.held && !this.#busy.has(entry)) {
      this.#forget(entry);
      return Promise.resolve();
    }
    return new Promise((resolve) => {
      this.#leaving.set(entry, [...(this.#leaving.get(entry) ?? []), resolve]);
      this.wake();
    });
  }

  online(): void {
    this.#online = true;
    this.wake();
  }

  /** Private streams may (not) be asked for. */
  set mayPrivate(may: boolean) {
    this.#mayPrivate = may;
    if (may) this.wake();
  }

  offline(): void {
    this.#online = false;
    this.#mayPrivate = false;
    this.#generation += 1;
    this.#busy.clear();
    this.#jobs = 0;
    for (const entry of [...this.#entries.values()]) {
      entry.offline();
      if (entry.sinks.size === 0) this.#forget(entry);
    }
  }

  /** Ends every subscription, or those that `which` picks. */
  fail(error: CountersignError, which: (entry: Entry) => boolean = () => true): void {
    for (const entry of [...this.#entries.values()]) {
      if (!which(entry)) continue;
      entry.fail(error);
      if (entry.held || this.#busy.has(entry)) this.wake();
      else this.#forget(entry);
    }
  }

  /** Looks in a moment what there is to do: several wishes of one turn become one request. */
  wake(): void {
    if (this.#awake) return;
    this.#awake = true;
    queueMicrotask(() => {
      this.#awake = false;
      this.#pump();
    });
  }

  #pump(): void {
    const { concurrency } = this.#options;
    while (this.#online && this.#jobs < concurrency) {
      const entries = this.#next();
      if (entries.length === 0) return;
      this.#jobs += 1;
      for (const entry of entries) this.#busy.add(entry);
      const generation = this.#generation;
      this.#carryOut(entries, generation).finally(() => {
        if (generation !== this.#generation) return;
        this.#jobs -= 1;
        for (const entry of entries) this.#busy.delete(entry);
        this.wake();
      });
    }
  }

  /** A few subscriptions of one channel for which the same is to be done. Giving back comes first: it makes room. */
  #next(): Entry[] {
    const { batch, clock } = this.#options;
    const now = clock.monotonic();
    const chosen: Entry[] = [];
    let unwanted = false;
    for (const entry of this.#entries.values()) {
      if (entry.sinks.size > 0 || this.#busy.has(entry)) continue;
      if (!entry.held) this.#forget(entry);
      else if (entry.status === 'wanted' && !entry.due(now)) continue;
      else if (chosen.length === 0 || chosen[0]?.channel === entry.channel) {
        unwanted = true;
        chosen.push(entry);
        if (chosen.length === batch) break;
      }
    }
    if (unwanted) return chosen;
    for (const entry of this.#entries.values()) {
      if (this.#busy.has(entry) || !entry.due(now)) continue;
      if (entry.channel.private && !this.#mayPrivate) continue;
      if (chosen.length > 0 && (chosen[0]?.channel !== entry.channel || chosen[0].held !== entry.held))
        continue;
      chosen.push(entry);
      if (chosen.length === batch) break;
    }
    return chosen;
  }

  async #carryOut(entries: readonly Entry[], generation: number): Promise<void> {
    const { wire, openingFirst } = this.#options;
    const current = () => generation === this.#generation;
    const wanted = entries.filter(({ sinks }) => sinks.size > 0);
    for (const entry of wanted) entry.asking();
    try {
      const held = entries.filter((entry) => entry.held);
      if (held.length > 0) {
        await wire.unsubscribe(held);
        if (!current()) return;
        for (const entry of held) entry.held = false;
      }
      for (const entry of entries) if (entry.sinks.size === 0) this.#forget(entry);
      const asked = wanted.filter(({ sinks }) => sinks.size > 0);
      if (asked.length === 0) return;
      for (const entry of asked) entry.collect();
      const joined = await wire.subscribe(asked);
      if (!current()) return;
      for (const entry of asked) {
        const result = joined(entry);
        if ('places' in result) entry.opened(result.places, openingFirst);
        else this.#fail(entry, result.missing);
      }
    } catch (error) {
      if (current()) this.#refused(entries, asError(error));
    }
  }

  #refused(entries: readonly Entry[], error: CountersignError): void {
    const { wire } = this.#options;
    if (error.code === 'timeout') {
      // The first answer is owed to the subscriber; later ones are ours to get.
      for (const entry of entries) if (!entry.announced && entry.sinks.size > 0) this.#fail(entry, error);
      wire.giveUp();
      return;
    }
    for (const entry of entries) {
      if (entry.sinks.size === 0) {
        // A server that would not take a subscription back still sends it: asked again in a while.
        if (entry.held) entry.postpone(error.retryAfter);
        continue;
      }
      if (error.code === 'unauthorized') {
        entry.authFailures += 1;
        if (entry.authFailures < 2 && wire.refusedCredential(entry)) entry.postpone(undefined);
        else this.#fail(entry, error);
      } else if (error.remedy === 'retry' && (entry.announced || entry.refusals < PATIENCE)) {
        entry.postpone(error.retryAfter);
      } else {
        this.#fail(entry, error);
      }
    }
  }

  #fail(entry: Entry, error: CountersignError): void {
    entry.fail(error);
    if (!entry.held) this.#forget(entry);
  }

  #forget(entry: Entry): void {
    const id = idOf(entry.channel.name, entry.key);
    if (this.#entries.get(id) === entry) this.#entries.delete(id);
    entry.end();
    for (const resolve of this.#leaving.get(entry) ?? []) resolve();
    this.#leaving.delete(entry);
  }
}

const idOf = (channel: string, key: string): string => `${channel}\n${key}`;

const asError = (error: unknown): CountersignError =>
  error instanceof CountersignError
    ? error
    : new ConnectionError('unexpected_answer', 'A request failed for no reason known here.', {
        cause: error,
      });
