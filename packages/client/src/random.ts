/** A number in [0, 1) from the platform's secure source, with 32 bits. For jitter. */
export const randomFraction = (): number =>
  (globalThis.crypto.getRandomValues(new Uint32Array(1))[0] ?? 0) / 2 ** 32;
