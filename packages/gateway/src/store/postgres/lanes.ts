/** Queues by name: what is in one of them happens in order, one group at a time; the lanes know nothing of each other. */

interface Waiting<Item> {
  item: Item;
  shared: boolean;
  resolve(value: unknown): void;
  reject(error: unknown): void;
}

/** What became of an item of a group. */
export type Outcome = { value: unknown } | { error: unknown };

/** Items of a lane that may share a transaction. */
const MOST_TOGETHER = 64;

export class Lanes<Item> {
  readonly #run: (group: Item[]) => Promise<Outcome[]>;
  /** A lane exists while something is in it. Whoever adds bounds how much that is. */
  readonly #lanes = new Map<string, Waiting<Item>[]>();

  /** @param run never rejects; gives an outcome for each item of the group */
  constructor(run: (group: Item[]) => Promise<Outcome[]>) {
    this.#run = run;
  }

  /** Items that no group has been made of yet. */
  get waiting(): number {
    let waiting = 0;
    for (const lane of this.#lanes.values()) waiting += lane.length;
    return waiting;
  }

  add(name: string, shared: boolean, item: Item): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const waiting = { item, shared, resolve, reject };
      const lane = this.#lanes.get(name);
      if (lane) lane.push(waiting);
      else {
        this.#lanes.set(name, [waiting]);
        void this.#empty(name);
      }
    });
  }

  async #empty(name: string): Promise<void> {
    const lane = this.#lanes.get(name) ?? [];
    while (lane.length > 0) {
      const alone = lane.findIndex(({ shared }) => !shared);
      const together = alone < 0 ? lane.length : Math.max(1, alone);
      const group = lane.splice(0, Math.min(together, MOST_TOGETHER));
      const outcomes = await this.#run(group.map(({ item }) => item));
      for (const [i, { resolve, reject }] of group.entries()) {
        const outcome = outcomes[i];
        if (outcome && 'value' in outcome) resolve(outcome.value);
        else reject(outcome?.error);
      }
    }
    this.#lanes.delete(name);
  }
}
