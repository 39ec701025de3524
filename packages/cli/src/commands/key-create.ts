import { defineCommand } from 'citty';
import { CliError } from '../cli-error.ts';
import { printable } from '../io.ts';
import { type CreatedKeyAnswer, DEFAULT_KEY_FILE, reserveKeyFile } from '../session/key-file.ts';
import { keyAccess, listOf, userFlags } from './key-access.ts';
import { ioOf, jsonFlag } from './shared.ts';

/** What may be chosen about a key, however its pair comes about. */
export const wishFlags = {
  nickname: { type: 'string', valueHint: 'text', description: 'What lists show (default: API key)' },
  scopes: {
    type: 'string',
    valueHint: 'list',
    default: 'view',
    description: 'What the key may do: view, trade, transfer, with commas',
  },
  'allowed-ips': {
    type: 'string',
    valueHint: 'list',
    description: 'Addresses or CIDR blocks that it may be used from (default: any)',
  },
  expires: {
    type: 'string',
    valueHint: 'time',
    description: 'When it ends, such as 2027-01-31T12:00:00Z (default: never)',
  },
  strict: { type: 'boolean', description: 'Take each signed token once instead of until it expires' },
  tier: { type: 'string', valueHint: 'name', description: "Overrides the user's tier; operators only" },
} as const;

interface WishArgs {
  nickname?: string | undefined;
  scopes: string;
  'allowed-ips'?: string | undefined;
  expires?: string | undefined;
  strict?: boolean | undefined;
  tier?: string | undefined;
}

export function wishOf(args: WishArgs): Record<string, unknown> {
  const expiresAt = args.expires === undefined ? undefined : Date.parse(args.expires);
  if (Number.isNaN(expiresAt))
    throw new CliError('usage', `--expires: "${printable(args.expires ?? '', 40)}" is no time`);
  return {
    scopes: listOf(args.scopes),
    ...(args.nickname === undefined ? {} : { nickname: args.nickname }),
    ...(args['allowed-ips'] === undefined ? {} : { allowedIps: listOf(args['allowed-ips']) }),
    ...(expiresAt === undefined ? {} : { expiresAt }),
    ...(args.strict === true ? { replay: 'strict' } : {}),
    ...(args.tier === undefined ? {} : { tier: args.tier }),
  };
}

export const keyCreateCommand = defineCommand({
  meta: {
    name: 'create',
    description: 'Make an API key and write its file. The private key is in that file and nowhere else',
  },
  args: {
    ...wishFlags,
    alg: { type: 'string', valueHint: 'name', description: 'ES256 (default) or EdDSA' },
    out: {
      type: 'string',
      valueHint: 'file',
      description: `Where to write (default: ${DEFAULT_KEY_FILE}). A file that exists is not overwritten`,
    },
    ...userFlags,
    ...jsonFlag,
  },
  async run(context) {
    const io = ioOf(context);
    const { args } = context;
    const wish = { ...wishOf(args), ...(args.alg === undefined ? {} : { alg: args.alg }) };
    const access = await keyAccess(args, io);
    const path = args.out ?? DEFAULT_KEY_FILE;
    const file = reserveKeyFile(path);
    let created: CreatedKeyAnswer;
    try {
      created = await access.all<CreatedKeyAnswer>({ method: 'POST', body: wish });
      file.write(created);
    } finally {
      file.release();
    }
    if (args.json) io.out(JSON.stringify({ name: created.name, keyFile: path, key: created.key }));
    else {
      io.out(printable(created.name));
      io.err(`its private key is in ${path} and cannot be shown again`);
    }
  },
});
