/** Results for people: steps down, clients across. */
import type { Case } from './cases.ts';

export interface Step {
  step: string;
  ok: boolean;
  detail: string;
}

export interface Result {
  client: Case;
  steps: Step[];
  /** Why the client did not run, and how it would; null if it ran. */
  skipped: string | null;
  seconds: number;
}

/** Counts steps; each expected step of a client that did not run counts as skipped. */
export function totals(results: readonly Result[]): { passed: number; failed: number; skipped: number } {
  const steps = results.flatMap((result) => result.steps);
  const passed = steps.filter(({ ok }) => ok).length;
  const skipped = results
    .filter((result) => result.skipped !== null)
    .reduce((sum, { client }) => sum + client.steps.length, 0);
  return { passed, failed: steps.length - passed, skipped };
}

export function printTable(results: readonly Result[], complaints: readonly string[]): void {
  const out = (text = '') => process.stdout.write(`${text}\n`);
  const names = [
    ...new Set(results.flatMap(({ client, steps }) => [...client.steps, ...steps.map((one) => one.step)])),
  ];
  const width = Math.max(...names.map((name) => name.length));
  results.forEach(({ client, seconds }, index) => {
    out(`${String(index + 1).padStart(3)}  ${client.name}: ${client.title} (${seconds.toFixed(1)} s)`);
  });
  out();
  out(`${' '.repeat(width)}${results.map((_, index) => String(index + 1).padStart(6)).join('')}`);
  for (const name of names) {
    out(`${name.padEnd(width)}${results.map((result) => mark(result, name).padStart(6)).join('')}`);
  }
  out();
  for (const { client, steps, skipped } of results) {
    if (skipped !== null) out(`skipped ${client.name}: ${skipped}`);
    for (const { step, ok, detail } of steps) if (!ok) out(`FAILED ${client.name} ${step}: ${detail}`);
  }
  for (const complaint of complaints) out(`FAILED gateway: ${complaint}`);
}

function mark({ client, steps, skipped }: Result, name: string): string {
  if (skipped !== null) return client.steps.includes(name) ? 'skip' : '';
  const step = steps.find((one) => one.step === name);
  return step === undefined ? '' : step.ok ? 'ok' : 'FAIL';
}
