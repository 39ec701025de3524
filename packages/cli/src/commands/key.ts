import { defineCommand } from 'citty';
import { CliError } from '../cli-error.ts';
import { printable } from '../io.ts';
import { call } from '../session/api.ts';
import { adminFlags, adminOf } from './key-access.ts';
import { keyCreateCommand } from './key-create.ts';
import { keyImportCommand } from './key-import.ts';
import {
  keyDeleteCommand,
  keyDisableCommand,
  keyEnableCommand,
  keyListCommand,
  keyRenameCommand,
  keyShowCommand,
} from './key-manage.ts';
import { keyRotateCommand } from './key-rotate.ts';
import { ioOf, jsonFlag } from './shared.ts';

const rotateSigningCommand = defineCommand({
  meta: {
    name: 'rotate-signing',
    description:
      'Sign with the next key from now on. Tokens that are out stay valid, unless --emergency is given',
  },
  args: {
    ...adminFlags,
    emergency: {
      type: 'boolean',
      description:
        'The key may be known to others: refuse everything it signed, at once. Everyone has to log in again',
    },
    yes: { type: 'boolean', description: 'Do not ask before an emergency rotation' },
    ...jsonFlag,
  },
  async run(context) {
    const io = ioOf(context);
    const { args } = context;
    const emergency = args.emergency === true;
    if (emergency && args.yes !== true) {
      if (!io.inIsTerminal)
        throw new CliError('usage', 'an emergency rotation logs everyone out: give --yes as well');
      io.err(
        'Every access and refresh token that is out will be refused at once. Everyone has to log in again.',
      );
      if ((await io.ask('Type yes to go on')) !== 'yes')
        throw new CliError('interrupted', 'nothing was changed');
    }
    const { origin, bearer } = adminOf(args, io);
    const answer = await call<{ rotation?: Record<string, unknown> }>(
      origin,
      '/admin/v1/signing-keys/rotate',
      { method: 'POST', bearer, body: { emergency }, signal: io.stop },
    );
    if (args.json) io.out(JSON.stringify(answer));
    else {
      io.out(
        emergency
          ? 'rotated; tokens of the old keys are refused'
          : 'rotated; tokens of the old key stay valid until they expire',
      );
      for (const [name, value] of Object.entries(answer?.rotation ?? {})) {
        io.out(`${printable(name)}: ${printable(typeof value === 'string' ? value : JSON.stringify(value))}`);
      }
    }
  },
});

export const keyCommand = defineCommand({
  meta: { name: 'key', description: 'Manage API keys, and the key that the gateway signs with' },
  subCommands: {
    create: keyCreateCommand,
    import: keyImportCommand,
    list: keyListCommand,
    show: keyShowCommand,
    rename: keyRenameCommand,
    disable: keyDisableCommand,
    enable: keyEnableCommand,
    rotate: keyRotateCommand,
    delete: keyDeleteCommand,
    'rotate-signing': rotateSigningCommand,
  },
});
