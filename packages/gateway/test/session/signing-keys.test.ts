import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { verifyJwsWithJwk } from '@countersign/tokens/node';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openKeyEncryption } from '../../src/session/key-encryption.ts';
import { createSigningKeys } from '../../src/session/signing-keys.ts';
import { context, DAY, type House, login, MINUTE, openHouse, refusedAs, SECOND, wallet } from './support.ts';

let house: House;
beforeEach(async () => {
  house = await openHouse({ tokens: { signingKeyLife: 86_400, signingKeyLead: 600 } });
});
afterEach(() => house.dispose());

const kidOf = (token: string): string =>
  JSON.parse(Buffer.from(token.split('.')[0]!, 'base64url').toString()).kid as string;

/** Lets the schedule, which works in the background, finish. */
async function settle(): Promise<void> {
  for (let i = 0; i < 20; i += 1) await new Promise((resolve) => setImmediate(resolve));
  await house.changes.catchUp();
}

describe('the published key set', () => {
  it('shows public members only, of the active key and the next', () => {
    const { keys } = house.signingKeys.jwks();
    expect(keys).toHaveLength(2);
    for (const key of keys) {
      expect(Object.keys(key).sort()).toEqual(['alg', 'crv', 'kid', 'kty', 'use', 'x', 'y']);
      expect(key).toMatchObject({ kty: 'EC', crv: 'P-256', alg: 'ES256', use: 'sig' });
    }
    expect(new Set(keys.map(({ kid }) => kid)).size).toBe(2);
    expect(keys.map(({ kid }) => kid)).toContain(house.signingKeys.active().kid);
  });

  it('is enough to verify our tokens with', async () => {
    const { access } = await login(house);
    const jwk = house.signingKeys.jwks().keys.find(({ kid }) => kid === kidOf(access.token));
    expect(verifyJwsWithJwk(access.token, jwk!)).toBe(true);
  });

  it('has the next key before that signs anything', async () => {
    const published = house.signingKeys.jwks().keys.map(({ kid }) => kid);
    await house.signingKeys.rotate({ actor: 'operator:test' });
    expect(published).toContain(kidOf((await login(house)).access.token));
  });
});

describe('signing keys', () => {
  it('are the same after a restart, and never in the database in clear', async () => {
    const { access } = await login(house);
    const again = await house.secondNode();
    expect(again.signingKeys.active().kid).toBe(house.signingKeys.active().kid);
    expect(again.accessTokens.verifyAccess(access.token).sid).toBeTruthy();
    const pkcs8 = house.signingKeys.active().privateKey.export({ format: 'der', type: 'pkcs8' });
    const scalar = Buffer.from(
      house.signingKeys.active().privateKey.export({ format: 'jwk' }).d as string,
      'base64url',
    );
    for (const { wrapped, publicJwk } of await house.store.signingKeys.list()) {
      expect(Buffer.from(wrapped).includes(scalar)).toBe(false);
      expect(Buffer.from(wrapped).includes(pkcs8)).toBe(false);
      expect(publicJwk).not.toContain('"d"');
    }
  });

  it('cannot be opened with another key-encryption key, which is said in one line', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'countersign-other-kek-'));
    try {
      const other = openKeyEncryption(folder);
      const { store, clock, config } = house;
      await expect(createSigningKeys({ store, kek: other, clock, config })).rejects.toThrow(
        /cannot be opened: key-encryption\.key is not the one/,
      );
      expect(readFileSync(join(folder, 'key-encryption.key'))).toHaveLength(32);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('of two nodes that start at once on an empty store are the same', async () => {
    await house.store.signingKeys.replace([], await house.store.signingKeys.revision(), house.clock.now());
    const nodes = await Promise.all([house.secondNode(), house.secondNode(), house.secondNode()]);
    expect(new Set(nodes.map(({ signingKeys }) => signingKeys.active().kid)).size).toBe(1);
  });
});

