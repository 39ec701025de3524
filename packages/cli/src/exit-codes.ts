/** The one table of exit codes. `docs/cli.md` shows it, and a test holds the two together. */
export const EXIT = Object.freeze({
  ok: { code: 0, meaning: 'It worked.' },
  failure: { code: 1, meaning: 'It failed here, for a reason that the message names.' },
  usage: { code: 2, meaning: 'The command line was not understood.' },
  refused: { code: 3, meaning: 'The server answered and said no.' },
  unreachable: { code: 4, meaning: 'The server could not be reached, or did not answer in time.' },
  config: { code: 5, meaning: 'A setting, a file or a folder cannot be used, or a port is taken.' },
  untrusted: {
    code: 6,
    meaning: 'The server asked for something that must not be signed. Nothing was signed.',
  },
  interrupted: { code: 130, meaning: 'Stopped by Ctrl-C before it was done.' },
} as const satisfies Record<string, { code: number; meaning: string }>);

export type ExitName = keyof typeof EXIT;
