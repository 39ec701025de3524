/** The session's record in its store, and what is known of it here. A store that fails does not end a session. */
import { CountersignError, StoreError } from '../errors.ts';
import type { SessionStore } from '../stores/store.ts';
import { isLoggedOut, type LoggedOutRecord, parseRecord, type SessionRecord } from './record.ts';

export interface Shelf {
  /**
   * What the store holds for this API and account.
   *
   * @returns `logged-out` where somebody who shares the store logged out; null for nothing that is of use here
   * @throws StoreError `store_unreadable`
   */
  read(): Promise<SessionRecord | 'logged-out' | null>;
  /** Never throws: the token that could not be kept is still good. */
  write(record: SessionRecord | LoggedOutRecord): Promise<void>;
}

export interface ShelfOptions {
  store: SessionStore;
  baseUrl: string;
  /** Lower case; null accepts any account: the wallet was not asked yet. */
  address(): Promise<string | null>;
  onProblem(error: CountersignError): void;
}

export function createShelf({ store, baseUrl, address, onProblem }: ShelfOptions): Shelf {
  const problem = (cause: unknown) =>
    onProblem(
      cause instanceof CountersignError
        ? cause
        : new StoreError('store_failed', 'The session could not be kept', { cause }),
    );
  return {
    async read() {
      let text: string | null;
      try {
        text = await store.read();
      } catch (error) {
        // Overwriting what only needs another passphrase would lose it.
        if (error instanceof StoreError && error.code === 'store_unreadable') throw error;
        problem(error);
        return null;
      }
      const record = text === null ? null : parseRecord(text);
      if (record === null) return null;
      if (isLoggedOut(record)) return 'logged-out';
      const account = await address();
      const ours = record.baseUrl === baseUrl && (account === null || account === record.address);
      return ours ? record : null;
    },
    async write(record) {
      try {
        await store.write(JSON.stringify(record));
      } catch (error) {
        problem(error);
      }
    },
  };
}