describe('rotation', () => {
  it('refuses no valid token, however often, while tokens are issued and verified on two nodes', async () => {
    const other = await house.secondNode();
    const signedIn = await login(house);
    const { user, session } = signedIn;
    const tokens: string[] = [signedIn.access.token];
    let rotating = true;
    let verified = 0;
    const traffic = async (): Promise<void> => {
      while (rotating) {
        tokens.push(house.accessTokens.issueAccess(user, session).token);
        for (const token of tokens.slice(-5)) {
          house.clock.advance(SECOND);
          await house.changes.catchUp();
          await house.authenticator.accessToken(token);
          await other.changes.catchUp();
          await other.authenticator.accessToken(token);
          verified += 1;
        }
        await new Promise((resolve) => setImmediate(resolve));
      }
    };
    const running = traffic();
    for (let i = 0; i < 20; i += 1) await house.signingKeys.rotate({ actor: 'operator:test' });
    rotating = false;
    await running;
    expect(verified).toBeGreaterThan(20);
    for (const token of tokens.slice(-50)) await other.authenticator.accessToken(token);
    expect(house.problems).toEqual([]);
  });

  it('by two nodes at once leaves one active key that both agree on', async () => {
    const other = await house.secondNode();
    await Promise.all([
      house.signingKeys.rotate({ actor: 'operator:a' }),
      other.signingKeys.rotate({ actor: 'operator:b' }),
    ]);
    await house.signingKeys.reload();
    await other.signingKeys.reload();
    expect(house.signingKeys.active().kid).toBe(other.signingKeys.active().kid);
    const states = (await house.store.signingKeys.list()).map(({ state }) => state).sort();
    expect(states).toEqual(['active', 'next', 'retired', 'retired']);
  });

  it('destroys the private part of the key it retires', async () => {
    const { retired } = await house.signingKeys.rotate({ actor: 'operator:test' });
    const record = (await house.store.signingKeys.list()).find(({ kid }) => kid === retired);
    expect(record).toMatchObject({ state: 'retired' });
    expect(record!.wrapped).toHaveLength(0);
  });

  it('says for how long the key had been published, and is written into the audit log', async () => {
    house.clock.advance(MINUTE);
    const { kid, retired, publishedFor } = await house.signingKeys.rotate({ actor: 'operator:test' });
    expect(publishedFor).toBe(60);
    const [row] = await house.audited();
    expect(row).toMatchObject({ actor: 'operator:test', action: 'signing-keys.rotate', target: kid });
    expect(JSON.parse(row!.detail)).toEqual({ retired, publishedFor: 60 });
  });

  it('happens by itself once the key is as old as configured and the next one was published long enough', async () => {
    const first = house.signingKeys.active().kid;
    await house.pass(DAY - MINUTE);
    await settle();
    expect(house.signingKeys.active().kid).toBe(first);
    await house.pass(MINUTE);
    await settle();
    const second = house.signingKeys.active().kid;
    expect(second).not.toBe(first);
    expect((await house.audited())[0]).toMatchObject({ actor: 'system', action: 'signing-keys.rotate' });
    expect(house.problems).toEqual([]);
  });

  it('by schedule waits for the lead of the next key', async () => {
    await house.pass(DAY - 2 * MINUTE);
    await house.signingKeys.rotate({ actor: 'operator:test' });
    const taken = house.signingKeys.active().kid;
    const records = await house.store.signingKeys.list();
    const old = records.map((key) => (key.state === 'active' ? { ...key, activatedAt: 0 } : key));
    await house.store.signingKeys.replace(old, await house.store.signingKeys.revision(), house.clock.now());
    await house.pass(2 * MINUTE);
    await settle();
    await house.pass(7 * MINUTE);
    await settle();
    expect(house.signingKeys.active().kid).toBe(taken);
    await house.pass(2 * MINUTE);
    await settle();
    expect(house.signingKeys.active().kid).not.toBe(taken);
  });

  it('keeps a retired key until the last refresh token of it has died, and forgets it then', async () => {
    await house.dispose();
    house = await openHouse({ tokens: { signingKeyLife: 0 } });
    const { refresh } = await login(house);
    const { retired } = await house.signingKeys.rotate({ actor: 'operator:test' });
    await house.pass(7 * DAY - SECOND);
    await settle();
    expect((await house.sessions.refresh([refresh.token], context)).access.expiresAt).toBe(refresh.expiresAt);
    for (let i = 0; i < 3; i += 1) {
      await house.pass(MINUTE);
      await settle();
    }
    expect(house.signingKeys.verifier(retired)).toBeNull();
    expect((await house.store.signingKeys.list()).map(({ kid }) => kid)).not.toContain(retired);
  });
});

describe('an emergency rotation', () => {
  it('ends every token at once, on other nodes as soon as they read the log', async () => {
    const other = await house.secondNode();
    const { access, refresh } = await login(house);
    await house.signingKeys.rotate({ actor: 'operator:test' });
    const { access: newer } = await login(house);
    await other.authenticator.accessToken(newer.token);
    const next = house.signingKeys.jwks().keys.at(-1)!.kid;

    await house.signingKeys.rotate({ actor: 'operator:test', emergency: true });
    for (const token of [access.token, newer.token])
      expect(await refusedAs(() => house.authenticator.accessToken(token))).toBe('unauthorized');
    expect(await refusedAs(() => house.sessions.refresh([refresh.token], context))).toBe('refresh_refused');
    expect(house.signingKeys.verifier(next)).toBeNull();

    await house.pass(2 * SECOND);
    await settle();
    expect(await refusedAs(() => other.authenticator.accessToken(newer.token))).toBe('unauthorized');
    const { access: fresh } = await login(house, wallet());
    await other.authenticator.accessToken(fresh.token);
    expect(house.signingKeys.jwks().keys).toHaveLength(2);
  });
});

describe('a token of an unknown key', () => {
  it('makes a node look into the store, at most once a second', async () => {
    await settle();
    let reads = 0;
    const list = house.store.signingKeys.list.bind(house.store.signingKeys);
    house.store.signingKeys.list = () => {
      reads += 1;
      return list();
    };
    const { access } = await login(house);
    const forged = access.token.replace(
      /^[^.]+/,
      Buffer.from(JSON.stringify({ alg: 'ES256', typ: 'JWT', kid: '../../dev/null' })).toString('base64url'),
    );
    for (let i = 0; i < 1000; i += 1)
      expect(await refusedAs(() => house.authenticator.accessToken(forged))).toBe('unauthorized');
    expect(reads).toBe(1);
    await house.pass(SECOND);
    await refusedAs(() => house.authenticator.accessToken(forged));
    expect(reads).toBe(2);
  });

  it('that another node has just made is accepted', async () => {
    const other = await house.secondNode();
    const { user, session } = await login(house);
    await house.signingKeys.rotate({ actor: 'operator:test' });
    await house.signingKeys.rotate({ actor: 'operator:test' });
    const { token } = house.accessTokens.issueAccess(user, session);
    expect(other.signingKeys.verifier(kidOf(token))).toBeNull();
    expect((await other.authenticator.accessToken(token)).principal.userId).toBe(user.userId);
  });
});
