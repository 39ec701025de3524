/** How many connections each source address holds, with one cap for all (requirements R57, R81). */
export class SourceCounter {
  readonly #counts = new Map<string, number>();
  readonly #most: number;

  constructor(most: number) {
    this.#most = most;
  }

  /** Counts one in, unless the source holds as many as it may. */
  enter(source: string): boolean {
    const count = this.#counts.get(source) ?? 0;
    if (count >= this.#most) return false;
    this.#counts.set(source, count + 1);
    return true;
  }

  leave(source: string): void {
    const count = this.#counts.get(source) ?? 0;
    if (count <= 1) this.#counts.delete(source);
    else this.#counts.set(source, count - 1);
  }
}
