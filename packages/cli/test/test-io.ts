import type { Io } from '../src/io.ts';

/** An `Io` that remembers what was said. */
export interface TestIo extends Io {
  readonly outLines: string[];
  readonly errLines: string[];
  /** What was drawn on the terminal. */
  readonly drawn: string[];
  abort(): void;
}

export function testIo(
  options: {
    env?: Record<string, string>;
    terminal?: boolean;
    answers?: string[];
    /** What is piped in, in these pieces. */
    input?: string[];
    onOut?: (line: string) => void;
  } = {},
): TestIo {
  const outLines: string[] = [];
  const errLines: string[] = [];
  const drawn: string[] = [];
  const answers = [...(options.answers ?? [])];
  const stop = new AbortController();
  const answer = async () => answers.shift() ?? null;
  return {
    outLines,
    errLines,
    drawn,
    draw: (text) => void drawn.push(text),
    size: () => ({ columns: 80, rows: 24 }),
    async *input() {
      yield* options.input ?? [];
    },
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
