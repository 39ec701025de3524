/** On whose behalf a command manages API keys: their owner with the saved session, or an operator with the admin token. */
import { join } from 'node:path';
import { CliError } from '../cli-error.ts';
import { type Io, printable } from '../io.ts';
import { baseOf, type Call, call, isAboutToExpire, refresh } from '../session/api.ts';
import { requireSession, saveSession } from '../session/session-file.ts';
import { readToken } from '../session/token-file.ts';

const DEFAULT_INTERNAL_URL = 'http://127.0.0.1:4401';

export const adminFlags = {
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
} as const;

/** For commands that do what the venue's backend does. */
export const backendFlags = {
  ...adminFlags,
  'token-file': {
    type: 'string',
    valueHint: 'file',
    description: 'The backend token (default: backend.token in the data folder)',
  },
} as const;

/** For commands that concern one user's keys as a whole. */
export const userFlags = {
  user: {
    type: 'string',
    valueHint: 'id',
    description: 'Act as an operator, for this user (default: the saved session acts for its own user)',
  },
  ...adminFlags,
} as const;

/** For commands that concern one key. */
export const oneKeyFlags = {
  key: { type: 'string', valueHint: 'name', required: true, description: 'Name or id of the key' },
  operator: {
    type: 'boolean',
    description: 'Act as an operator, with the admin token (default: with the saved session)',
  },
  ...adminFlags,
} as const;

export interface AdminArgs {
  'internal-url'?: string | undefined;
  'data-dir'?: string | undefined;
  'token-file'?: string | undefined;
}

/** The flag, else the profile's or the variable `COUNTERSIGN_INTERNAL_URL`, else the default. */
export const internalUrlOf = (args: AdminArgs, io: Io): string =>
  args['internal-url'] ?? (io.env.COUNTERSIGN_INTERNAL_URL || DEFAULT_INTERNAL_URL);

/** Where the gateway keeps its files. */
export const dataDirOf = (args: AdminArgs, io: Io): string =>
  args['data-dir'] ?? (io.env.COUNTERSIGN_DATA_DIR || '.countersign');

export function adminOf(args: AdminArgs, io: Io): { origin: string; bearer: string } {
  const path = args['token-file'] ?? join(dataDirOf(args, io), 'admin.token');
  return { origin: baseOf(internalUrlOf(args, io)), bearer: readToken(path, 'admin token') };
}

export function backendOf(args: AdminArgs, io: Io): { origin: string; bearer: string } {
  const path = args['token-file'] ?? join(dataDirOf(args, io), 'backend.token');
  return { origin: baseOf(internalUrlOf(args, io)), bearer: readToken(path, 'backend token') };
}

export interface KeyAccess {
  operator: boolean;
  /** Whose keys; null where an operator named only a key. */
  userId: number | null;
  /** Asks about all keys of the user. */
  all<Data>(options?: Pick<Call, 'method' | 'body'>): Promise<Data>;
  /** Asks about one key; `what` such as `/rotate`. */
  one<Data>(keyId: string, options?: Pick<Call, 'method' | 'body'>, what?: string): Promise<Data>;
}

/** @throws CliError */
export async function keyAccess(
  args: AdminArgs & { user?: string | undefined; operator?: boolean | undefined },
  io: Io,
): Promise<KeyAccess> {
  const named = args['internal-url'] ?? args['data-dir'] ?? args['token-file'];
  if (args.user !== undefined || args.operator === true || named !== undefined) {
    if (args.user !== undefined && !/^[1-9]\d{0,14}$/.test(args.user))
      throw new CliError('usage', `--user: "${printable(args.user, 40)}" is no user id`);
    const { origin, bearer } = adminOf(args, io);
    const ask = <Data>(path: string, options: Pick<Call, 'method' | 'body'> = {}) =>
      call<Data>(origin, `/admin/v1${path}`, { ...options, bearer, signal: io.stop });
    return {
      operator: true,
      userId: args.user === undefined ? null : Number(args.user),
      all(options) {
        if (args.user === undefined)
          throw new CliError('usage', 'an operator has to say whose keys: give --user');
        return ask(`/users/${args.user}/keys`, options);
      },
      one: (keyId, options, what = '') => ask(`/keys/${keyId}${what}`, options),
    };
  }
  const { path: file, session: saved } = requireSession(io.env);
  const session = isAboutToExpire(saved) ? await refresh(saved, io.stop) : saved;
  if (session !== saved) saveSession(file, session);
  const ask = <Data>(path: string, options: Pick<Call, 'method' | 'body'> = {}) =>
    call<Data>(session.url, `/v1/user/keys${path}`, {
      ...options,
      bearer: session.accessToken,
      signal: io.stop,
    });
  return {
    operator: false,
    userId: session.userId,
    all: (options) => ask('', options),
    one: (keyId, options, what = '') => ask(`/${keyId}${what}`, options),
  };
}

/** The id in a key's name, or an id as it is. */
export function keyIdOf(text: string): string {
  const id = text.slice(text.lastIndexOf('/') + 1);
  if (/^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(id)) return id;
  throw new CliError('usage', `--key: "${printable(text, 80)}" is no name or id of an API key`);
}

/** What stands between commas, without blanks. */
export const listOf = (text: string): string[] =>
  text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
