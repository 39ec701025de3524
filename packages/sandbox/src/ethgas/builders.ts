/** Who builds which block: a schedule that the seed decides and that now and then changes. */
import { seeded } from '../engine/random.ts';
import type { JsonObject } from '../publication.ts';

export class Builders {
  readonly keys: readonly string[];
  readonly #seed: string;
  /** Slots whose builder was replaced after the schedule was made. */
  readonly #changed = new Map<number, number>();

  constructor(seed: string) {
    this.#seed = seed;
    const random = seeded(seed, 'builders');
    // 48-byte compressed G1 points have their top bit set (BLS12-381 serialization); these are only look-alikes.
    this.keys = Array.from({ length: 6 }, () => `0x8${random.hex(48).slice(1)}`);
  }

  #index(slot: number): number {
    const scheduled = seeded(this.#seed, `builder/${slot}`).int(this.keys.length);
    return (scheduled + (this.#changed.get(slot) ?? 0)) % this.keys.length;
  }

  /** The `P` of blockBuilderUpdate: slot, builder, and who steps in if that one fails. */
  of(slot: number): JsonObject {
    const index = this.#index(slot);
    return { s: slot, p: this.keys[index]!, f: this.keys[(index + 1) % this.keys.length]! };
  }

  /** About once in eight slots a builder of the next epoch is replaced: its slot, or null. */
  change(slot: number): number | null {
    const random = seeded(this.#seed, `builder-change/${slot}`);
    if (!random.chance(1 / 8)) return null;
    const chosen = slot + 1 + random.int(31);
    this.#changed.set(chosen, (this.#changed.get(chosen) ?? 0) + 1);
    for (const old of this.#changed.keys()) if (old < slot - 64) this.#changed.delete(old);
    return chosen;
  }
}
