/**
 * Where a session is kept, so that a restart, another tab or another process goes on with it. A store holds one text
 * and knows nothing of its meaning.
 */
export interface SessionStore {
  /** @returns null when nothing is kept. @throws StoreError */
  read(): Promise<string | null>;
  /** Replaces the text. After this resolves a restart finds it. @throws StoreError */
  write(text: string): Promise<void>;
  /** Idempotent. @throws StoreError */
  clear(): Promise<void>;
  /**
   * Runs `task` while no other user of the same store runs one, in this process or in another: this is what makes
   * exactly one of them refresh. Not reentrant.
   *
   * @throws what the task throws; StoreError `store_busy` when the turn did not come in time
   */
  exclusive<T>(task: () => Promise<T>): Promise<T>;
  /** Told when another process or tab changed the text. Stores that cannot notice leave it out. */
  watch?(listener: () => void): () => void;
}

/** One at a time, in the order of asking, within this process. */
export function createTurns(): <T>(task: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve();
  return (task) => {
    const turn = last.then(task, task);
    last = turn.catch(() => {});
    return turn;
  };
}
