import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { encryptedStore, memoryStore } from '../../src/index.ts';
import { fileStore } from '../../src/node.ts';
import { countingFetch, gatewayWith, keyOf, next, record, sessionAt } from '../support.ts';

const folder = mkdtempSync(join(tmpdir(), 'countersign-sharing-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let files = 0;
const newFile = () => join(folder, `${files++}.json`);

describe('a restart', () => {
  test('goes on with the session that was kept, without a login and without a signer', async () => {
    const { urls } = await gatewayWith();
    const file = newFile();
    const before = sessionAt(urls.rest, { store: fileStore(file) });
    const token = await before.accessToken();
    await before.close();
    const fetch = countingFetch();
    const { signer: _, ...rest } = { signer: 0 };
    const after = sessionAt(urls.rest, {
      store: fileStore(file),
      fetch,
      ...rest,
      signer: undefined as never,
    });
    expect(await after.accessToken()).toBe(token);
    expect(fetch.calls).toEqual([]);
    after.invalidate(token, 'expired');
    expect(await after.accessToken()).not.toBe(token);
    expect(fetch.calls).toEqual(['/v1/user/login/refresh']);
  });

  test('with another wallet does not take the session of the first', async () => {
    const { urls } = await gatewayWith();
    const store = fileStore(newFile());
    const first = sessionAt(urls.rest, { store });
    await first.accessToken();
    const second = sessionAt(urls.rest, { store, signer: keyOf(1) });
    await second.accessToken();
    expect(second.address).not.toBe(first.address);
    expect(second.stats()).toMatchObject({ logins: 1, adopted: 0 });
  });

  test('with another passphrase stops and leaves the file alone', async () => {
    const { urls } = await gatewayWith();
    const inner = memoryStore();
    const options = { iterations: 1000 };
    const first = sessionAt(urls.rest, { store: encryptedStore(inner, { ...options, passphrase: 'a' }) });
    await first.accessToken();
    const kept = await inner.read();
    const second = sessionAt(urls.rest, { store: encryptedStore(inner, { ...options, passphrase: 'b' }) });
    await expect(second.accessToken()).rejects.toMatchObject({ code: 'store_unreadable', remedy: 'user' });
    expect(await inner.read()).toBe(kept);
  });

  test('over a store that fails signs in and goes on without it', async () => {
    const { urls } = await gatewayWith();
    const session = sessionAt(urls.rest, {
      store: { ...memoryStore(), write: () => Promise.reject(new Error('disk')) },
    });
    const problems = record(session, 'storeProblem');
    expect((await session.fetch('/v1/user/info')).status).toBe(200);
    expect(problems[0]?.error).toMatchObject({ code: 'store_failed' });
  });
});

describe('two sessions that share a store', () => {
  test('log in once, and both get every new token', async () => {
    const { urls } = await gatewayWith();
    const store = memoryStore();
    const fetch = countingFetch();
    const one = sessionAt(urls.rest, { store, fetch });
    const other = sessionAt(urls.rest, { store, fetch });
    const [token] = await Promise.all([one.accessToken(), other.accessToken()]);
    const adopted = next(other, 'token');
    one.invalidate(token, 'expired');
    expect((await adopted).how).toBe('adopted');
    expect(await other.accessToken()).toBe(await one.accessToken());
    expect(fetch.calls).toEqual(['/v1/user/login', '/v1/user/login/verify', '/v1/user/login/refresh']);
  });

  test('refresh once when both find their token refused', async () => {
    const { urls } = await gatewayWith();
    const file = newFile();
    const fetch = countingFetch();
    const one = sessionAt(urls.rest, { store: fileStore(file), fetch });
    const other = sessionAt(urls.rest, { store: fileStore(file), fetch });
    const token = await one.accessToken();
    expect(await other.accessToken()).toBe(token);
    one.invalidate(token, 'expired');
    other.invalidate(token, 'expired');
    const [first, second] = await Promise.all([one.accessToken(), other.accessToken()]);
    expect(first).not.toBe(token);
    expect(second).toBe(first);
    expect(fetch.calls.filter((path) => path.endsWith('/refresh'))).toHaveLength(1);
  });

  test('both end when one logs out, and a login of one revives the other', async () => {
    const { urls } = await gatewayWith();
    const store = memoryStore();
    const one = sessionAt(urls.rest, { store });
    const other = sessionAt(urls.rest, { store });
    const token = await one.accessToken();
    await other.accessToken();
    const gone = next(other, 'ended');
    await one.logout();
    expect((await gone).error).toMatchObject({ code: 'logged_out' });
    await expect(other.accessToken()).rejects.toMatchObject({ code: 'logged_out' });
    const answer = await fetch(`${urls.rest}/v1/user/info`, {
      headers: { authorization: `Bearer ${token}` },
    });
    expect(answer.status).toBe(401);
    const back = next(other, 'token');
    await one.login();
    expect((await back).how).toBe('adopted');
  });
});

describe('processes that share a file', () => {
  test('have one session, and exactly one of them refreshes each time', { timeout: 60_000 }, async () => {
    const { urls } = await gatewayWith({ tokens: { accessTtl: 2, leeway: 0, rotationGrace: { strict: 0 } } });
    const file = newFile();
    const program = fileURLToPath(new URL('./sharing-process.ts', import.meta.url));
    const children: ChildProcess[] = [0, 1, 2].map(() =>
      fork(program, [urls.rest, file, keyOf(0)], {
        execArgv: ['--import', 'tsx', '--conditions=source'],
        stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      }),
    );
    const reports = await Promise.all(
      children.map(async (child) => {
        const [report] = (await once(child, 'message')) as [Report];
        child.send('stop');
        await once(child, 'exit');
        return report;
      }),
    );
    const sum = (name: 'logins' | 'refreshes' | 'adopted' | 'failures') =>
      reports.reduce((total, report) => total + report[name], 0);
    expect(sum('logins'), JSON.stringify(reports)).toBe(1);
    expect(sum('failures'), JSON.stringify(reports)).toBe(0);
    expect(sum('refreshes')).toBeGreaterThanOrEqual(3);
    expect(sum('adopted')).toBeGreaterThanOrEqual(3);
    for (const { refused, unhandled } of reports)
      expect({ refused, unhandled }).toEqual({ refused: 0, unhandled: 0 });
  });
});

interface Report {
  logins: number;
  refreshes: number;
  adopted: number;
  failures: number;
  refused: number;
  unhandled: number;
}
