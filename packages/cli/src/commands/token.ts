/**
 * `countersign token`: handshake tokens, which an operator hands out (seed 004, "Getting Credentials"), and beside them
 * the tokens that an API key signs for itself (token-jwt.ts).
 */
import { defineCommand } from 'citty';
import { CliError } from '../cli-error.ts';
import { type Io, printable } from '../io.ts';
import { type Call, call } from '../session/api.ts';
import { reserveTokenFile, type TokenFile } from '../session/token-file.ts';
import { type AdminArgs, adminFlags, adminOf, listOf } from './key-access.ts';
import { instant, ioOf, jsonFlag } from './shared.ts';
import { tokenRestCommand, tokenWsCommand } from './token-jwt.ts';

/** As the admin API shows a token. */
interface Token {
  tokenId: string;
  userId: number;
  name: string;
  permissions: string[];
  tier: string | null;
  allowedIps: string[];
  createdAt: number;
  expiresAt: number | null;
  revokedAt: number | null;
  replacedBy: string | null;
  lastUsedAt: number | null;
  connects: number;
  requests: number;
}

interface Created {
  handshakeToken: Token;
  secret: string;
}

const oneFlag = {
  id: { type: 'string', valueHint: 'id', required: true, description: 'Id of the token' },
} as const;
const outFlag = {
  out: {
    type: 'string',
    valueHint: 'file',
    description: 'Write the token to this new file (default: show it, this once)',
  },
} as const;

const at = (milliseconds: number) => instant(Math.floor(milliseconds / 1000));

function stateOf({ revokedAt, expiresAt, replacedBy }: Token): string {
  if (revokedAt !== null) return `revoked ${at(revokedAt)}`;
  if (expiresAt === null) return 'good';
  return `${expiresAt <= Date.now() ? 'ended' : 'ends'} ${at(expiresAt)}${replacedBy === null ? '' : ' (replaced)'}`;
}

function lineOf(token: Token): string {
  const used = token.lastUsedAt === null ? 'never used' : `used ${at(token.lastUsedAt)}`;
  const counts = `${token.connects} connections, ${token.requests} requests`;
  return printable(
    `${token.tokenId}  user ${token.userId}  ${token.name}  ${token.permissions.join(',') || 'nothing private'}  ${stateOf(token)}  ${used} (${counts})`,
    400,
  );
}

function asker(args: AdminArgs, io: Io) {
  const { origin, bearer } = adminOf(args, io);
  return <Data>(path: string, options: Pick<Call, 'method' | 'body'> = {}) =>
    call<Data>(origin, `/admin/v1/handshake-tokens${path}`, { ...options, bearer, signal: io.stop });
}

function idOf(text: string): string {
  if (/^[0-9a-f]{32}$/.test(text)) return text;
  const hint = text.startsWith('cst_') ? ': give its id, which is no secret, not the token itself' : '';
  throw new CliError('usage', `--id: that is no id of a token${hint}`);
}

/** Makes room for the secret before it is made: one that cannot be kept would be lost. */
async function keep(
  io: Io,
  args: { out?: string | undefined; json?: boolean | undefined },
  make: () => Promise<Created>,
) {
  const file: TokenFile | null = args.out === undefined ? null : reserveTokenFile(args.out);
  let created: Created;
  try {
    created = await make();
    file?.write(created.secret);
  } finally {
    file?.release();
  }
  const { handshakeToken, secret } = created;
  if (args.json) {
    const where = file === null ? { secret } : { tokenFile: args.out };
    io.out(JSON.stringify({ handshakeToken, ...where }));
  } else {
    io.err(lineOf(handshakeToken));
    if (file === null) {
      io.err('This is the only time the token is shown:');
      io.out(secret);
    } else io.out(String(args.out));
  }
}

