/** Finds the command that a command line names, checks its flags, runs it, and turns whatever happens into an exit code. */
import { type ArgsDef, renderUsage, runCommand } from 'citty';
import { CliError } from './cli-error.ts';
import { type AnyCommand, argsOf, kebab, subCommandsOf } from './command.ts';
import { root } from './command-tree.ts';
import { EXIT } from './exit-codes.ts';
import { type Io, printable } from './io.ts';
import { takeProfile, withProfile } from './profiles.ts';

/**
 * @param argv what follows the program's name
 * @returns the exit code
 */
export async function run(argv: readonly string[], io: Io): Promise<number> {
  const json = argv.includes('--json');
  try {
    const { words, profile } = takeProfile(argv, io.env);
    const { command, names, rest } = findCommand(words);
    if (argv.includes('--help') || argv.includes('-h') || (argv.length === 0 && command === root)) {
      io.out(await usageOf(command, names));
      return EXIT.ok.code;
    }
    if (command.subCommands) throw new CliError('usage', missingCommand(command, names, rest));
    refuseUnknownFlags(rest, argsOf(command), names);
    const { result } = await runCommand(command, {
      rawArgs: rest,
      data: profile === null ? io : withProfile(io, profile),
    });
    return typeof result === 'number' ? result : EXIT.ok.code;
  } catch (error) {
    const failure = toCliError(error);
    if (json) io.err(JSON.stringify({ event: 'error', error: failure.exit, message: failure.message }));
    else {
      io.err(`countersign: ${failure.message}`);
      if (failure.exit === 'usage') io.err('Try --help.');
    }
    return failure.exitCode;
  }
}

function findCommand(argv: readonly string[]): { command: AnyCommand; names: string[]; rest: string[] } {
  let command = root;
  const names = ['countersign'];
  let rest = [...argv];
  for (;;) {
    const [first, ...others] = rest;
    const next =
      first !== undefined && Object.hasOwn(subCommandsOf(command), first)
        ? subCommandsOf(command)[first]
        : undefined;
    if (!next || first === undefined) return { command, names, rest };
    command = next;
    names.push(first);
    rest = others;
  }
}

function missingCommand(command: AnyCommand, names: string[], rest: string[]): string {
  const known = Object.keys(subCommandsOf(command)).join(', ');
  const given = rest.find((word) => !word.startsWith('-'));
  return given === undefined
    ? `${names.join(' ')} needs one of: ${known}`
    : `${names.join(' ')} has no command "${printable(given, 40)}"; there are: ${known}`;
}

async function usageOf(command: AnyCommand, names: string[]): Promise<string> {
  const named = { ...command, meta: { ...(command.meta as object), name: names.join(' ') } };
  const everywhere =
    command === root ? '\nEvery command also takes --profile NAME (see: countersign profile list).' : '';
  return `${(await renderUsage(named)).trimEnd()}${everywhere}`;
}

/** citty lets unknown flags pass; a misspelt `--no-sandbx` should not start a sandbox. */
function refuseUnknownFlags(words: readonly string[], args: ArgsDef, names: readonly string[]): void {
  const known = new Map(Object.entries(args).map(([name, definition]) => [kebab(name), definition]));
  let places = Object.values(args).filter(({ type }) => type === 'positional').length;
  for (let at = 0; at < words.length; at++) {
    const word = words[at] ?? '';
    if (!word.startsWith('-') || word === '-') {
      places -= 1;
      if (places >= 0) continue;
      throw new CliError('usage', `what should "${printable(word, 40)}" be?`);
    }
    const [flag = '', value] = word.replace(/^--?/, '').split(/=(.*)/s);
    if (names.at(-1) === 'login' && /^(?:(?:private|wallet|secret)-?)?key$|^pk$/.test(flag)) {
      throw new CliError(
        'usage',
        'a private key does not belong on a command line: other programs can read it there, and shells keep it. ' +
          'Use --key-file, COUNTERSIGN_WALLET_KEY, or the prompt',
      );
    }
    const positive = flag.startsWith('no-') && !known.has(flag) ? flag.slice(3) : flag;
    const definition = known.get(positive);
    if (
      !definition ||
      definition.type === 'positional' ||
      (positive !== flag && definition.type !== 'boolean')
    ) {
      throw new CliError('usage', `${names.join(' ')} has no flag --${printable(flag, 40)}`);
    }
    if (definition.type === 'boolean') continue;
    if (value === undefined) at += 1;
    if ((value ?? words[at] ?? '') === '') throw new CliError('usage', `--${flag} needs a value`);
  }
}

function toCliError(error: unknown): CliError {
  if (error instanceof CliError) return error;
  if (error instanceof Error && error.name === 'CLIError')
    return new CliError('usage', printable(error.message));
  const message = error instanceof Error ? error.message : String(error);
  return new CliError('failure', printable(message), { cause: error });
}
