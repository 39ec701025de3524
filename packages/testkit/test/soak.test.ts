/** The soak of `bench/` in small: a few clients of every door, some seconds, one seed. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createGateway, createLog, type Gateway } from '@countersign/gateway';
import { afterEach, expect, it } from 'vitest';
import { soak } from '../../../bench/lib/soak.ts';
import type { Ending } from '../../../bench/lib/soak-allowance.ts';

const lives = { access: 4, session: 600, leeway: 1 };
const ENDINGS: readonly Ending[] = [
  { spec: 'close:1012@1.5', earliest: 1.5, renews: false },
  { spec: 'freeze:0.5-1.5', earliest: 0.5, renews: false },
  { spec: 'expire:1', earliest: 1, renews: true },
  { spec: 'revoke:2', earliest: 2, renews: true },
  { spec: 'close:4101@1', earliest: 1, renews: false },
];

const dataDir = mkdtempSync(join(tmpdir(), 'countersign-soak-test-'));
let gateway: Gateway | null = null;
afterEach(async () => {
  await gateway?.close();
  rmSync(dataDir, { recursive: true, force: true });
});

async function start(ports: { port: number; internalPort: number }) {
  const tokens = { accessTtl: lives.access, refreshTtl: lives.session, leeway: lives.leeway };
  gateway = await createGateway(
    { ...ports, dataDir, tokens, sandbox: { faults: true } },
    { log: createLog({ level: 'silent' }) },
  );
  return gateway.start();
}

it('a few clients of every door get everything once, in order, or are told, through every fault and a restart', async () => {
  const urls = await start({ port: 0, internalPort: 0 });
  const ports = {
    port: Number(new URL(urls.rest).port),
    internalPort: Number(new URL(urls.internal).port),
  };
  const report = await soak(
    {
      urls,
      backendToken: readFileSync(gateway!.credentials.backend.tokenFile, 'utf8').trim(),
      seed: 'short',
      perDoor: ENDINGS.length,
      rate: 50,
      lives,
      faults: 'drop:0.02,duplicate:0.02,reorder:0.02,gap:0.01,429:0.02,delay:0-10',
      endings: ENDINGS,
      wholeEvery: 4,
      async restart() {
        await gateway!.close();
        await start(ports);
      },
    },
    [
      { seconds: 3, restartEvery: 2 },
      { seconds: 2, restartEvery: Number.POSITIVE_INFINITY },
    ],
  );
  expect(report.failures).toEqual([]);
  // It was not quiet: a soak in which nothing happens would succeed as well.
  expect(report.restarts).toBe(1);
  expect(report.updates).toBeGreaterThan(200);
  expect(report['books compared']).toBeGreaterThan(100);
  expect(report['gaps noticed']).toBeGreaterThan(5);
  expect(report.used.connects).toBeGreaterThan(ENDINGS.length * 3);
  expect(report['ended by revocation or refusal']).toBeGreaterThan(0);
}, 60_000);
