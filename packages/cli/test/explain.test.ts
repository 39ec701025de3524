import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestGateway, type TestGateway } from '../../testkit/src/in-process-gateway.ts';
import { EXIT } from '../src/exit-codes.ts';
import { run } from '../src/run.ts';
import { testIo } from './test-io.ts';

let open: TestGateway;
beforeAll(async () => {
  open = await startTestGateway();
});
afterAll(() => open.close());

async function explain(...argv: string[]) {
  const io = testIo();
  const code = await run(
    ['explain', ...argv, '--data-dir', open.dataDir, '--internal-url', open.urls.internal],
    io,
  );
  return { code, out: io.outLines, err: io.errLines };
}

test('a person reads who it is about, what decided, each rule, and what would change it', async () => {
  const { userId } = await open.logIn(0);
  await open.adminFetch(`/users/${userId}`, { permissions: ['market_data'] }, 'PATCH');
  const { code, out } = await explain('--who', `user:${userId}`, '--do', 'call POST /v1/user/update');
  expect(code).toBe(EXIT.ok.code);
  expect(out).toEqual([
    'refused: call POST /v1/user/update',
    `for user ${userId} (tier free, by session, may: market_data)`,
    'decided by: permission; the client is told forbidden',
    '  known: nothing against it',
    '  credential: nothing against it',
    '  suspended: nothing against it',
    '  allow-list: nothing against it',
    '  public: nothing against it',
    '  signed-in: nothing against it',
    '  permission: refuses',
    'to change it: Ask an operator for the permission, or use a key whose scopes include it.',
    'budget: 12000 of 12000 left, reserve 1200',
  ]);
});

test('a program reads one JSON object', async () => {
  const { code, out } = await explain('--who', 'anonymous', '--do', 'subscribe level2/ETH-USD', '--json');
  expect(code).toBe(EXIT.ok.code);
  expect(JSON.parse(out[0] ?? '')).toMatchObject({ allowed: true, rule: 'public', mend: null });
});

test.each([
  ['--who', 'somebody', '--do', 'query x'],
  ['--who', 'user:one', '--do', 'query x'],
  ['--who', 'key:', '--do', 'query x'],
  ['--do', 'query x'],
])('%s %s %s %s is a usage error', async (...argv) => {
  expect((await explain(...argv.filter((word) => word !== undefined))).code).toBe(EXIT.usage.code);
});

test('a question that the gateway cannot read is refused with what it can', async () => {
  const { code, err } = await explain('--who', 'anonymous', '--do', 'dance');
  expect(code).toBe(EXIT.refused.code);
  expect(err.join('\n')).toContain('subscribe <channel>');
});
