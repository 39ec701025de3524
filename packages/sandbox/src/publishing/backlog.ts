/**
 * What waits to be published. While the gateway answers, everything, in order. While it does not, only what
 * matters afterwards: every log entry, the newest value of each item, and no book changes (a reset follows).
 */
import { kindOf, type Publication } from '../publication.ts';

const PUBLIC_TRADES: ReadonlySet<string> = new Set(['market_trades', 'recentTradeUpdate']);

const QUEUE_MAX = 20_000;
const PUBLIC_LOG_MAX = 5_000;
const PRIVATE_LOG_MAX = 20_000;
const LATEST_MAX = 5_000;

export class Backlog {
  #queue: Publication[] = [];
  #head = 0;
  #degraded = false;
  #public: Publication[] = [];
  #private: Publication[] = [];
  readonly #latest = new Map<string, Publication>();
  /** Log entries that an outage was too long for. */
  dropped = 0;

  get size(): number {
    return this.#queue.length - this.#head;
  }

  /** True from an outage (or a reader slower than the venue) until {@link recover}. */
  get degraded(): boolean {
    return this.#degraded;
  }

  add(publications: readonly Publication[]): void {
    for (const publication of publications) {
      if (this.#degraded) this.#sift(publication);
      else this.#queue.push(publication);
    }
    if (this.size > QUEUE_MAX) this.degrade();
  }

  /** The oldest, or undefined; removes it. */
  take(): Publication | undefined {
    const next = this.#queue[this.#head];
    if (next === undefined) return undefined;
    this.#head += 1;
    if (this.#head > 1000) {
      this.#queue = this.#queue.slice(this.#head);
      this.#head = 0;
    }
    return next;
  }

  degrade(): void {
    this.#degraded = true;
    const waiting = this.#queue.slice(this.#head);
    this.#queue = [];
    this.#head = 0;
    for (const publication of waiting) this.#sift(publication);
  }

  /** Puts what was kept, then `snapshot`, in the queue. */
  recover(snapshot: readonly Publication[]): void {
    this.#degraded = false;
    // One by one in time order: orders, their fills and the trades they made stay together.
    const kept = [...this.#private, ...this.#public, ...this.#latest.values()];
    kept.sort((a, b) => a.time - b.time);
    this.#queue.push(...kept, ...snapshot);
    this.#public = [];
    this.#private = [];
    this.#latest.clear();
  }

  #sift(publication: Publication): void {
    const kind = kindOf(publication.channel);
    if (kind === 'book') return;
    if (kind === 'latest') {
      const name = JSON.stringify([publication.channel, publication.key, publication.item]);
      this.#latest.delete(name);
      this.#latest.set(name, publication);
      if (this.#latest.size > LATEST_MAX) this.#latest.delete(this.#latest.keys().next().value!);
      return;
    }
    const isPublic = PUBLIC_TRADES.has(publication.channel);
    const log = isPublic ? this.#public : this.#private;
    log.push(publication);
    if (log.length <= (isPublic ? PUBLIC_LOG_MAX : PRIVATE_LOG_MAX)) return;
    log.shift();
    this.dropped += 1;
  }
}
