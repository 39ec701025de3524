/** `countersign signing-keys`: the keys that the gateway signs its own tokens with. */
import { defineCommand } from 'citty';
import { CliError } from '../cli-error.ts';
import { type Io, printable } from '../io.ts';
import { call } from '../session/api.ts';
import { type AdminArgs, adminFlags, adminOf } from './key-access.ts';
import { instant, ioOf, jsonFlag } from './shared.ts';

interface KeyStanding {
  kid: string;
  alg: string;
  state: 'next' | 'active' | 'retired' | 'revoked';
  createdAt: number;
  activatedAt: number | null;
  retiredAt: number | null;
}

const at = (milliseconds: number) => instant(Math.floor(milliseconds / 1000));

function lineOf({ kid, alg, state, createdAt, activatedAt, retiredAt }: KeyStanding): string {
  const since = retiredAt ?? activatedAt ?? createdAt;
  return printable(`${state.padEnd(8)} ${kid}  ${alg}  since ${at(since)}  made ${at(createdAt)}`, 400);
}

const listCommand = defineCommand({
  meta: { name: 'list', description: 'List the signing keys: next, active, and those that still verify' },
  args: { ...adminFlags, ...jsonFlag },
  async run(context) {
    const io = ioOf(context);
    const { origin, bearer } = adminOf(context.args, io);
    const { keys } = await call<{ keys: KeyStanding[] }>(origin, '/admin/v1/signing-keys', {
      bearer,
      signal: io.stop,
    });
    for (const key of keys) io.out(context.args.json ? JSON.stringify(key) : lineOf(key));
  },
});

async function rotate(args: AdminArgs & { json?: boolean | undefined }, io: Io, emergency: boolean) {
  const { origin, bearer } = adminOf(args, io);
  const answer = await call<{ rotation?: Record<string, unknown> }>(origin, '/admin/v1/signing-keys/rotate', {
    method: 'POST',
    bearer,
    body: { emergency },
    signal: io.stop,
  });
  if (args.json === true) return io.out(JSON.stringify(answer));
  io.out(
    emergency
      ? 'rotated; tokens of the old keys are refused'
      : 'rotated; tokens of the old key stay valid until they expire',
  );
  for (const [name, value] of Object.entries(answer?.rotation ?? {})) {
    io.out(`${printable(name)}: ${printable(typeof value === 'string' ? value : JSON.stringify(value))}`);
  }
}

const rotateCommand = defineCommand({
  meta: {
    name: 'rotate',
    description: 'Sign with the next key from now on. Tokens that are out stay valid until they expire',
  },
  args: { ...adminFlags, ...jsonFlag },
  run: (context) => rotate(context.args, ioOf(context), false),
});

const revokeCommand = defineCommand({
  meta: {
    name: 'revoke',
    description:
      'The keys may be known to others: refuse everything they signed, at once. Everyone has to log in again',
  },
  args: {
    ...adminFlags,
    yes: { type: 'boolean', description: 'Do not ask first' },
    ...jsonFlag,
  },
  async run(context) {
    const io = ioOf(context);
    if (context.args.yes !== true) {
      if (!io.inIsTerminal)
        throw new CliError('usage', 'revoking the signing keys logs everyone out: give --yes as well');
      io.err(
        'Every access and refresh token that is out will be refused at once. Everyone has to log in again.',
      );
      if ((await io.ask('Type yes to go on')) !== 'yes')
        throw new CliError('interrupted', 'nothing was changed');
    }
    return rotate(context.args, io, true);
  },
});

export const signingKeysCommand = defineCommand({
  meta: { name: 'signing-keys', description: "The keys that sign the gateway's own tokens" },
  subCommands: { list: listCommand, rotate: rotateCommand, revoke: revokeCommand },
});
