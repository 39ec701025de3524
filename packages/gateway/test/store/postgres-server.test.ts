import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, readFileSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { findPostgres, type PostgresServer, startPostgres } from '@countersign/testkit';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { migratePostgres, openPostgresStore } from '../../src/store/postgres.ts';
import type { Store } from '../../src/store/store.ts';
import { StoreError } from '../../src/store/store-error.ts';
import { challenge, digest, newUser, openSession, signingKey, wide } from './samples.ts';

const bin = findPostgres();
const file = (name: string) =>
  readFileSync(new URL(`../../src/store/postgres/${name}`, import.meta.url), 'utf8');
const ROLES = file('roles.sql');
const AFTER_RESTORE = file('after-restore.sql');

describe.skipIf(bin === null)('the PostgreSQL server [needs postgresql]', () => {
  let server: PostgresServer;
  let database = '';
  let made = 0;

  beforeAll(async () => {
    server = await startPostgres(bin as string);
  });
  afterAll(() => server?.close());
  beforeEach(() => {
    database = `server_${made++}`;
    server.psql('postgres', `create database ${database}`);
  });

  const tables = () =>
    server
      .psql(
        database,
        "select relname from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace",
      )
      .split('\n')
      .filter((name) => name !== '' && !name.startsWith('kysely'))
      .sort();
  const refusal = async (url: string): Promise<StoreError> => {
    const error = await openPostgresStore({ url }).then(
      (store) => store.close(),
      (e: unknown) => e,
    );
    if (!(error instanceof StoreError)) throw new Error(`expected a StoreError, got ${error}`);
    return error;
  };

  describe('when the store is opened', () => {
    it('is given its schema once by five that come at the same moment', async () => {
      const stores = await Promise.all(
        Array.from({ length: 5 }, () => openPostgresStore({ url: server.url(database) })),
      );
      await openSession(stores[0]!, 's1');
      expect(await stores[4]!.sessions.find('s1')).not.toBeNull();
      await Promise.all(stores.map((store) => store.close()));
      expect(server.backends(database)).toEqual([]);
    });

    it('can be reached through its unix socket', async () => {
      const url = `postgres://countersign@:${server.port}/${database}?host=${server.socketDir}`;
      const store = await openPostgresStore({ url });
      await useLeases(store);
      expect(await store.probe()).toBeGreaterThan(0);
      await store.close();
    });

    it('is asked to make commits durable even where that is not its custom', async () => {
      server.psql('postgres', `alter database ${database} set synchronous_commit = off`);
      const store = await openPostgresStore({ url: server.url(database) });
      server.psql(
        database,
        `create table seen (setting text);
         create function note() returns trigger language plpgsql as
           $$ begin insert into seen values (current_setting('synchronous_commit')); return new; end $$;
         create trigger note before update on probe for each row execute function note()`,
      );
      await store.probe();
      await store.close();
      expect(server.psql(database, 'select setting from seen')).toBe('on');
    });

    it('is refused, and not touched, when a later version wrote its schema', async () => {
      await migratePostgres(server.url(database));
      server.psql(database, "insert into kysely_migration (name, timestamp) values ('9999-future', '2099')");
      const error = await refusal(server.url(database));
      expect(error.code).toBe('newer-schema');
      expect(error.message).toContain('9999-future');
    });

    it('is refused when it is encoded in anything but UTF-8', async () => {
      server.psql('postgres', "create database latin encoding 'LATIN1' locale 'C' template template0");
      expect(await refusal(server.url('latin'))).toMatchObject({ code: 'cannot-open' });
    });

    it('is named, without any password, when it cannot be used', async () => {
      const mute = createServer(() => undefined).listen(0, '127.0.0.1');
      await once(mute, 'listening');
      const { port } = mute.address() as { port: number };
      const cases: [url: string, says: RegExp][] = [
        [`postgres://u:s3cret@127.0.0.1:1/${database}`, /127\.0\.0\.1:1.*cannot be reached/],
        [`postgres://u:s3cret@127.0.0.1:${port}/${database}`, /did not answer in time/],
        [`postgres://countersign:s3cret@127.0.0.1:${server.port}/none`, /no such database/],
        [`postgres://nobody:s3cret@127.0.0.1:${server.port}/${database}`, /user or password/],
        ['postgres://u:s3cret@[::x]/db', /no valid host/],
        ['postgres://u:s3cret@host:99999/db', /no valid port/],
        ['postgres://u:s3cret@host/db?sslmode=prefer', /sslmode/],
        ['postgres://u:s3cret@host/db?password=s3cret', /parameter other than/],
        ['postgres://u:s3cret%zz@host/db', /encodes nothing/],
        ['mysql://u:s3cret@host/db', /postgres:\/\//],
      ];
      for (const [url, says] of cases) {
        const begun = performance.now();
        const error = await refusal(url);
        expect(performance.now() - begun, url).toBeLessThan(2_000);
        expect(error, url).toMatchObject({ code: 'cannot-open', message: expect.stringMatching(says) });
        expect(`${error.message} ${error.stack}`).not.toContain('s3cret');
      }
      mute.close();
    });
  });

  describe('over TLS', () => {
    it('must show a certificate for its name that is believed, unless less was asked for', async () => {
      const { socketDir } = server;
      const [key, certificate] = ['server.key', 'server.crt'].map((name) => join(socketDir, name)) as [
        string,
        string,
      ];
      const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'];
      execFileSync(
        'openssl',
        [
          'req',
          '-x509',
          '-newkey',
          'ec',
          '-pkeyopt',
          'ec_paramgen_curve:P-256',
          '-nodes',
          '-days',
          '2',
          ...subject,
        ].concat(['-keyout', key, '-out', certificate]),
        { stdio: 'ignore' },
      );
      const { uid, gid } = statSync(socketDir);
      chownSync(key, uid, gid);
      chmodSync(key, 0o600);
      const tls = await startPostgres(bin as string, {
        ssl: 'on',
        ssl_key_file: key,
        ssl_cert_file: certificate,
      });
      try {
        const url = (host: string, mode: string) =>
          `postgres://countersign@${host}:${tls.port}/postgres?${mode}`;
        const verified = await openPostgresStore({
          url: url('localhost', `sslmode=verify-full&sslrootcert=${certificate}`),
        });
        expect(await verified.probe()).toBeGreaterThan(0);
        const uses =
          'select bool_and(ssl) from pg_stat_ssl join pg_stat_activity using (pid) where datname is not null and client_port > 0';
        expect(tls.psql('postgres', uses)).toBe('t');
        await verified.close();
        await (await openPostgresStore({ url: url('localhost', 'sslmode=require') })).close();
        const strange = await refusal(url('localhost', 'sslmode=verify-full'));
        expect(strange.message).toMatch(/SELF_SIGNED/);
        const misnamed = await refusal(url('127.0.0.1', `sslmode=verify-full&sslrootcert=${certificate}`));
        expect(misnamed.message).toMatch(/ALTNAME/);
      } finally {
        await tls.close();
      }
      expect((await refusal(`${server.url(database)}?sslmode=require`)).code).toBe('cannot-open');
    });
  });

  describe('its schema', () => {
    it('can be taken back to before it was made, and forward again, step by step', async () => {
      await migratePostgres(server.url(database));
      const all = tables();
      expect(all).toContain('handshake_tokens');
      await migratePostgres(server.url(database), '0002-sweep');
      const later = ['handshake_tokens', 'lease_holders', 'lease_sequence', 'leases', 'nodes'];
      expect(tables()).toEqual(all.filter((name) => !later.includes(name)));
      await migratePostgres(server.url(database), null);
      expect(tables()).toEqual([]);
      await (await openPostgresStore({ url: server.url(database) })).close();
      expect(tables()).toEqual(all);
    });

    it('keeps what is stored, and who is being served, while a version is taken back and forward', async () => {
      const url = server.url(database);
      const old = await openPostgresStore({ url });
      await openSession(old, 's1');
      await migratePostgres(url, '0002-sweep');
      expect(await old.sessions.find('s1')).not.toBeNull();
      await migratePostgres(url);
      const renewed = await openPostgresStore({ url });
      expect(await renewed.sessions.revoke('s1', 2_000, 'logout')).not.toBeNull();
      expect((await old.sessions.find('s1'))!.revokedAt).toBe(2_000);
      await Promise.all([old.close(), renewed.close()]);
    });
  });

  describe('with roles of no more rights than they need', () => {
    const make = () => {
      server.psql(database, ROLES);
      server.psql(
        'postgres',
        `do $$ begin
           if not exists (select from pg_roles where rolname = 'gateway') then
             create role gateway login in role countersign_app;
             create role console login in role countersign_console;
             create role upgrades login in role countersign_migrator;
             alter role upgrades set role countersign_migrator;
           end if;
         end $$`,
      );
    };
    const as = (user: string, statement: string) => server.psql(database, `set role ${user}; ${statement}`);

    it('lets the migrator make the schema and the gateway do all its work on it', async () => {
      make();
      const denied = await refusal(server.url(database, 'gateway'));
      expect(denied).toMatchObject({
        code: 'cannot-open',
        message: expect.stringMatching(/migrate as its owner/),
      });
      await migratePostgres(server.url(database, 'upgrades'));
      server.psql(database, ROLES);

      const store = await openPostgresStore({ url: server.url(database, 'gateway') });
      await store.challenges.issue(challenge(), wide);
      expect(await store.challenges.spend(challenge().address, challenge().nonce, 2_000)).not.toBeNull();
      const { user } = await openSession(store, 's1');
      await openSession(store, 's2', { most: 1 });
      await store.users.updateAccess(user.userId, { tier: 'pro' }, 3_000);
      await store.signingKeys.replace([signingKey('a')], 0, 3_000);
      await store.audit.append({ at: 1, actor: 'a', action: 'b', target: 'c', source: null, detail: '{}' });
      expect((await store.sweep(Number.MAX_SAFE_INTEGER, 0, 100)).sessions).toBe(2);
      expect(await store.probe()).toBeGreaterThan(0);
      await store.close();
    });

    it('keeps the gateway from changing the schema, the audit log and the change log', async () => {
      make();
      await migratePostgres(server.url(database, 'upgrades'));
      server.psql(database, ROLES);
      for (const statement of [
        'create table mine (a int)',
        'create temporary table mine (a int)',
        'drop table sessions',
        'alter table audit disable trigger all',
        "update audit set actor = 'nobody'",
        'delete from audit',
        'truncate audit',
        'delete from changes',
        "update changes set kind = 'user-changed'",
        'delete from challenges',
        'delete from kysely_migration',
      ]) {
        expect(() => as('gateway', statement), statement).toThrow(/permission denied|must be owner/);
      }
    });

    it('lets the console read what is no secret, and change nothing', async () => {
      make();
      await migratePostgres(server.url(database, 'upgrades'));
      server.psql(database, ROLES);
      for (const name of ['users', 'sessions', 'audit', 'changes']) as('console', `select * from ${name}`);
      as('console', 'select kid, state from signing_keys');
      for (const statement of [
        'select * from refresh_tokens',
        'select * from challenges',
        'select wrapped from signing_keys',
        'select digest from handshake_tokens',
        'select data from leases',
        "update users set tier = 'pro'",
        'delete from sessions',
        "insert into audit values (1, 1, '', '', '', null, '', '')",
        'create table mine (a int)',
      ]) {
        expect(() => as('console', statement), statement).toThrow(/permission denied/);
      }
    });
  });

  it('ends what an older backup holds as live when it is restored (drill D27)', async () => {
    const now = Date.now();
    const first = await openPostgresStore({ url: server.url(database) });
    await openSession(first, 's1', { createdAt: now });
    await openSession(first, 's2', { createdAt: now });
    await first.close();
    server.psql('postgres', `create database ${database}_backup template ${database}`);
    const later = await openPostgresStore({ url: server.url(database) });
    await later.sessions.revoke('s1', now, 'logout');
    await later.close();

    server.psql(`${database}_backup`, AFTER_RESTORE);
    const restored = await openPostgresStore({ url: server.url(`${database}_backup`) });
    for (const sid of ['s1', 's2']) expect((await restored.sessions.find(sid))!.revokedAt).not.toBeNull();
    const changes = await restored.changes.since(0, 10);
    expect(changes.map(({ subject }) => subject).sort()).toEqual(['s1', 's2']);
    await restored.close();
  });

  it('has no value of a row in any error', async () => {
    const store = await openPostgresStore({ url: server.url(database) });
    await openSession(store, 's1', { first: 'R0' });
    server.psql(database, "alter table users add constraint rule check (tier <> 'odd')");
    const errors = await Promise.all([
      openSession(store, 's2', { first: 'R0' }).catch((error: unknown) => error),
      store.users.create(newUser({ address: '0x2', tier: 'odd' })).catch((error: unknown) => error),
    ]);
    for (const error of errors) {
      expect(error).toMatchObject({ name: 'StoreError', code: 'invalid' });
      expect(inspect(error, { showHidden: true, depth: 9 })).not.toMatch(
        new RegExp(`${digest('R0')}|0x2|odd`),
      );
    }
    await store.close();
  });

  it('gives users made through one store ids that others made through another do not have', async () => {
    const url = server.url(database);
    const stores = await Promise.all([openPostgresStore({ url }), openPostgresStore({ url })]);
    const users = await Promise.all(
      Array.from({ length: 20 }, (_, i) => stores[i % 2]!.users.create(newUser({ address: `0x${i}` }))),
    );
    expect(new Set(users.map(({ userId }) => userId)).size).toBe(20);
    await Promise.all(stores.map((store) => store.close()));
  });
});

/** Every kind of write to nodes and leases once. */
async function useLeases({ nodes, leases }: Store): Promise<void> {
  const node = { id: 'n', address: '', version: '', startedAt: 1, seenAt: 1, position: 0, settledAt: 1 };
  await nodes.join({ ...node, leasePosition: 0 });
  await nodes.beat('n', 2, 0);
  const lease = { id: 'l', kind: 'user', subject: '1', seconds: 5, data: '', eventId: 'e' } as const;
  const { lease: armed } = await leases.arm(lease, 1);
  const presence = { node: 'n', leasePosition: armed.sequence, settledAt: 9_000 };
  await leases.present({ ...presence, hold: [armed], release: [] });
  await leases.present({ ...presence, hold: [], release: [{ ...armed, at: 2 }] });
  expect(await leases.expire(9_000, 1_000, 10)).toHaveLength(1);
  expect(await leases.claim(9_000, 10_000, 10)).toHaveLength(1);
  await leases.remove('l', 9_000);
  expect(await leases.sweep(10_000, 10)).toBe(1);
  await nodes.leave('n', 9_000);
  expect(await nodes.time()).toBeGreaterThan(1_000_000_000_000);
}
