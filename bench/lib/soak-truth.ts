/** What was published, and what is wrong with what arrived. Of a fixed size from the start, so that memory can be watched. */
import { crc32 } from 'node:zlib';
import type { LevelChange } from '@countersign/client';

export interface Tally {
  updates: number;
  /** Entries of a log that were missing without a word. */
  undetected: number;
  duplicates: number;
  /** Times that a reader of a log was told that something is missing. */
  told: number;
  mismatches: number;
  compared: number;
  comparedWhole: number;
  /** Feeds and clients that ended with an error: those that were revoked, and nobody else should. */
  ended: number;
  errors: Map<string, number>;
}

export const createTally = (): Tally => ({
  updates: 0,
  undetected: 0,
  duplicates: 0,
  told: 0,
  mismatches: 0,
  compared: 0,
  comparedWhole: 0,
  ended: 0,
  errors: new Map(),
});

/** Publications of one stream of which the checksum is known. */
const KNOWN = 4096;
/** Epochs, of any stream: older ones are asked about by nobody. */
const EPOCHS = 8;
/** Milliseconds that the publisher has to note what it published. */
const PATIENCE = 2000;

interface Claim {
  stream: string;
  sequence: number;
  checksum: number;
  at: number;
}

/** Checksums of every book as it was published, by place; and those that clients claim. At some places, of the whole book. */
export class BookTruth {
  readonly #tally: Tally;
  readonly #wholeEvery: number;
  readonly #noted = new Map<string, Float64Array>();
  #claims: Claim[] = [];

  /** @param wholeEvery sequences from one to the next at which whole books count, and not their best levels alone */
  constructor(tally: Tally, wholeEvery: number) {
    this.#tally = tally;
    this.#wholeEvery = wholeEvery;
  }

  isWhole(sequence: number): boolean {
    return sequence % this.#wholeEvery === 0;
  }

  note(stream: string, sequence: number, checksum: number): void {
    let known = this.#noted.get(stream);
    if (known === undefined) {
      known = new Float64Array(KNOWN * 2);
      this.#noted.set(stream, known);
      const oldest = this.#noted.keys().next();
      if (this.#noted.size > EPOCHS && oldest.done !== true) this.#noted.delete(oldest.value);
    }
    known[(sequence % KNOWN) * 2] = sequence;
    known[(sequence % KNOWN) * 2 + 1] = checksum;
  }

  /** A client's book, at one place. Judged once the publisher has had time to say what it published. */
  claim(stream: string, sequence: number, checksum: number): void {
    this.#claims.push({ stream, sequence, checksum, at: performance.now() });
  }

  /** Judges the claims that are old enough, or all. */
  judge(all = false): void {
    const until = performance.now() - PATIENCE;
    let done = 0;
    for (const { stream, sequence, checksum, at } of this.#claims) {
      if (!all && at > until) break;
      done += 1;
      const known = this.#noted.get(stream);
      // Otherwise a publication whose receipt was lost with the gateway.
      if (known?.[(sequence % KNOWN) * 2] !== sequence) continue;
      this.#tally.compared += 1;
      if (this.isWhole(sequence)) this.#tally.comparedWhole += 1;
      if (known[(sequence % KNOWN) * 2 + 1] !== checksum) this.#tally.mismatches += 1;
    }
    this.#claims = this.#claims.slice(done);
  }
}

/** Numbers from a text: the same ones for the same seed. */
export function createDraw(seed: string): (below: number) => number {
  let state = [...seed].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) >>> 0, 7);
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state >>> 8) % below;
  };
}

/** Steps of a price on each side. */
const STEPS = 1000;
const CHECKSUM_DEPTH = 10;
/** Bids from the best down, asks from the best up. */
export const fingerprint = (bids: readonly string[], asks: readonly string[]): number =>
  crc32([...bids, ...asks].join('|'));

/** The venue's own book: a slot for every price that there can be. Nothing of the client's is in it. */
export class VenueBook {
  readonly #slots = {
    bid: new Array<string>(STEPS).fill('0'),
    ask: new Array<string>(STEPS).fill('0'),
  };

  /** As full as changes leave it in the long run, so that it is as large at the start as at the end. */
  constructor(draw: (below: number) => number) {
    for (const side of ['bid', 'ask'] as const)
      for (let step = 0; step < STEPS; step += 1) this.#slots[side][step] = quantity(draw);
  }

  /** Changes some levels. @returns what they are now */
  change(draw: (below: number) => number): LevelChange[] {
    return Array.from({ length: 1 + draw(4) }, (): LevelChange => {
      const side = draw(2) === 0 ? 'bid' : 'ask';
      const step = draw(STEPS);
      this.#slots[side][step] = quantity(draw);
      return [side, priceAt(side, step), this.#slots[side][step]!];
    });
  }

  levels(): LevelChange[] {
    return [...this.#side('bid'), ...this.#side('ask')];
  }

  /** Of the best levels, as the gateway and the client compute it. */
  checksum(): number {
    return fingerprint(this.#texts('bid', CHECKSUM_DEPTH), this.#texts('ask', CHECKSUM_DEPTH));
  }

  whole(): number {
    return fingerprint(this.#texts('bid'), this.#texts('ask'));
  }

  #texts(side: 'bid' | 'ask', depth?: number): string[] {
    return this.#side(side, depth).map(([, price, size]) => `${price}:${size}`);
  }

  /** Best first: the highest step of the bids, the lowest of the asks. */
  #side(side: 'bid' | 'ask', depth = STEPS): LevelChange[] {
    const out: LevelChange[] = [];
    for (let n = 0; n < STEPS && out.length < depth; n += 1) {
      const step = side === 'bid' ? STEPS - 1 - n : n;
      const size = this.#slots[side][step]!;
      if (size !== '0') out.push([side, priceAt(side, step), size]);
    }
    return out;
  }
}

const priceAt = (side: 'bid' | 'ask', step: number): string =>
  String(((side === 'bid' ? 9000 : 10_000) + step) / 10);

/** A fifth of all changes empties a level. */
const quantity = (draw: (below: number) => number): string => String(draw(5));
