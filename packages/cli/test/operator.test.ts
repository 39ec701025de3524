/** What operators do with the audit log, the schema and the signing keys. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestGateway, type TestGateway } from '../../testkit/src/in-process-gateway.ts';
import { EXIT } from '../src/exit-codes.ts';
import { run } from '../src/run.ts';
import { testIo } from './test-io.ts';

let open: TestGateway;
let folder: string;
beforeAll(async () => {
  open = await startTestGateway();
  folder = mkdtempSync(join(tmpdir(), 'countersign-operator-'));
  for (let n = 0; n < 3; n++) {
    const { userId } = await open.logIn(n);
    await open.adminFetch(`/users/${userId}`, { tier: 'pro' }, 'PATCH');
  }
});
afterAll(async () => {
  await open.close();
  rmSync(folder, { recursive: true, force: true });
});

async function countersign(argv: string[], options: Parameters<typeof testIo>[0] = {}) {
  const io = testIo(options);
  const code = await run(argv, io);
  return { code, out: io.outLines, err: io.errLines };
}
const online = () => ['--data-dir', open.dataDir, '--internal-url', open.urls.internal];
const file = () => join(open.dataDir, 'countersign.db');

describe('the audit log', () => {
  test('is whole by the gateway and by its file, with one anchor', async () => {
    const asked = await countersign(['audit', 'verify', ...online()]);
    expect(asked).toMatchObject({
      code: EXIT.ok.code,
      out: [expect.stringMatching(/^whole: \d+ rows$/), expect.any(String)],
    });
    const read = await countersign(['audit', 'verify', '--store', file()]);
    expect(read.out).toEqual(asked.out);
    const anchor = asked.out[1]?.replace('anchor ', '') ?? '';
    expect((await countersign(['audit', 'verify', '--store', file(), '--anchor', anchor])).code).toBe(
      EXIT.ok.code,
    );
    const later = anchor.replace(/^\d+/, '9999');
    const cut = await countersign(['audit', 'verify', '--store', file(), '--anchor', later]);
    expect(cut).toMatchObject({
      code: EXIT.failure.code,
      out: [expect.stringMatching(/^cut: /), expect.any(String)],
    });
    expect((await countersign(['audit', 'verify', '--store', file(), '--anchor', 'x'])).code).toBe(
      EXIT.usage.code,
    );
  });

  test('is exported row by row, and goes on where an earlier copy ended', async () => {
    const out = join(folder, 'audit.jsonl');
    expect((await countersign(['audit', 'export', '--store', file(), '--out', out])).code).toBe(EXIT.ok.code);
    const rows = readFileSync(out, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { n: number; action: string });
    expect(rows.map(({ n }) => n)).toEqual(rows.map((_, i) => i + 1));
    expect(rows.map(({ action }) => action)).toContain('user.access');
    const rest = await countersign(['audit', 'export', ...online(), '--after', String(rows.length - 2)]);
    expect(rest.out.map((line) => (JSON.parse(line) as { n: number }).n)).toEqual([
      rows.length - 1,
      rows.length,
    ]);
    expect((await countersign(['audit', 'export', '--store', file(), '--out', out])).code).toBe(
      EXIT.config.code,
    );
  });

  test('that is not there is a wrong setting', async () => {
    const { code } = await countersign(['audit', 'verify', '--store', join(folder, 'none.db')]);
    expect(code).toBe(EXIT.config.code);
  });
});

test('the signing keys are listed with their place in life, and without key material', async () => {
  await countersign(['signing-keys', 'rotate', ...online()]);
  const { code, out } = await countersign(['signing-keys', 'list', '--json', ...online()]);
  expect(code).toBe(EXIT.ok.code);
  const keys = out.map((line) => JSON.parse(line) as Record<string, unknown>);
  expect(keys.map(({ state }) => state).sort()).toEqual(['active', 'next', 'retired']);
  expect(Object.keys(keys[0] ?? {}).sort()).toEqual([
    'activatedAt',
    'alg',
    'createdAt',
    'kid',
    'retiredAt',
    'state',
  ]);
  expect((await countersign(['signing-keys', 'list', ...online()])).out).toHaveLength(3);
});

test('a schema goes back only after a yes, and forward again', async () => {
  const gateway = await startTestGateway({}, { dataDir: folder });
  await gateway.close();
  const place = ['--data-dir', folder];
  const applied = (out: string[]) => out.filter((line) => line.startsWith('applied')).length;
  const all = applied((await countersign(['migrate', 'status', ...place])).out);
  const down = ['migrate', 'down', '--to', '0001-initial', ...place];
  expect((await countersign(down)).code).toBe(EXIT.usage.code);
  expect((await countersign(down, { terminal: true, answers: ['no'] })).code).toBe(EXIT.interrupted.code);
  expect(applied((await countersign([...down, '--yes'])).out)).toBe(1);
  expect(applied((await countersign(['migrate', 'up', ...place])).out)).toBe(all);
  expect((await countersign(['migrate', 'down', '--to', 'x', '--yes', ...place])).code).toBe(
    EXIT.config.code,
  );
});
