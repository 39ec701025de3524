/** Comparators in processes of their own, so that each side of a comparison has one core and no company. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export interface Child {
  /** What it printed first: where it listens. */
  readonly url: string;
  readonly pid: number;
  stop(): Promise<void>;
}

/** @param program a file beside this one. @param cpus as `taskset -c` takes them */
export async function startChild(
  program: string,
  cpus: string,
  args: readonly string[] = [],
): Promise<Child> {
  const file = fileURLToPath(new URL(program, import.meta.url));
  const child: ChildProcess = spawn(
    'taskset',
    ['-c', cpus, process.execPath, '--import', 'tsx', file, ...args],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const [url] = (await once(createInterface({ input: child.stdout! }), 'line')) as [string];
  return {
    url,
    pid: child.pid ?? 0,
    async stop() {
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
    },
  };
}
