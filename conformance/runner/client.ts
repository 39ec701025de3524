/** Runs one client program and holds what it reports against what its case expects. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Case } from './cases.ts';
import type { Result, Step } from './report.ts';
import type { Runtimes } from './runtimes.ts';

const HERE = new URL('../', import.meta.url);
/** The documentation pages lie beside the checkout, where they are at all. */
const SEEDS = fileURLToPath(new URL('../../shared/seeds/', HERE));
const ERROR_LINES = 5;

/**
 * @param deadline wall-clock milliseconds after which no client may still run
 * @returns one step per expected one; a missing, doubled or unexpected step is a failed one
 */
export async function runClient(
  client: Case,
  runtimes: Runtimes,
  deadline: number,
  env: Record<string, string>,
): Promise<Result> {
  const runtime = runtimes[client.runtime];
  const skip = (why: string): Result => ({ client, steps: [], skipped: why, seconds: 0 });
  if ('missing' in runtime) return skip(runtime.missing);
  for (const need of client.needs) {
    const other = runtimes[need];
    if ('missing' in other) return skip(other.missing);
  }
  if (client.seeds && !existsSync(SEEDS)) return skip('its page is not stored here (folder ../shared/seeds)');

  const begun = performance.now();
  const program = fileURLToPath(new URL(client.program, HERE));
  const [command, ...before] = runtime.command;
  const child = spawn(command, [...before, program], {
    env: { ...process.env, ...env, SEEDS },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const reported: Step[] = [];
  const errors: string[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => {
    try {
      reported.push(JSON.parse(line) as Step);
    } catch {
      errors.push(line);
    }
  });
  createInterface({ input: child.stderr }).on('line', (line) => {
    errors.push(line);
    if (errors.length > ERROR_LINES) errors.shift();
  });
  const patience = Math.max(0, Math.min(client.seconds * 1000, deadline - Date.now()));
  const timer = setTimeout(() => child.kill('SIGKILL'), patience);
  const end = await new Promise<string | null>((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('close', (code, signal) =>
      resolve(signal !== null ? `ended by ${signal}` : code === 0 ? null : `ended with ${code}`),
    );
  });
  clearTimeout(timer);
  const why = [end ?? 'not reported', ...errors].join(' | ');
  return {
    client,
    steps: judge(client.steps, reported, why),
    skipped: null,
    seconds: (performance.now() - begun) / 1000,
  };
}

function judge(expected: readonly string[], reported: readonly Step[], why: string): Step[] {
  const steps = expected.map((step): Step => {
    const found = reported.filter((one) => one.step === step);
    if (found.length > 1) return { step, ok: false, detail: `reported ${found.length} times` };
    return found[0] ?? { step, ok: false, detail: why };
  });
  for (const one of reported) {
    if (!expected.includes(one.step))
      steps.push({ ...one, ok: false, detail: `not in the case file: ${one.detail}` });
  }
  return steps;
}
