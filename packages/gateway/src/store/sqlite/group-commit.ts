/**
 * Makes writes durable in groups: the price of a commit is the wait for the disk, and all writes that
 * arrive in one turn of the event loop share it.
 */
import type Database from 'libsql';
import { StoreError } from '../store-error.ts';
import { isOwnFault, storeFailure } from './failure.ts';

export interface GroupCommitOptions {
  /** Writes that may wait; beyond them `write` rejects with `overloaded`. Default 10,000. */
  maxWaiting?: number;
  /** Writes in one transaction, which holds up the event loop from start to end. Default 512. */
  maxGroup?: number;
}

interface Waiting {
  operation: () => unknown;
  resolve(value: unknown): void;
  reject(error: unknown): void;
}

type Outcome = { value: unknown } | { error: unknown };

/** How long a group may gather while there is company, and the size from which it need not. */
const GATHER_MS = 1;
const FULL_GROUP = 64;

export class GroupCommit {
  readonly #db: Database.Database;
  readonly #maxWaiting: number;
  readonly #maxGroup: number;
  #waiting: Waiting[] = [];
  #cancel: (() => void) | null = null;
  /** The last group had more than one write. */
  #company = false;
  #closed = false;

  constructor(db: Database.Database, options: GroupCommitOptions = {}) {
    this.#db = db;
    this.#maxWaiting = options.maxWaiting ?? 10_000;
    this.#maxGroup = options.maxGroup ?? 512;
  }

  /**
   * Runs `operation` in a transaction and resolves to its result once that is durable. If it throws, only it
   * is undone, and the promise rejects with what it threw.
   *
   * @param operation synchronous; depends on nothing but the database and may be run more than once
   * @throws StoreError (rejects) `overloaded`, `closed`, or how the medium failed; then nothing was written
   */
  write<T>(operation: () => T): Promise<T> {
    if (this.#closed) return Promise.reject(closed());
    if (this.#waiting.length >= this.#maxWaiting) {
      return Promise.reject(new StoreError('overloaded', 'too many writes are waiting'));
    }
    return new Promise<T>((resolve, reject) => {
      this.#waiting.push({ operation, resolve: resolve as (value: unknown) => void, reject });
      this.#schedule();
    });
  }

  /** Runs a query now: it sees all that has been acknowledged and nothing that has not. */
  async read<T>(query: () => T): Promise<T> {
    if (this.#closed) throw closed();
    try {
      return query();
    } catch (error) {
      throw storeFailure(error);
    }
  }

  /** Commits what waits and takes nothing more. Does not close the database. */
  close(): void {
    this.#closed = true;
    this.#cancel?.();
    while (this.#waiting.length > 0) this.#commitGroup();
  }

  /**
   * A lone write is committed within its turn of the event loop. While writes come in company, the next group
   * gets a moment to fill: a wait for the disk costs the same for one as for fifty.
   */
  #schedule(): void {
    if (this.#cancel !== null) return;
    const commit = () => {
      this.#cancel = null;
      this.#company = this.#waiting.length > 1;
      this.#commitGroup();
      if (this.#waiting.length > 0) this.#schedule();
    };
    if (this.#company && this.#waiting.length < FULL_GROUP) {
      const timer = setTimeout(commit, GATHER_MS);
      this.#cancel = () => clearTimeout(timer);
    } else {
      const immediate = setImmediate(commit);
      this.#cancel = () => clearImmediate(immediate);
    }
  }

  #commitGroup(): void {
    const group = this.#waiting.splice(0, this.#maxGroup);
    let outcomes: Outcome[];
    try {
      outcomes = this.#transaction(() => group.map(({ operation }) => ({ value: operation() })));
    } catch (first) {
      try {
        if (!isOwnFault(first)) throw first;
        // One of them is to blame. A second pass, still one transaction, sets each apart by a savepoint; so
        // that a stream of bad operations costs twice the work, but not a wait for the disk each.
        outcomes = this.#transaction(() => group.map(({ operation }) => this.#apart(operation)));
      } catch (error) {
        outcomes = group.map(() => ({ error }));
      }
    }
    group.forEach(({ resolve, reject }, i) => {
      const outcome = outcomes[i]!;
      if ('error' in outcome) reject(storeFailure(outcome.error));
      else resolve(outcome.value);
    });
  }

  #transaction(run: () => Outcome[]): Outcome[] {
    this.#db.exec('BEGIN IMMEDIATE');
    try {
      const outcomes = run();
      this.#db.exec('COMMIT');
      return outcomes;
    } finally {
      // Some failures, a full disk among them, have ended the transaction already.
      if (this.#db.inTransaction) this.#db.exec('ROLLBACK');
    }
  }

  #apart(operation: () => unknown): Outcome {
    this.#db.exec('SAVEPOINT operation');
    try {
      const value = operation();
      this.#db.exec('RELEASE operation');
      return { value };
    } catch (error) {
      if (!isOwnFault(error)) throw error;
      this.#db.exec('ROLLBACK TO operation; RELEASE operation');
      return { error };
    }
  }
}

const closed = () => new StoreError('closed', 'the store has been closed');
