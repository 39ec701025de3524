/** Chance that can be repeated: the same seed and name give the same numbers on every machine. */

export interface Dice {
  /** 0 <= n < 1 */
  next(): number;
  /** True with probability `p`; draws a number whatever `p` is. */
  chance(p: number): boolean;
  /** Whole, from `least` to `most`, both possible. */
  whole(least: number, most: number): number;
}

/** @param name what is drawn for: faults that draw separately do not change each other */
export function createDice(seed: string, name: string): Dice {
  // FNV-1a makes a start of the text, and a counter with the finisher of MurmurHash3 the numbers.
  let state = 0x811c9dc5;
  for (const unit of Buffer.from(`${seed}/${name}`)) state = Math.imul(state ^ unit, 0x01000193);
  const next = (): number => {
    state = (state + 0x9e3779b9) | 0;
    let mixed = state;
    mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
    mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
    return ((mixed ^ (mixed >>> 16)) >>> 0) / 2 ** 32;
  };
  return {
    next,
    chance: (p) => next() < p,
    whole: (least, most) => least + Math.floor(next() * (most - least + 1)),
  };
}
