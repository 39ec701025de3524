import { defineCommand } from 'citty';
import { CliError } from '../cli-error.ts';
import { printable } from '../io.ts';
import type { KeyAnswer } from '../session/key-file.ts';
import { keyAccess, keyIdOf, oneKeyFlags, userFlags } from './key-access.ts';
import { instant, ioOf, jsonFlag } from './shared.ts';

const at = (milliseconds: number) => instant(Math.floor(milliseconds / 1000));

function stateOf({ enabled, expiresAt, replacedBy }: KeyAnswer): string {
  if (!enabled) return 'disabled';
  if (expiresAt === null) return 'enabled';
  const over = expiresAt <= Date.now() ? 'ended' : 'ends';
  return `${over} ${at(expiresAt)}${replacedBy === null ? '' : ' (replaced)'}`;
}

const line = (key: KeyAnswer): string =>
  printable(`${key.name}  ${key.nickname}  ${key.scopes.join(',')}  ${stateOf(key)}`, 400);

export const keyListCommand = defineCommand({
  meta: { name: 'list', description: 'List API keys, newest first' },
  args: { ...userFlags, ...jsonFlag },
  async run(context) {
    const io = ioOf(context);
    const access = await keyAccess(context.args, io);
    const { keys } = await access.all<{ keys: KeyAnswer[] }>();
    if (context.args.json) for (const key of keys) io.out(JSON.stringify(key));
    else if (keys.length === 0) io.err('there are no keys; make one with: countersign key create');
    else for (const key of keys) io.out(line(key));
  },
});

function details(key: KeyAnswer): string[] {
  const rows: [string, string][] = [
    ['name', key.name],
    ['nickname', key.nickname],
    ['user', String(key.userId)],
    ['algorithm', key.alg],
    ['scopes', key.scopes.join(', ')],
    ['state', stateOf(key)],
    ['addresses', key.allowedIps.join(', ') || 'any'],
    ['tokens', key.replay === 'strict' ? 'count once' : 'count until they expire'],
    ['tier', key.tier ?? "the user's"],
    ['made', at(key.createdAt)],
    ...(key.replacedBy === null ? [] : ([['replaced by', key.replacedBy]] as [string, string][])),
  ];
  return rows.map(([name, value]) => `${name.padEnd(12)} ${printable(value)}`);
}

export const keyShowCommand = defineCommand({
  meta: { name: 'show', description: 'Show everything about an API key but its private half' },
  args: { ...oneKeyFlags, ...jsonFlag },
  async run(context) {
    const io = ioOf(context);
    const keyId = keyIdOf(context.args.key);
    const { key } = await (await keyAccess(context.args, io)).one<{ key: KeyAnswer }>(keyId);
    if (context.args.json) io.out(JSON.stringify(key));
    else for (const row of details(key)) io.out(row);
  },
});

const changeCommand = (name: string, description: string, change: { enabled: boolean }) =>
  defineCommand({
    meta: { name, description },
    args: { ...oneKeyFlags, ...jsonFlag },
    async run(context) {
      const io = ioOf(context);
      const keyId = keyIdOf(context.args.key);
      const access = await keyAccess(context.args, io);
      const { key } = await access.one<{ key: KeyAnswer }>(keyId, { method: 'PATCH', body: change });
      io.out(context.args.json ? JSON.stringify(key) : line(key));
    },
  });

export const keyDisableCommand = changeCommand(
  'disable',
  'Refuse an API key from now on, on open connections too. It can be enabled again',
  { enabled: false },
);
export const keyEnableCommand = changeCommand('enable', 'Accept a disabled API key again', { enabled: true });

export const keyRenameCommand = defineCommand({
  meta: { name: 'rename', description: 'Change what lists show for an API key' },
  args: {
    ...oneKeyFlags,
    nickname: { type: 'string', valueHint: 'text', required: true, description: 'The new nickname' },
    ...jsonFlag,
  },
  async run(context) {
    const io = ioOf(context);
    const { args } = context;
    const keyId = keyIdOf(args.key);
    const access = await keyAccess(args, io);
    const body = { nickname: args.nickname };
    const { key } = await access.one<{ key: KeyAnswer }>(keyId, { method: 'PATCH', body });
    io.out(args.json ? JSON.stringify(key) : line(key));
  },
});

export const keyDeleteCommand = defineCommand({
  meta: { name: 'delete', description: 'End an API key for good. It cannot be brought back' },
  args: { ...oneKeyFlags, yes: { type: 'boolean', description: 'Do not ask' }, ...jsonFlag },
  async run(context) {
    const io = ioOf(context);
    const { args } = context;
    const keyId = keyIdOf(args.key);
    const access = await keyAccess(args, io);
    if (args.yes !== true) {
      if (!io.inIsTerminal)
        throw new CliError('usage', 'a deleted key cannot be brought back: give --yes as well');
      const { key } = await access.one<{ key: KeyAnswer }>(keyId);
      io.err(line(key));
      if ((await io.ask('Type yes to delete it')) !== 'yes')
        throw new CliError('interrupted', 'nothing was changed');
    }
    await access.one(keyId, { method: 'DELETE' });
    io.out(args.json ? JSON.stringify({ deleted: keyId }) : `deleted ${keyId}`);
  },
});
