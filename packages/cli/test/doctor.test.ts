import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestGateway, type TestGateway } from '../../testkit/src/in-process-gateway.ts';
import type { Finding } from '../src/doctor/finding.ts';
import { EXIT } from '../src/exit-codes.ts';
import { run } from '../src/run.ts';
import { testIo } from './test-io.ts';

let folder: string;
let open: TestGateway;

async function doctor(argv: string[] = [], env: Record<string, string> = {}) {
  const io = testIo({
    env: {
      COUNTERSIGN_HOME: folder,
      COUNTERSIGN_URL: open.urls.rest,
      COUNTERSIGN_INTERNAL_URL: open.urls.internal,
      COUNTERSIGN_DATA_DIR: open.dataDir,
      ...env,
    },
  });
  const code = await run(['doctor', '--json', ...argv], io);
  const findings = io.outLines.map((line) => JSON.parse(line) as Finding);
  const of = (check: string) => findings.find((finding) => finding.check === check);
  return { code, findings, of };
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'countersign-doctor-'));
  open = await startTestGateway();
});
afterAll(async () => {
  await open.close();
  rmSync(folder, { recursive: true, force: true });
});

describe('with a gateway in good health', () => {
  test('every check is well, and the whole way from login to revocation works', async () => {
    const { code, findings, of } = await doctor();
    expect(findings.filter(({ state }) => state !== 'ok')).toEqual([]);
    expect(code).toBe(EXIT.ok.code);
    for (const check of ['config', 'files.modes', 'public', 'clock', 'internal', 'keys.published', 'store'])
      expect(of(check)?.state, check).toBe('ok');
    expect(findings.filter(({ check }) => check.startsWith('live.')).map(({ check }) => check)).toEqual([
      'live.login',
      'live.subscribe',
      'live.receive',
      'live.revoke',
      'live.cleanup',
    ]);
  });

  test('the throw-away user is left suspended and without rights', async () => {
    const { of } = await doctor();
    const id = /user (\d+)/.exec(of('live.cleanup')?.says ?? '')?.[1];
    const { user } = (await open.adminFetch(`/users/${id}`)).body.data;
    expect(user).toMatchObject({ status: 2, permissions: [] });
  });

  test('--no-live leaves no user behind', async () => {
    const count = async () => (await open.adminFetch('/users')).body.data.users.length as number;
    const before = await count();
    const { findings } = await doctor(['--no-live']);
    expect(findings.some(({ check }) => check.startsWith('live'))).toBe(false);
    expect(await count()).toBe(before);
  });
});

describe('with something wrong', () => {
  test('every finding that is not well says how to mend it', async () => {
    const { code, findings } = await doctor([], {
      COUNTERSIGN_URL: 'http://127.0.0.1:1',
      COUNTERSIGN_INTERNAL_URL: 'http://127.0.0.1:1',
      COUNTERSIGN_DATA_DIR: join(folder, 'none'),
      COUNTERSIGN_ACCES_TTL: '60',
    });
    expect(code).toBe(EXIT.failure.code);
    const states = Object.fromEntries(findings.map(({ check, state }) => [check, state]));
    expect(states).toMatchObject({
      'config.variables': 'warning',
      files: 'warning',
      public: 'problem',
      internal: 'problem',
      store: 'skipped',
      live: 'skipped',
    });
    for (const finding of findings.filter(({ state }) => state !== 'ok')) expect(finding.mend).toBeTruthy();
  });

  test('a secret that others can read is found', async () => {
    const path = join(open.dataDir, 'admin.token');
    chmodSync(path, 0o644);
    const { code, of } = await doctor(['--no-live']);
    chmodSync(path, 0o600);
    expect(code).toBe(EXIT.failure.code);
    expect(of('files.modes')).toMatchObject({ state: 'problem', mend: `chmod 600 ${path}` });
  });

  test('a settings file with an unknown key is found', async () => {
    const path = join(folder, 'countersign.yaml');
    writeFileSync(path, 'prot: 80\n');
    expect((await doctor(['--no-live', '--config', path])).of('config')).toMatchObject({ state: 'problem' });
  });

  test('a login message for another site is not signed, and the steps after it are not tried', async () => {
    const { findings, of } = await doctor(['--domain', 'elsewhere.test']);
    expect(of('live.login')).toMatchObject({ state: 'problem', mend: expect.stringContaining('--domain') });
    expect(findings.filter(({ state }) => state === 'skipped').map(({ check }) => check)).toEqual([
      'live.subscribe',
      'live.receive',
      'live.revoke',
    ]);
  });

  test.each([
    [-8, 'problem'],
    [-4, 'warning'],
    [0, 'ok'],
    [9, 'problem'],
  ])('a gateway whose clock differs by %d s is a %s', async (seconds, state) => {
    const server: Server = createServer((_request, response) => {
      response.setHeader('date', new Date(Date.now() + seconds * 1000).toUTCString());
      response.end('{"keys":[{},{}]}');
    }).listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const { of } = await doctor(['--no-live'], { COUNTERSIGN_URL: url });
    await new Promise((resolve) => server.close(resolve));
    expect(of('clock')?.state).toBe(state);
  });
});

test('people get lines with what to do below them, and a sum', async () => {
  const io = testIo({ env: { COUNTERSIGN_HOME: folder, COUNTERSIGN_DATA_DIR: join(folder, 'none') } });
  expect(
    await run(['doctor', '--url', 'http://127.0.0.1:1', '--internal-url', 'http://127.0.0.1:1'], io),
  ).toBe(EXIT.failure.code);
  expect(io.outLines.some((line) => line.startsWith('PROBLEM public'))).toBe(true);
  expect(io.outLines.some((line) => line.includes('-> start it'))).toBe(true);
  expect(io.outLines.at(-1)).toMatch(/^\d+ ok, 1 warnings, 2 problems, 2 skipped$/);
});
