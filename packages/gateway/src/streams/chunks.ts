/** Frames put together for one write. In a broadcast many readers are owed the same ones: joined once. */
export class Chunks {
  /** By first frame: readers of one broadcast that hold the same frames meet here, whoever is between them. */
  readonly #made = new Map<Uint8Array, { frames: readonly Uint8Array[]; chunk: Uint8Array }>();

  /**
   * @param frames at least one; not changed afterwards by the caller
   * @param bytes their total length
   */
  join(frames: readonly Uint8Array[], bytes: number): Uint8Array {
    const first = frames[0]!;
    if (frames.length === 1) return first;
    const made = this.#made.get(first);
    if (made !== undefined && same(made.frames, frames)) return made.chunk;
    const chunk = Buffer.allocUnsafe(bytes);
    let offset = 0;
    for (const frame of frames) {
      chunk.set(frame, offset);
      offset += frame.length;
    }
    this.#made.set(first, { frames, chunk });
    return chunk;
  }
}

function same(a: readonly Uint8Array[], b: readonly Uint8Array[]): boolean {
  if (a.length !== b.length) return false;
  // From the end: lists that part do so in their newest frames.
  for (let i = a.length - 1; i > 0; i--) if (a[i] !== b[i]) return false;
  return true;
}
