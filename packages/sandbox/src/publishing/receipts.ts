/** Reads what the gateway answers to a batch: where each publication landed, or that it was not taken. */

/** Streams whose epoch is remembered; the one heard of longest ago is forgotten first. */
const STREAMS_MAX = 20_000;

export class Receipts {
  readonly #epochs = new Map<string, string>();

  /**
   * @param body of a successful answer
   * @returns `forgotten`: a stream is in another epoch than before, so the gateway has lost what it knew of it;
   *   `refused`: places in the batch of the publications that were not taken
   */
  read(body: string): { forgotten: boolean; refused: number[] } {
    const refused: number[] = [];
    let forgotten = false;
    for (const [place, result] of results(body).entries()) {
      if ('error' in result) refused.push(place);
      const { stream, epoch } = result;
      if (typeof stream !== 'string' || typeof epoch !== 'string') continue;
      const before = this.#epochs.get(stream);
      if (before !== undefined && before !== epoch && !forgotten) {
        forgotten = true;
        // The others are in a new epoch too, and that is no more news: one snapshot tells them all.
        this.#epochs.clear();
      }
      this.#epochs.delete(stream);
      this.#epochs.set(stream, epoch);
      if (this.#epochs.size > STREAMS_MAX) this.#epochs.delete(this.#epochs.keys().next().value!);
    }
    return { forgotten, refused };
  }
}

function results(body: string): { [name: string]: unknown }[] {
  try {
    const { data } = JSON.parse(body) as { data?: { results?: unknown } };
    const list = data?.results;
    return Array.isArray(list) ? list.filter((each) => typeof each === 'object' && each !== null) : [];
  } catch {
    return [];
  }
}
