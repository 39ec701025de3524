/** A bounded number of connections, and bounded waits for one. */
import { StoreError } from '../store-error.ts';
import type { Connection } from './connection.ts';

interface Waiter {
  wake(): void;
}

export class Pool {
  readonly #connect: (deadline: number) => Promise<Connection>;
  readonly #size: number;
  readonly #idle: Connection[] = [];
  readonly #waiting = new Set<Waiter>();
  #taken = 0;

  /** @param size connections at most; they are made when they are needed */
  constructor(connect: (deadline: number) => Promise<Connection>, size: number) {
    this.#connect = connect;
    this.#size = size;
  }

  /**
   * Lends a connection to `work`. At `deadline`, in milliseconds of `performance.now()`, a connection that is
   * still at work is destroyed: nobody knows what state it is in.
   *
   * @throws StoreError `overloaded` if none became free by then; what connecting or `work` throws
   */
  async use<T>(deadline: number, work: (connection: Connection) => Promise<T>): Promise<T> {
    if (this.#taken < this.#size) this.#taken += 1;
    else await this.#turn(deadline);
    let connection: Connection | undefined;
    let timer: NodeJS.Timeout | undefined;
    let late = false;
    try {
      connection = this.#idle.pop() ?? (await this.#made(deadline));
      timer = setTimeout(
        () => {
          late = true;
          connection?.destroy();
        },
        Math.max(0, deadline - performance.now()),
      );
      return await work(connection);
    } catch (error) {
      // What ended the work was our own patience, unless it has more to say than that the connection went.
      if (!late || error instanceof StoreError) throw error;
      throw new StoreError('busy', 'the database did not answer in time');
    } finally {
      clearTimeout(timer);
      this.#taken -= 1;
      if (connection?.alive) this.#idle.push(connection);
      const [next] = this.#waiting;
      if (next && this.#taken < this.#size) next.wake();
    }
  }

  usage(): { size: number; taken: number; waiting: number } {
    return { size: this.#size, taken: this.#taken, waiting: this.#waiting.size };
  }

  /** Ends the connections that are not lent out. */
  async close(): Promise<void> {
    await Promise.all(this.#idle.splice(0).map((connection) => connection.end()));
  }

  async #made(deadline: number): Promise<Connection> {
    const connection = await this.#connect(deadline);
    connection.onLost(() => {
      const i = this.#idle.indexOf(connection);
      if (i >= 0) this.#idle.splice(i, 1);
    });
    return connection;
  }

  #turn(deadline: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const waiter: Waiter = {
        wake: () => {
          clearTimeout(timer);
          this.#waiting.delete(waiter);
          // Held from here on: between waking and running somebody else must not take it.
          this.#taken += 1;
          resolve();
        },
      };
      const timer = setTimeout(
        () => {
          this.#waiting.delete(waiter);
          reject(new StoreError('overloaded', 'no connection to the database became free in time'));
        },
        Math.max(0, deadline - performance.now()),
      );
      this.#waiting.add(waiter);
    });
  }
}
