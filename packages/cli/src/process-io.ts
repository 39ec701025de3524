import { isCancel, password, text } from '@clack/prompts';
import type { Io } from './io.ts';

/**
 * npm passes Ctrl-C on to its child, which has had it from the terminal already where the shell in between
 * is replaced by the child. The second of a pair is not somebody who has lost patience.
 */
const SAME_PRESS_MS = 500;

/** The real process. SIGINT and SIGTERM end `stop`; a second one ends the process at once. */
export function processIo(): Io {
  const stop = new AbortController();
  let handlers = 0;
  let stoppedAt = Number.NEGATIVE_INFINITY;
  for (const [signal, exitCode] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const) {
    process.on(signal, () => {
      if (stop.signal.aborted && performance.now() - stoppedAt < SAME_PRESS_MS) return;
      if (handlers === 0 || stop.signal.aborted) process.exit(exitCode);
      stoppedAt = performance.now();
      stop.abort(signal);
    });
  }
  // A reader that closed the pipe (`countersign listen | head -1`) has what it wanted.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));
  // Whoever read the log has gone, or its disk is full: no reason to stop serving, and to log that would fail again.
  process.stderr.on('error', () => {});
  const answer = async (given: Promise<string | symbol>): Promise<string | null> => {
    const value = await given;
    return isCancel(value) ? null : String(value);
  };
  return {
    out: (line) => process.stdout.write(`${line}\n`),
    err: (line) => process.stderr.write(`${line}\n`),
    draw: (text) => process.stdout.write(text),
    size: () => ({ columns: process.stdout.columns ?? 80, rows: process.stdout.rows ?? 24 }),
    input: () => process.stdin.setEncoding('utf8') as AsyncIterable<string>,
    env: process.env,
    outIsTerminal: process.stdout.isTTY === true,
    errIsTerminal: process.stderr.isTTY === true,
    inIsTerminal: process.stdin.isTTY === true,
    askHidden: (question) => answer(password({ message: question, output: process.stderr })),
    ask: (question) => answer(text({ message: question, output: process.stderr })),
    stop: stop.signal,
    handleStop() {
      handlers += 1;
      return () => {
        handlers -= 1;
      };
    },
  };
}