const createCommand = defineCommand({
  meta: {
    name: 'create',
    description: 'As an operator: make a handshake token for a user, or for a new one',
  },
  args: {
    name: { type: 'string', valueHint: 'text', required: true, description: 'What it is used for' },
    user: {
      type: 'string',
      valueHint: 'id',
      description: 'Whose it is (default: a new user of the same name)',
    },
    permissions: {
      type: 'string',
      valueHint: 'list',
      default: 'market_data,account_updates,trading',
      description: 'What it may do of what its user may: market_data, account_updates, trading, transfer',
    },
    tier: { type: 'string', valueHint: 'name', description: "Tier of its limits (default: the user's)" },
    'allowed-ips': {
      type: 'string',
      valueHint: 'list',
      description: 'Addresses and blocks (default: anywhere)',
    },
    days: { type: 'string', valueHint: 'number', description: 'Ends after so many days (default: never)' },
    ...outFlag,
    ...adminFlags,
    ...jsonFlag,
  },
  async run(context) {
    const io = ioOf(context);
    const { args } = context;
    if (args.user !== undefined && !/^[1-9]\d{0,14}$/.test(args.user))
      throw new CliError('usage', '--user needs a user id');
    if (args.days !== undefined && !/^[1-9]\d{0,4}$/.test(args.days))
      throw new CliError('usage', '--days needs a number of days');
    const body = {
      ...(args.user === undefined ? { user: { displayName: args.name } } : { userId: Number(args.user) }),
      name: args.name,
      permissions: listOf(args.permissions),
      ...(args.tier === undefined ? {} : { tier: args.tier }),
      ...(args['allowed-ips'] === undefined ? {} : { allowedIps: listOf(args['allowed-ips']) }),
      ...(args.days === undefined ? {} : { expiresAt: Date.now() + Number(args.days) * 86_400_000 }),
    };
    const ask = asker(args, io);
    await keep(io, args, () => ask<Created>('', { method: 'POST', body }));
  },
});

const listCommand = defineCommand({
  meta: {
    name: 'list',
    description: 'As an operator: list handshake tokens, newest first, with how much they are used',
  },
  args: {
    user: { type: 'string', valueHint: 'id', description: 'Only of this user' },
    ...adminFlags,
    ...jsonFlag,
  },
  async run(context) {
    const io = ioOf(context);
    const { args } = context;
    if (args.user !== undefined && !/^[1-9]\d{0,14}$/.test(args.user))
      throw new CliError('usage', '--user needs a user id');
    const query = args.user === undefined ? '' : `?userId=${args.user}`;
    const { handshakeTokens } = await asker(args, io)<{ handshakeTokens: Token[] }>(query);
    if (args.json) for (const token of handshakeTokens) io.out(JSON.stringify(token));
    else if (handshakeTokens.length === 0)
      io.err('there are no tokens; make one with: countersign token create');
    else for (const token of handshakeTokens) io.out(lineOf(token));
  },
});

const rotateCommand = defineCommand({
  meta: {
    name: 'rotate',
    description:
      'As an operator: replace a handshake token by one with the same rights. The old one works for the overlap',
  },
  args: {
    ...oneFlag,
    overlap: {
      type: 'string',
      valueHint: 'seconds',
      default: '3600',
      description: 'How long the old token still works; 0 ends it, and its connections, at once',
    },
    ...outFlag,
    ...adminFlags,
    ...jsonFlag,
  },
  async run(context) {
    const io = ioOf(context);
    const { args } = context;
    const id = idOf(args.id);
    if (!/^\d{1,7}$/.test(args.overlap)) throw new CliError('usage', '--overlap needs a number of seconds');
    const body = { overlapSeconds: Number(args.overlap) };
    const ask = asker(args, io);
    await keep(io, args, () => ask<Created>(`/${id}/rotate`, { method: 'POST', body }));
  },
});

const revokeCommand = defineCommand({
  meta: {
    name: 'revoke',
    description: 'As an operator: end a handshake token for good, and every connection that stands on it',
  },
  args: { ...oneFlag, ...adminFlags, ...jsonFlag },
  async run(context) {
    const io = ioOf(context);
    const { args } = context;
    const id = idOf(args.id);
    await asker(args, io)(`/${id}`, { method: 'DELETE' });
    io.out(args.json ? JSON.stringify({ revoked: id }) : `revoked ${id}`);
  },
});

export const tokenCommand = defineCommand({
  meta: { name: 'token', description: 'Sign tokens with an API key; manage handshake tokens' },
  subCommands: {
    ws: tokenWsCommand,
    rest: tokenRestCommand,
    create: createCommand,
    list: listCommand,
    rotate: rotateCommand,
    revoke: revokeCommand,
  },
});
