/** `countersign profile`: environments by name. */
import { defineCommand } from 'citty';
import { CliError } from '../cli-error.ts';
import { printable } from '../io.ts';
import { findProfile, PRESETS, type Profile, profileName, savedProfiles, saveProfiles } from '../profiles.ts';
import { baseOf } from '../session/api.ts';
import { ioOf, jsonFlag } from './shared.ts';

const nameArg = {
  name: { type: 'positional', required: true, description: 'Name of the profile' },
} as const;

const listCommand = defineCommand({
  meta: { name: 'list', description: 'List profiles: those that are built in, and yours' },
  args: jsonFlag,
  run(context) {
    const io = ioOf(context);
    const saved = savedProfiles(io.env);
    for (const [name, profile] of Object.entries({ ...PRESETS, ...saved })) {
      const own = Object.hasOwn(saved, name);
      if (context.args.json) {
        io.out(JSON.stringify({ name, builtIn: !own, ...profile }));
        continue;
      }
      const { url, ...rest } = profile;
      const more = Object.entries(rest).map(([member, value]) => `${member} ${value}`);
      const line = [name.padEnd(16), url, ...more, ...(own ? [] : ['(built in)'])].join('  ');
      io.out(printable(line, 400));
    }
  },
});

const setCommand = defineCommand({
  meta: { name: 'set', description: 'Make a profile, or change one. What is not named stays as it is' },
  args: {
    ...nameArg,
    url: { type: 'string', valueHint: 'address', description: 'Address of the service' },
    'websocket-url': {
      type: 'string',
      valueHint: 'address',
      description: 'Its WebSocket, where that is not /ws of the same host',
    },
    'internal-url': { type: 'string', valueHint: 'address', description: "The gateway's internal listener" },
    'chain-id': { type: 'string', valueHint: 'number', description: 'Chain of wallet logins' },
    'key-file': { type: 'string', valueHint: 'file', description: 'File of an API key' },
    'wallet-key-file': { type: 'string', valueHint: 'file', description: "File of a wallet's private key" },
    'token-file': { type: 'string', valueHint: 'file', description: 'File of a handshake token' },
    ...jsonFlag,
  },
  run(context) {
    const io = ioOf(context);
    const { args } = context;
    const name = profileName(args.name);
    const saved = savedProfiles(io.env);
    const known = Object.hasOwn(saved, name) || Object.hasOwn(PRESETS, name);
    const before: Partial<Profile> = known ? findProfile(io.env, name) : {};
    const webSocketUrl = args['websocket-url'];
    if (webSocketUrl !== undefined && !/^wss?:\/\/[^@\s]+$/.test(webSocketUrl))
      throw new CliError('usage', '--websocket-url needs a ws or wss address without a user');
    const chainId = args['chain-id'];
    if (chainId !== undefined && !/^[1-9]\d{0,14}$/.test(chainId))
      throw new CliError('usage', '--chain-id needs a number such as 1 or 560048');
    const given: Partial<Record<keyof Profile, string | number | undefined>> = {
      url: args.url === undefined ? undefined : baseOf(args.url),
      webSocketUrl,
      internalUrl: args['internal-url'] === undefined ? undefined : baseOf(args['internal-url']),
      chainId: chainId === undefined ? undefined : Number(chainId),
      keyFile: args['key-file'],
      walletKeyFile: args['wallet-key-file'],
      tokenFile: args['token-file'],
    };
    const named = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
    const profile = { ...before, ...named } as Profile;
    if (profile.url === undefined) throw new CliError('usage', 'a new profile needs --url');
    saveProfiles(io.env, { ...saved, [name]: profile });
    io.out(args.json ? JSON.stringify({ name, ...profile }) : `saved profile ${name}: ${profile.url}`);
  },
});

const removeCommand = defineCommand({
  meta: { name: 'remove', description: 'Forget a profile of yours. What is built in comes back' },
  args: { ...nameArg, ...jsonFlag },
  run(context) {
    const io = ioOf(context);
    const { name } = context.args;
    const saved = savedProfiles(io.env);
    if (!Object.hasOwn(saved, name))
      throw new CliError('usage', `there is no saved profile "${printable(name, 40)}"`);
    const { [name]: _gone, ...rest } = saved;
    saveProfiles(io.env, rest);
    io.out(context.args.json ? JSON.stringify({ removed: name }) : `removed profile ${name}`);
  },
});

export const profileCommand = defineCommand({
  meta: { name: 'profile', description: 'Name environments: every command takes --profile NAME' },
  subCommands: { list: listCommand, set: setCommand, remove: removeCommand },
});
