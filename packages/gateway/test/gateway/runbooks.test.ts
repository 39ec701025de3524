/** Steps of docs/operations/runbooks.md, as they are written there. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startTestGateway } from '@countersign/testkit';
import Database from 'libsql';
import { afterEach, beforeEach, expect, it } from 'vitest';

let dataDir: string;
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'countersign-runbook-'));
});
afterEach(() => rmSync(dataDir, { recursive: true, force: true }));

const tokens = { user: { displayName: 'bot' }, name: 'bot', permissions: ['market_data'] };

it('a lost key-encryption key: sessions end, and everything else is there again', async () => {
  const before = await startTestGateway({}, { dataDir });
  const { accessToken, userId } = await before.logIn(0);
  expect((await before.adminFetch('/handshake-tokens', tokens)).status).toBe(200);
  await before.close();

  rmSync(join(dataDir, 'key-encryption.key'));
  await expect(startTestGateway({}, { dataDir })).rejects.toThrow(/cannot be opened/);

  rmSync(join(dataDir, 'key-encryption.key'), { force: true });
  const db = new Database(join(dataDir, 'countersign.db'));
  db.exec('delete from signing_keys;');
  db.close();
  await using after = await startTestGateway({}, { dataDir });
  const asked = await fetch(`${after.urls.rest}/v1/user/info`, {
    headers: { authorization: `Bearer ${accessToken}` },
  });
  expect(asked.status).toBe(401);
  expect((await after.logIn(0)).userId).toBe(userId);
  expect((await after.adminFetch('/handshake-tokens')).body.data.handshakeTokens).toHaveLength(1);
  expect((await after.adminFetch('/audit/verify')).body.data.brokenAt).toBeNull();
});

it('a leaked admin token: the file is removed, and after a restart only a new one opens', async () => {
  const before = await startTestGateway({}, { dataDir });
  const leaked = readFileSync(join(dataDir, 'admin.token'), 'utf8').trim();
  await before.close();
  rmSync(join(dataDir, 'admin.token'));
  await using after = await startTestGateway({}, { dataDir });
  const asked = await fetch(`${after.urls.internal}/admin/v1/users`, {
    headers: { authorization: `Bearer ${leaked}` },
  });
  expect(asked.status).toBe(401);
  expect((await after.adminFetch('/users')).status).toBe(200);
});
