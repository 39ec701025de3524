/** Runs the operations of the store on PostgreSQL, with bounded queues, waits and attempts. */
import { setTimeout } from 'node:timers/promises';
import {
  DummyDriver,
  Kysely,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  sql,
} from 'kysely';
import type { Engine, Lane, Op } from '../engine.ts';
import type { Tables } from '../schema.ts';
import { StoreError } from '../store-error.ts';
import { insertChange } from '../tables/changes.ts';
import type { Connection } from './connection.ts';
import { meaningOf, storeFailure } from './failure.ts';
import { Lanes, type Outcome } from './lanes.ts';
import { Pool } from './pool.ts';
import { query, transact } from './transaction.ts';

const build = new Kysely<Tables>({
  dialect: {
    createAdapter: () => new PostgresAdapter(),
    createDriver: () => new DummyDriver(),
    createIntrospector: (db) => new PostgresIntrospector(db),
    createQueryCompiler: () => new PostgresQueryCompiler(),
  },
});
const insertIntoChanges = insertChange(build);

/** Pause before the second attempt in milliseconds; it doubles with each. */
const FIRST_PAUSE = 20;

export interface PostgresEngineOptions {
  /** Must have succeeded or failed by `deadline`, in milliseconds of `performance.now()`. */
  connect: (deadline: number) => Promise<Connection>;
  poolSize: number;
  /** Milliseconds from being asked until a call has succeeded or failed. */
  patienceMs: number;
  /** Calls under way, waiting ones included. */
  most: number;
}

interface Write {
  operation: () => Op<unknown>;
  deadline: number;
}

export class PostgresEngine implements Engine {
  readonly build = build;
  readonly time = sql<number>`(extract(epoch from clock_timestamp()) * 1000)::bigint`;
  readonly #pool: Pool;
  readonly #lanes: Lanes<Write>;
  readonly #patience: number;
  readonly #most: number;
  readonly #underWay = new Set<Promise<unknown>>();
  #closed = false;

  constructor({ connect, poolSize, patienceMs, most }: PostgresEngineOptions) {
    this.#pool = new Pool(connect, poolSize);
    this.#lanes = new Lanes((group) => this.#group(group));
    this.#patience = patienceMs;
    this.#most = most;
  }

  pool(): ReturnType<Pool['usage']> {
    const usage = this.#pool.usage();
    // Those too that wait for others of their lane, which wait for a connection or use it.
    return { ...usage, waiting: usage.waiting + this.#lanes.waiting };
  }

  // Not FOR UPDATE: rows that only refer to these, such as a session to its user, need not wait.
  locking: Engine['locking'] = (select) => select.forNoKeyUpdate();

  read: Engine['read'] = (operation) =>
    this.#admit((deadline) =>
      this.#attempts(deadline, () =>
        this.#pool.use(deadline, (connection) => query(connection, operation())),
      ),
    );

  write: Engine['write'] = async (operation, lane, following) => {
    const result = await this.#write(operation, lane);
    const next = following?.(result) ?? null;
    if (next !== null) await this.#write(next.operation, next.lane);
    return result;
  };

  readonly #write = <T>(operation: () => Op<T>, lane?: Lane): Promise<T> =>
    this.#admit((deadline) => {
      const write = { operation, deadline };
      const done = lane ? this.#lanes.add(lane.name, lane.shared === true, write) : this.#alone(write);
      return done as Promise<T>;
    });

  /** Takes no more calls, waits for those under way and ends the connections. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.allSettled(this.#underWay);
    await this.#pool.close();
  }

  #admit<T>(call: (deadline: number) => Promise<T>): Promise<T> {
    if (this.#closed) return Promise.reject(new StoreError('closed', 'the store has been closed'));
    if (this.#underWay.size >= this.#most) {
      return Promise.reject(new StoreError('overloaded', 'too many calls are waiting for the database'));
    }
    const done = call(performance.now() + this.#patience);
    this.#underWay.add(done);
    const settled = () => void this.#underWay.delete(done);
    done.then(settled, settled);
    return done;
  }

  async #alone(write: Write): Promise<unknown> {
    const [value] = await this.#commit([write]);
    return value;
  }

  async #group(group: Write[]): Promise<Outcome[]> {
    if (group.length > 1) {
      try {
        return (await this.#commit(group)).map((value) => ({ value }));
      } catch (error) {
        // One of them may be to blame; a failure of the database meets all.
        if (error instanceof StoreError && error.code !== 'invalid') return group.map(() => ({ error }));
      }
    }
    const outcomes: Outcome[] = [];
    for (const write of group) {
      outcomes.push(
        await this.#alone(write).then(
          (value) => ({ value }),
          (error: unknown) => ({ error }),
        ),
      );
    }
    return outcomes;
  }

  #commit(group: readonly Write[]): Promise<unknown[]> {
    // The oldest comes first, and so does its deadline.
    const deadline = group[0]?.deadline ?? 0;
    const operations = group.map(({ operation }) => operation);
    return this.#attempts(deadline, () =>
      this.#pool.use(deadline, (connection) => transact(connection, operations, insertIntoChanges)),
    );
  }

  /** Tries again what left nothing behind, while there is time. */
  async #attempts<T>(deadline: number, attempt: () => Promise<T>): Promise<T> {
    for (let pause = FIRST_PAUSE; ; pause *= 2) {
      if (performance.now() >= deadline) {
        throw new StoreError('overloaded', 'too much was waiting for the database');
      }
      try {
        return await attempt();
      } catch (error) {
        const again = meaningOf(error)?.again === true;
        if (!again || performance.now() + pause >= deadline) throw storeFailure(error);
        await setTimeout(pause);
      }
    }
  }
}
