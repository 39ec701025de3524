/** Randomness that a seed repeats. For simulation only: nothing secret may come from here. */
import { createHash } from 'node:crypto';

export interface Random {
  /** 0 <= n < 1, 32 bits of it. */
  next(): number;
  /** An integer, 0 <= n < `bound`. */
  int(bound: number): number;
  chance(probability: number): boolean;
  pick<T>(list: readonly T[]): T;
  /** Lower-case hex of `bytes` bytes. */
  hex(bytes: number): string;
  /** An RFC 9562 version-4 shaped UUID. */
  uuid(): string;
}

/**
 * sfc32 by Chris Doty-Humphrey (PractRand 0.94, `RNG/sfc.h`): three words of state and a counter.
 * Independent streams come from hashing `seed` with a label, so that what one user does never shifts
 * the numbers of anybody else.
 */
export function seeded(seed: string, label: string): Random {
  const digest = createHash('sha256').update(`${seed}\0${label}`).digest();
  let a = digest.readInt32LE(0);
  let b = digest.readInt32LE(4);
  let c = digest.readInt32LE(8);
  let counter = 1;

  const word = (): number => {
    const sum = (a + b + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + sum) | 0;
    return sum >>> 0;
  };
  // PractRand discards twelve outputs after seeding.
  for (let round = 0; round < 12; round++) word();

  const hex = (bytes: number): string => {
    let text = '';
    while (text.length < bytes * 2) text += word().toString(16).padStart(8, '0');
    return text.slice(0, bytes * 2);
  };
  return {
    next: () => word() / 4294967296,
    int: (bound) => Math.floor((word() / 4294967296) * bound),
    chance: (probability) => word() / 4294967296 < probability,
    pick: (list) => list[Math.floor((word() / 4294967296) * list.length)]!,
    hex,
    uuid() {
      const h = hex(16);
      return `${h.slice(0, 8)}-${h.slice(8, 12)}-4${h.slice(13, 16)}-a${h.slice(17, 20)}-${h.slice(20)}`;
    },
  };
}
