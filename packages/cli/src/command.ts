/** A command, without regard to which: what running, help and completion need of it. */
import type { ArgsDef, CommandDef } from 'citty';

export type AnyCommand = CommandDef<ArgsDef>;

export const subCommandsOf = (command: AnyCommand) =>
  (command.subCommands ?? {}) as Record<string, AnyCommand>;

export const argsOf = (command: AnyCommand) => (command.args ?? {}) as ArgsDef;

/** As it stands on a command line: `keyFile` is `--key-file`. */
export const kebab = (name: string) => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
