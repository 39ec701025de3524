/** What a command may touch of the process around it. Tests hand in their own. */
export interface Io {
  /** Answers: what a caller may pipe on. */
  out(line: string): void;
  /** Everything else: progress, warnings, errors. */
  err(line: string): void;
  /** To the terminal as it is, for a view that draws over itself. */
  draw(text: string): void;
  /** Size of the terminal, as it is now. */
  size(): { columns: number; rows: number };
  /** What is piped into the program, in pieces. */
  input(): AsyncIterable<string>;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Standard output is a terminal: a person reads it. */
  readonly outIsTerminal: boolean;
  /** Standard error is a terminal. */
  readonly errIsTerminal: boolean;
  /** Standard input is a terminal: a person can be asked. */
  readonly inIsTerminal: boolean;
  /** Asks for a line that is not shown while it is typed. Null if the person gave up. */
  askHidden(question: string): Promise<string | null>;
  /** Asks for a line. Null if the person gave up. */
  ask(question: string): Promise<string | null>;
  /** Ends when the program is asked to stop. */
  readonly stop: AbortSignal;
  /** Keeps `stop` from ending the process at once, because the command will end by itself. Undone by the returned function. */
  handleStop(): () => void;
}

/** Text from elsewhere, safe to show on a terminal: control characters could move the cursor or hide what follows. */
export function printable(text: string, longest = 300): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must go
  const plain = text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, ' ');
  return plain.length > longest ? `${plain.slice(0, longest)}…` : plain;
}
