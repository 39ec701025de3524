import type { Io } from '../src/io.ts';

/** An `Io` that remembers what was said. */
export interface TestIo extends Io {
  readonly outLines: string[];
  readonly errLines: string[];
  abort(): void;
}

export function testIo(
  options: {
    env?: Record<string, string>;
    terminal?: boolean;
    answers?: string[];
    onOut?: (line: string) => void;
  } = {},
): TestIo {
  const outLines: string[] = [];
  const errLines: string[] = [];
  const answers = [...(options.answers ?? [])];
  const stop = new AbortController();
  const answer = async () => answers.shift() ?? null;
  return {
    outLines,
    errLines,
    out(line) {
      outLines.push(line);
      options.onOut?.(line);
    },
    err: (line) => void errLines.push(line),
    env: options.env ?? {},
    outIsTerminal: options.terminal ?? false,
    errIsTerminal: options.terminal ?? false,
    inIsTerminal: options.terminal ?? false,
    ask: answer,
    askHidden: answer,
    stop: stop.signal,
    handleStop: () => () => undefined,
    abort: () => stop.abort(),
  };
}
