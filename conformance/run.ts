/**
 * Runs clients that people really have against the built gateway, each as its users run it, and says what each
 * of them saw. Only the address and the keys are ours.
 *
 * npm run conformance                    all clients
 * npm run conformance -- node-viem ...   some
 *   --json       one JSON document on standard output instead of the table
 *   --jobs N     clients at the same time (default 4)
 *
 * Exit code 0 if every step of every client that could run passed. A client that lacks something is skipped
 * with the reason; with REQUIRE_SERVICES=1 that is a failure.
 */
import { parseArgs } from 'node:util';
import { createLoadWallets } from '@countersign/testkit';
import { readCases } from './runner/cases.ts';
import { runClient } from './runner/client.ts';
import { type ConformanceGateway, startGateway, startRestartable } from './runner/gateways.ts';
import { printTable, type Result, totals } from './runner/report.ts';
import { prepareRuntimes } from './runner/runtimes.ts';

const ACCESS_TTL = 5;
const LEEWAY = 2;
/** Seconds for all clients together, their preparation not counted. */
const LIMIT = 170;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { json: { type: 'boolean', default: false }, jobs: { type: 'string', default: '4' } },
});
const cases = await readCases(new URL('./cases/', import.meta.url));
const unknown = positionals.find((name) => !cases.some((one) => one.name === name));
if (unknown !== undefined) {
  process.stderr.write(
    `there is no client "${unknown}"; there are: ${cases.map(({ name }) => name).join(', ')}\n`,
  );
  process.exit(2);
}
const chosen = positionals.length === 0 ? cases : cases.filter(({ name }) => positionals.includes(name));
const required = process.env.REQUIRE_SERVICES === '1';

const runtimes = await prepareRuntimes(
  new Set(chosen.flatMap(({ runtime, needs }) => [runtime, ...needs])),
  (text) => process.stderr.write(`${text}\n`),
);
const settings = {
  COUNTERSIGN_ACCESS_TTL: String(ACCESS_TTL),
  COUNTERSIGN_LEEWAY: String(LEEWAY),
  COUNTERSIGN_LOG_LEVEL: 'warn',
};
const shared = await startGateway(settings);
const results: Result[] = [];
const complaints: string[] = [];
try {
  const wallets = await createLoadWallets(chosen.length);
  const deadline = Date.now() + LIMIT * 1000;
  const queue = chosen.entries();
  const work = async () => {
    for (const [index, one] of queue) {
      const wallet = wallets[index]!;
      const own: ConformanceGateway | null = one.restarts ? await startRestartable(settings) : null;
      const result = await runClient(one, runtimes, deadline, {
        ...(own ?? shared).env,
        WALLET_ADDRESS: wallet.address,
        WALLET_KEY: `0x${Buffer.from(wallet.privateKey).toString('hex')}`,
        CHAIN_ID: '1',
        ACCESS_TTL: String(ACCESS_TTL),
        LEEWAY: String(LEEWAY),
      });
      if (own !== null) complaints.push(...(await own.stop()).map((line) => `${one.name}: ${line}`));
      results.push(result);
      const { passed, failed } = totals([result]);
      const said =
        result.skipped === null ? `${passed} passed, ${failed} failed` : `skipped: ${result.skipped}`;
      process.stderr.write(`${one.name}: ${said} (${result.seconds.toFixed(1)} s)\n`);
    }
  };
  await Promise.all(Array.from({ length: Math.max(1, Number(values.jobs)) }, work));
  results.sort((a, b) => chosen.indexOf(a.client) - chosen.indexOf(b.client));
} finally {
  complaints.push(...(await shared.stop()));
}

const { passed, failed, skipped } = totals(results);
if (values.json) {
  const clients = results.map(({ client, ...result }) => ({
    client: client.name,
    title: client.title,
    ...result,
  }));
  process.stdout.write(`${JSON.stringify({ passed, failed, skipped, complaints, clients })}\n`);
} else {
  printTable(results, complaints);
  process.stdout.write(`${passed} passed, ${failed} failed, ${skipped} skipped\n`);
}
process.exitCode = failed > 0 || complaints.length > 0 || (required && skipped > 0) ? 1 : 0;
