/** `countersign completion bash|zsh|fish`. */
import { defineCommand } from 'citty';
import { CliError } from '../cli-error.ts';
import { printable } from '../io.ts';
import { ioOf } from './shared.ts';

export const completionCommand = defineCommand({
  meta: {
    name: 'completion',
    description: 'Print a completion script for a shell: eval "$(countersign completion bash)"',
  },
  args: { shell: { type: 'positional', required: true, description: 'bash, zsh or fish' } },
  async run(context) {
    // Loaded here: the tree holds this very command.
    const { root } = await import('../command-tree.ts');
    const { nodesOf } = await import('../completion/tree.ts');
    const { bashScript, fishScript, zshScript } = await import('../completion/shells.ts');
    const scripts = { bash: bashScript, zsh: zshScript, fish: fishScript };
    const { shell } = context.args;
    if (!Object.hasOwn(scripts, shell))
      throw new CliError(
        'usage',
        `"${printable(shell, 40)}" is no shell that is known here: bash, zsh or fish`,
      );
    ioOf(context).out(scripts[shell as keyof typeof scripts](nodesOf(root)));
  },
});
