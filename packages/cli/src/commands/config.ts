import { defineCommand } from 'citty';
import { CliError } from '../cli-error.ts';
import { ioOf, jsonFlag } from './shared.ts';

const printCommand = defineCommand({
  meta: { name: 'print', description: 'Show the settings that `serve` would use, with secrets masked' },
  args: {
    config: { type: 'string', valueHint: 'file', description: 'Settings file (default: COUNTERSIGN_CONFIG)' },
    ...jsonFlag,
  },
  async run(context) {
    const io = ioOf(context);
    const { ConfigError, parseConfig } = await import('@countersign/gateway');
    const { composeConfig, masked } = await import('../config-sources.ts');
    const { stringify } = await import('yaml');
    const { input, warnings } = composeConfig({ file: context.args.config, env: io.env, flags: {} });
    for (const line of warnings) io.err(`warning: ${line}`);
    try {
      const shown = masked(parseConfig(input));
      io.out(context.args.json ? JSON.stringify(shown) : stringify(shown).trimEnd());
    } catch (error) {
      if (error instanceof ConfigError) throw new CliError('config', error.message);
      throw error;
    }
  },
});

export const configCommand = defineCommand({
  meta: { name: 'config', description: 'Look at the settings' },
  subCommands: { print: printCommand },
});
