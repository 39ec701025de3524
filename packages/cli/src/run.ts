/** Finds the command that a command line names, checks its flags, runs it, and turns whatever happens into an exit code. */
import { type ArgsDef, type CommandDef, renderUsage, runCommand } from 'citty';
import { CliError } from './cli-error.ts';
import { configCommand } from './commands/config.ts';
import { explainCommand } from './commands/explain.ts';
import { keyCommand } from './commands/key.ts';
import { listenCommand } from './commands/listen.ts';
import { loginCommand } from './commands/login.ts';
import { logoutCommand } from './commands/logout.ts';
import { serveCommand } from './commands/serve.ts';
import { tokenCommand } from './commands/token.ts';
import { whoamiCommand } from './commands/whoami.ts';
import { EXIT } from './exit-codes.ts';
import { type Io, printable } from './io.ts';

type AnyCommand = CommandDef<ArgsDef>;

const root = {
  meta: {
    name: 'countersign',
    description: 'Run a Countersign gateway, log in to one, and listen to its streams',
  },
  subCommands: {
    serve: serveCommand,
    login: loginCommand,
    whoami: whoamiCommand,
    logout: logoutCommand,
    listen: listenCommand,
    key: keyCommand,
    token: tokenCommand,
    explain: explainCommand,
    config: configCommand,
  },
} as unknown as AnyCommand;

/**
 * @param argv what follows the program's name
 * @returns the exit code
 */
export async function run(argv: readonly string[], io: Io): Promise<number> {
  const json = argv.includes('--json');
  try {
    const { command, names, rest } = findCommand(argv);
    if (argv.includes('--help') || argv.includes('-h') || (argv.length === 0 && command === root)) {
      io.out(await usageOf(command, names));
      return EXIT.ok.code;
    }
    if (command.subCommands) throw new CliError('usage', missingCommand(command, names, rest));
    refuseUnknownFlags(rest, (command.args ?? {}) as ArgsDef, names);
    const { result } = await runCommand(command, { rawArgs: rest, data: io });
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

const subCommandsOf = (command: AnyCommand) => (command.subCommands ?? {}) as Record<string, AnyCommand>;

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
  return (await renderUsage(named)).trimEnd();
}

const kebab = (name: string) => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

/** citty lets unknown flags pass; a misspelt `--no-sandbx` should not start a sandbox. */
function refuseUnknownFlags(words: readonly string[], args: ArgsDef, names: readonly string[]): void {
  const known = new Map(Object.entries(args).map(([name, definition]) => [kebab(name), definition]));
  for (let at = 0; at < words.length; at++) {
    const word = words[at] ?? '';
    if (!word.startsWith('-') || word === '-')
      throw new CliError('usage', `what should "${printable(word, 40)}" be?`);
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
    if (!definition || (positive !== flag && definition.type !== 'boolean')) {
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
