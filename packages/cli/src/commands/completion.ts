/** `countersign completion bash|zsh|fish`. */
import { defineCommand } from 'citty';
import { CliError } from '../cli-error.ts';
import type { AnyCommand } from '../command.ts';
import { bashScript, fishScript, zshScript } from '../completion/shells.ts';
import { nodesOf } from '../completion/tree.ts';
import { printable } from '../io.ts';
import { ioOf } from './shared.ts';

const scripts = { bash: bashScript, zsh: zshScript, fish: fishScript };

/** @param root the tree that holds this very command, once it is there */
export const completionCommand = (root: () => AnyCommand) =>
  defineCommand({
    meta: {
      name: 'completion',
      description: 'Print a completion script for a shell: eval "$(countersign completion bash)"',
    },
    args: { shell: { type: 'positional', required: true, description: 'bash, zsh or fish' } },
    async run(context) {
      const { shell } = context.args;
      if (!Object.hasOwn(scripts, shell))
        throw new CliError(
          'usage',
          `"${printable(shell, 40)}" is no shell that is known here: bash, zsh or fish`,
        );
      ioOf(context).out(scripts[shell as keyof typeof scripts](nodesOf(root())));
    },
  });
