/** What becomes of each stream frame: sent, dropped, sent twice, or sent after the one behind it. */
import { createDice, type Dice } from './dice.ts';
import { type FaultSpec, GAP_FRAMES } from './spec.ts';

export class FrameFates {
  readonly #spec: FaultSpec;
  readonly #dice: Readonly<Record<'drop' | 'duplicate' | 'reorder' | 'gap' | 'run', Dice>>;
  /** Frames that the present gap still swallows. */
  #swallow = 0;
  /** Waits for the next frame to go first. */
  #overtaken: Uint8Array | null = null;

  constructor(spec: FaultSpec, seed: string) {
    this.#spec = spec;
    const dice = (name: string) => createDice(seed, name);
    this.#dice = {
      drop: dice('drop'),
      duplicate: dice('duplicate'),
      reorder: dice('reorder'),
      gap: dice('gap'),
      run: dice('run'),
    };
  }

  /** True while a frame waits for another one to overtake it. */
  get waiting(): boolean {
    return this.#overtaken !== null;
  }

  /** The frames to send now, in this order. */
  of(frame: Uint8Array): Uint8Array[] {
    const { drop = 0, duplicate = 0, reorder = 0, gap = 0 } = this.#spec;
    // All are drawn for every frame: what one fault does never shifts the numbers of another.
    const dropped = this.#dice.drop.chance(drop);
    const doubled = this.#dice.duplicate.chance(duplicate);
    const swapped = this.#dice.reorder.chance(reorder);
    const opens = this.#dice.gap.chance(gap);
    const run = this.#dice.run.whole(GAP_FRAMES.least, GAP_FRAMES.most);
    if (opens && this.#swallow === 0) this.#swallow = run;
    if (this.#swallow > 0) {
      this.#swallow -= 1;
      return [];
    }
    if (dropped) return [];
    const frames = doubled ? [frame, frame] : [frame];
    if (this.#overtaken !== null) {
      frames.push(this.#overtaken);
      this.#overtaken = null;
    } else if (swapped) {
      this.#overtaken = frames.pop()!;
    }
    return frames;
  }

  /** The frame that waits, when nothing has come to overtake it. */
  release(): Uint8Array[] {
    const frame = this.#overtaken;
    this.#overtaken = null;
    return frame === null ? [] : [frame];
  }
}
