import { expect, test } from 'vitest';
import { EXIT } from '../src/exit-codes.ts';
import { run } from '../src/run.ts';
import { testIo } from './test-io.ts';

async function relays(...argv: string[]) {
  const io = testIo();
  const code = await run(['relays', ...argv], io);
  return { code, out: io.outLines };
}

test('the table of relays is printed without asking anybody', async () => {
  const { out } = await relays('--json');
  const rows = out.map(
    (line) => JSON.parse(line) as { region: string; environment: string; publicKey: string },
  );
  expect(rows.map(({ region, environment }) => `${region} ${environment}`)).toEqual([
    'Tokyo mainnet',
    'Frankfurt mainnet',
    'Virginia mainnet',
    'Tokyo hoodi',
  ]);
  for (const { publicKey } of rows) expect(publicKey).toMatch(/^0x[0-9a-f]{96}$/);
});

test('it can be narrowed to one environment', async () => {
  expect((await relays('--environment', 'hoodi')).out).toEqual([
    expect.stringMatching(/^Tokyo +hoodi +hoodi-relay\.ethgas\.com +0xb20c/),
  ]);
  expect((await relays('--environment', 'sepolia')).code).toBe(EXIT.usage.code);
});
