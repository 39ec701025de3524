import { monitorEventLoopDelay } from 'node:perf_hooks';
import { findPostgres, type PostgresServer, startPostgres } from '@countersign/testkit';
import postgres from 'postgres';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { openPostgresStore } from '../../src/store/postgres.ts';
import type { Store } from '../../src/store/store.ts';
import { StoreError } from '../../src/store/store-error.ts';
import { ALICE, challenge, digest, newUser, openSession, sealed, wide } from './samples.ts';

const bin = findPostgres();
/** No call may take longer, whatever happens to the database (drill D02). */
const PATIENCE = 2_000;
/** A timer cannot be earlier than the event loop of a busy machine lets it be. */
const delays = monitorEventLoopDelay({ resolution: 10 });

describe.skipIf(bin === null)('the store on a failing PostgreSQL server [needs postgresql]', () => {
  let server: PostgresServer;
  let database = '';
  let made = 0;
  let store: Store;

  beforeAll(async () => {
    server = await startPostgres(bin as string);
  });
  afterAll(() => server?.close());
  beforeEach(async () => {
    delays.enable();
    delays.reset();
    database = `faults_${made++}`;
    server.psql('postgres', `create database ${database}`);
    store = await openPostgresStore({ url: server.url(database), poolSize: 4 });
  });
  afterEach(async () => {
    delays.disable();
    await store.close();
  });

  /** How a call ended, and that it did so in time. */
  const settled = async (call: Promise<unknown>): Promise<string> => {
    const begun = performance.now();
    const code = await call.then(
      () => 'done',
      (error: unknown) => (error instanceof StoreError ? error.code : `not a StoreError: ${error}`),
    );
    expect(performance.now() - begun).toBeLessThan(PATIENCE + delays.max / 1e6);
    return code;
  };
  /** Somebody else's connection, with a transaction that holds a table. */
  const holding = async (table: string) => {
    const sql = postgres(server.url(database), { max: 1, onnotice: () => undefined });
    await sql.unsafe('begin');
    await sql.unsafe(`lock table ${table} in access exclusive mode`);
    return { release: () => sql.end({ timeout: 1 }) };
  };

  describe('killed at work (drill D02)', () => {
    /** Works until told to stop; keeps what was acknowledged, and how the calls that failed did so. */
    function work() {
      const acknowledged: [what: 'opened' | 'rotated' | 'revoked' | 'spent', id: string][] = [];
      const failures: Record<string, number> = {};
      const waiting = new Set<() => void>();
      let stop = false;
      const attempt = async (
        what: (typeof acknowledged)[number][0],
        id: string,
        call: () => Promise<unknown>,
      ) => {
        const code = await settled(call());
        if (code === 'done') acknowledged.push([what, id]);
        else failures[code] = (failures[code] ?? 0) + 1;
        for (const look of waiting) look();
        return code === 'done';
      };
      const worker = async (n: number) => {
        for (let i = 0; !stop; i++) {
          const id = `w${n}-${i}`;
          if (!(await attempt('opened', id, () => openSession(store, id, { address: `0x${id}` })))) continue;
          const successor = { digest: digest(`${id}-R1`), sealed: sealed('R1') };
          await attempt('rotated', id, () =>
            store.sessions.rotate({
              digest: digest(`${id}-R0`),
              now: 2_000,
              graceMs: 0,
              successor,
              rotation: 'strict',
            }),
          );
          if (i % 2 === 0) await attempt('revoked', id, () => store.sessions.revoke(id, 3_000, 'logout'));
          const issued = await settled(store.challenges.issue(challenge({ nonce: id, source: id }), wide));
          if (issued === 'done') await attempt('spent', id, () => store.challenges.spend(ALICE, id, 2_000));
        }
      };
      /** Looks after every call that has ended. */
      const until = (holds: () => boolean) =>
        new Promise<void>((resolve) => {
          const look = () => {
            if (holds() && waiting.delete(look)) resolve();
          };
          waiting.add(look);
          look();
        });
      const failed = () => Object.values(failures).reduce((a, b) => a + b, 0);
      const workers = Promise.all(Array.from({ length: 12 }, (_, n) => worker(n)));
      return {
        acknowledged,
        failures,
        /** Until this many more things have been acknowledged: the store is at work again. */
        progress(count: number) {
          const enough = acknowledged.length + count;
          return until(() => acknowledged.length >= enough);
        },
        /** Until this many calls more have failed: the loss of the server is felt. */
        trouble(count: number) {
          const enough = failed() + count;
          return until(() => failed() >= enough);
        },
        end() {
          stop = true;
          return workers;
        },
      };
    }

    async function expectKept(acknowledged: ReturnType<typeof work>['acknowledged']) {
      for (const [what, id] of acknowledged) {
        if (what === 'spent') {
          expect(await store.challenges.spend(ALICE, id, 2_000), `${what} ${id}`).toBeNull();
          continue;
        }
        const session = await store.sessions.find(id);
        if (what === 'opened') expect(session, `${what} ${id}`).not.toBeNull();
        if (what === 'revoked') expect(session?.revokedAt, `${what} ${id}`).toBe(3_000);
        if (what === 'rotated')
          expect(await store.sessions.findRefresh(digest(`${id}-R1`)), `${what} ${id}`).not.toBeNull();
      }
      const revoked = acknowledged.filter(([what]) => what === 'revoked').length;
      expect(await store.changes.head()).toBeGreaterThanOrEqual(revoked);
    }

    it('has lost nothing that was acknowledged when backends die, and is back by itself', async () => {
      const working = work();
      for (let round = 0; round < 4; round++) {
        await working.progress(150);
        const [backend] = server.backends(database);
        process.kill(backend as number, 'SIGKILL');
      }
      await working.progress(150);
      await working.end();
      expect(Object.keys(working.failures)).not.toContain('invalid');
      await expectKept(working.acknowledged);
    });

    it('has lost nothing when the postmaster dies, answers in time meanwhile, and is back when it is', async () => {
      const working = work();
      for (let round = 0; round < 2; round++) {
        await working.progress(150);
        const felt = working.trouble(12);
        await server.stop('SIGKILL');
        await felt;
        await server.restart();
      }
      await working.progress(150);
      await working.end();
      expect(
        Object.keys(working.failures).every((code) => /cannot-open|overloaded|uncertain/.test(code)),
      ).toBe(true);
      await expectKept(working.acknowledged);
    });
  });

  it('answers in time when the server stands still, and works on when it moves again', async () => {
    await openSession(store, 's');
    const pids = [server.pid, ...server.backends(database)];
    for (const pid of pids) process.kill(pid, 'SIGSTOP');
    try {
      const codes = await Promise.all(
        Array.from({ length: 20 }, (_, i) =>
          settled(
            i % 2 === 0 ? store.sessions.find('s') : openSession(store, `t${i}`, { address: `0x${i}` }),
          ),
        ),
      );
      for (const code of codes) expect(['busy', 'overloaded', 'cannot-open']).toContain(code);
    } finally {
      for (const pid of pids) process.kill(pid, 'SIGCONT');
    }
    expect(await store.sessions.find('s')).not.toBeNull();
  });

  it('gives up in time on what others hold, serves what they do not, and sheds what is too much', async () => {
    const other = await holding('sessions');
    const held = ['a', 'b', 'c'].map((sid) => settled(store.sessions.find(sid)));
    expect(await settled(store.users.findByAddress(ALICE))).toBe('done');
    expect(await Promise.all(held)).toEqual(['busy', 'busy', 'busy']);
    const more = await Promise.all(
      Array.from({ length: 30 }, (_, i) => settled(store.sessions.find(`${i}`))),
    );
    expect(new Set(more)).toEqual(new Set(['busy', 'overloaded']));
    await other.release();
    expect(await settled(store.sessions.find('a'))).toBe('done');
  });

  it('takes no more calls at a time than it may', async () => {
    const small = await openPostgresStore({ url: server.url(database), poolSize: 1, most: 10 });
    const other = await holding('sessions');
    const held = Array.from({ length: 10 }, () => settled(small.sessions.find('s')));
    const begun = performance.now();
    expect(await settled(small.users.find(1))).toBe('overloaded');
    expect(performance.now() - begun).toBeLessThan(100);
    await Promise.all(held);
    await other.release();
    expect(await settled(small.users.find(1))).toBe('done');
    await small.close();
  });

  it('counts all that wait, for a connection or for others of their kind', async () => {
    const small = await openPostgresStore({ url: server.url(database), poolSize: 2 });
    const other = await holding('sessions');
    const reads = Array.from({ length: 5 }, () => settled(small.sessions.find('s')));
    const writes = Array.from({ length: 4 }, (_, i) => settled(small.sessions.revoke(`${i}`, 1, 'test')));
    expect(small.pool()?.waiting).toBeGreaterThanOrEqual(3 + 3);
    await other.release();
    await Promise.all([...reads, ...writes]);
    expect(small.pool()).toMatchObject({ taken: 0, waiting: 0 });
    await small.close();
  });

  it('does not let many calls for one thing use up the connections', async () => {
    await openSession(store, 's');
    const sql = postgres(server.url(database), { max: 1 });
    await sql.unsafe('begin');
    await sql.unsafe("select * from sessions where sid = 's' for update");
    const successor = { digest: digest('R1'), sealed: sealed('R1') };
    const stuck = Array.from({ length: 50 }, () =>
      settled(store.sessions.rotate({ digest: digest('s-R0'), now: 2_000, graceMs: 0, successor })),
    );
    expect(await settled(openSession(store, 'other', { address: '0x2' }))).toBe('done');
    await sql.end({ timeout: 1 });
    expect(new Set(await Promise.all(stuck))).toEqual(new Set(['done']));
  });

  it('says that it does not know when a commit was made but not copied to where it should be', async () => {
    const standbys = (names: string) => {
      server.psql('postgres', `alter system set synchronous_standby_names = '${names}'`);
      server.psql('postgres', 'select pg_reload_conf()');
    };
    await store.probe();
    standbys('nowhere');
    // Its processes take the new settings one by one: each question is asked in a new one.
    const known = () => server.psql('postgres', 'show synchronous_standby_names') === 'nowhere';
    for (let asked = 1; !known(); asked += 1) expect(asked).toBeLessThan(200);
    try {
      expect(await settled(store.users.create(newUser()))).toBe('uncertain');
    } finally {
      standbys('');
    }
    expect(await store.users.findByAddress(ALICE)).not.toBeNull();
  });

  it('tries again what another transaction got in the way of, and nothing of the first try remains', async () => {
    const { user } = await openSession(store, 's');
    server.psql(
      database,
      `create sequence tries;
       create function trip() returns trigger language plpgsql as
         $$ begin if nextval('tries') < 3 then raise sqlstate '40P01'; end if; return new; end $$;
       create trigger trip before insert on changes for each row execute function trip()`,
    );
    const result = await store.users.updateAccess(user.userId, { tier: 'pro' }, 5_000);
    expect(await store.changes.since(0, 10)).toEqual([result!.change]);
    expect((await store.users.find(user.userId))!.tier).toBe('pro');
  });
});
