import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { defineCommand } from 'citty';
import { CliError } from '../cli-error.ts';
import { printable } from '../io.ts';
import { call, originOf } from '../session/api.ts';
import { ioOf, jsonFlag } from './shared.ts';

const DEFAULT_INTERNAL_URL = 'http://127.0.0.1:4401';

function readToken(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const why = code === 'ENOENT' ? 'there is no such file (is --data-dir right?)' : String(code);
    throw new CliError('config', `cannot read the admin token ${path}: ${why}`);
  }
}

const rotateSigningCommand = defineCommand({
  meta: {
    name: 'rotate-signing',
    description:
      'Sign with the next key from now on. Tokens that are out stay valid, unless --emergency is given',
  },
  args: {
    'internal-url': {
      type: 'string',
      valueHint: 'address',
      description: `Address of the gateway's internal listener (default: ${DEFAULT_INTERNAL_URL})`,
    },
    'data-dir': {
      type: 'string',
      valueHint: 'folder',
      description:
        "The gateway's data folder, where its admin token is (default: COUNTERSIGN_DATA_DIR, else .countersign)",
    },
    'token-file': {
      type: 'string',
      valueHint: 'file',
      description: 'The admin token, where it is elsewhere',
    },
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
    const folder = args['data-dir'] ?? (io.env.COUNTERSIGN_DATA_DIR || '.countersign');
    const token = readToken(args['token-file'] ?? join(folder, 'admin.token'));
    const answer = await call<{ rotation?: Record<string, unknown> }>(
      originOf(args['internal-url'] ?? DEFAULT_INTERNAL_URL),
      '/admin/v1/signing-keys/rotate',
      { method: 'POST', bearer: token, body: { emergency }, signal: io.stop },
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
  meta: { name: 'key', description: "Manage the gateway's keys" },
  subCommands: { 'rotate-signing': rotateSigningCommand },
});
