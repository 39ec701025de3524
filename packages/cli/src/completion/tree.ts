/** The command tree as completion needs it: words, flags, and which flags take a value. */
import { type AnyCommand, argsOf, kebab, subCommandsOf } from '../command.ts';

export interface FlagWord {
  /** `--key-file` */
  word: string;
  description: string;
  takes: 'nothing' | 'file' | 'folder' | 'text';
}

export interface Node {
  /** `[]` for the program itself, `['key', 'create']` for a command. */
  path: string[];
  commands: { word: string; description: string }[];
  flags: FlagWord[];
}

const everywhere: FlagWord[] = [
  { word: '--help', description: 'Show what the command does', takes: 'nothing' },
  { word: '--profile', description: 'Environment to work in', takes: 'text' },
];

/** Every command with what can follow it, parents first. */
export function nodesOf(command: AnyCommand, path: string[] = []): Node[] {
  const commands = Object.entries(subCommandsOf(command));
  const flags = Object.entries(argsOf(command))
    .filter(([, { type }]) => type !== 'positional')
    .map(([name, definition]): FlagWord => {
      const hint = 'valueHint' in definition ? definition.valueHint : undefined;
      const value = hint === 'file' || hint === 'folder' ? hint : 'text';
      return {
        word: `--${kebab(name)}`,
        description: definition.description ?? '',
        takes: definition.type === 'boolean' ? 'nothing' : value,
      };
    });
  const here = {
    path,
    commands: commands.map(([word, inner]) => ({
      word,
      description: (inner.meta as { description?: string } | undefined)?.description ?? '',
    })),
    flags: [...flags, ...everywhere],
  };
  return [here, ...commands.flatMap(([word, inner]) => nodesOf(inner, [...path, word]))];
}
