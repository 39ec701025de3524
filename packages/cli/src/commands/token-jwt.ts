/** `countersign token ws|rest`: signs with an API key and prints what a shell can keep, as the samples of seed 003 do. */
import { defineCommand } from 'citty';
import { CliError } from '../cli-error.ts';
import type { Io } from '../io.ts';
import { chosenOrigin } from '../session/address.ts';
import { apiKeyFlags, findApiKey } from '../session/api-key-source.ts';
import { ioOf, jsonFlag } from './shared.ts';

const formFlags = {
  raw: { type: 'boolean', description: 'The token alone, without `export JWT=`' },
  ...jsonFlag,
} as const;

function show(
  io: Io,
  args: { raw?: boolean | undefined; json?: boolean | undefined },
  jwt: string,
  keyName: string,
): void {
  if (args.json) {
    const claims = JSON.parse(Buffer.from(jwt.split('.')[1] ?? '', 'base64url').toString()) as Record<
      string,
      unknown
    >;
    const { exp, uri } = claims;
    io.out(JSON.stringify({ jwt, keyName, expiresAt: exp, ...(uri === undefined ? {} : { uri }) }));
  } else io.out(args.raw ? jwt : `export JWT=${jwt}`);
}

export const tokenWsCommand = defineCommand({
  meta: {
    name: 'ws',
    description: 'Sign a WebSocket token with an API key: prints export JWT=... (2 minutes)',
  },
  args: { ...apiKeyFlags, ...formFlags },
  async run(context) {
    const io = ioOf(context);
    const key = await findApiKey(context.args, io);
    show(io, context.args, await key.webSocketToken(), key.name);
  },
});

export const tokenRestCommand = defineCommand({
  meta: {
    name: 'rest',
    description: 'Sign a token for one REST request with an API key: prints export JWT=... (2 minutes)',
  },
  args: {
    method: { type: 'positional', required: true, description: 'GET, POST, ...' },
    url: {
      type: 'positional',
      required: true,
      description: "Address of the request, or a path at the profile's service",
    },
    ...apiKeyFlags,
    ...formFlags,
  },
  async run(context) {
    const io = ioOf(context);
    const { args } = context;
    const method = methodOf(args.method);
    const url = args.url.startsWith('/')
      ? `${new URL(chosenOrigin(undefined, io.env)).origin}${args.url}`
      : args.url;
    if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol))
      throw new CliError('usage', 'URL needs to be an http or https address, or a path');
    const key = await findApiKey(args, io);
    show(io, args, await key.restToken(method, url), key.name);
  },
});

/** @throws CliError `usage` */
export function methodOf(text: string): string {
  const method = text.toUpperCase();
  if (/^(?:GET|HEAD|POST|PUT|PATCH|DELETE)$/.test(method)) return method;
  throw new CliError('usage', 'METHOD is one of GET, HEAD, POST, PUT, PATCH, DELETE');
}
