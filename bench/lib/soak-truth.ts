/** What was published, and what is wrong with what arrived. Of a fixed size from the start, so that memory can be watched. */
import type { LevelChange } from '@countersign/client';

export interface Tally {
  updates: number;
  /** Entries of a log that were missing without a word. */
  undetected: number;
  duplicates: number;
  mismatches: number;
  compared: number;
  /** Feeds and clients that ended with an error: those that were revoked, and nobody else should. */
  ended: number;
  errors: Map<string, number>;
}

export const createTally = (): Tally => ({
  updates: 0,
  undetected: 0,
  duplicates: 0,
  mismatches: 0,
  compared: 0,
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

/** Checksums of every book as it was published, by place; and those that clients claim. */
export class BookTruth {
  readonly #tally: Tally;
  readonly #noted = new Map<string, Float64Array>();
  #claims: Claim[] = [];

  constructor(tally: Tally) {
    this.#tally = tally;
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

const PRICES = 1000;
const level = (draw: (below: number) => number, side: 'bid' | 'ask', step: number): LevelChange => {
  const price = ((side === 'bid' ? 9000 : 10_000) + step) / 10;
  // A fifth of all changes empties a level: then four fifths of the levels are there at any time.
  return [side, String(price), String(draw(5))];
};

/** A whole book as changes leave it in the long run, so that books are as large at the start as at the end. */
export const wholeBook = (draw: (below: number) => number): LevelChange[] =>
  (['bid', 'ask'] as const).flatMap((side) =>
    Array.from({ length: PRICES }, (_, step) => level(draw, side, step)).filter(
      ([, , quantity]) => quantity !== '0',
    ),
  );

export const changeOfBook = (draw: (below: number) => number): LevelChange[] =>
  Array.from({ length: 1 + draw(4) }, () => level(draw, draw(2) === 0 ? 'bid' : 'ask', draw(PRICES)));
