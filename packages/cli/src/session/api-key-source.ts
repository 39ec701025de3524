/** Where a command finds the API key that signs for it. */
import { existsSync, statSync } from 'node:fs';
import type { ApiKey } from '@countersign/client';
import { apiKeyFromEnv, apiKeyFromFile } from '@countersign/client/node';
import { CliError } from '../cli-error.ts';
import type { Io } from '../io.ts';
import { DEFAULT_KEY_FILE } from './key-file.ts';

export const apiKeyFlags = {
  'key-file': {
    type: 'string',
    valueHint: 'file',
    description:
      'API key (default: the profile, then COINBASE_API_KEY and _SECRET, CDP_API_KEY_ID and _SECRET, ' +
      `NAME and PRIVATE_KEY, then ./${DEFAULT_KEY_FILE})`,
  },
  'key-name': {
    type: 'string',
    valueHint: 'name',
    description: 'Name of the key, where its file does not hold it (PEM, base64)',
  },
} as const;

export interface ApiKeyArgs {
  'key-file'?: string | undefined;
  'key-name'?: string | undefined;
}

/** True if there is an API key without a file being named. */
export function hasApiKey(env: Io['env']): boolean {
  const pair = (name: string, secret: string) => Boolean(env[name]?.trim() && env[secret]?.trim());
  return (
    Boolean(env.COUNTERSIGN_KEY_FILE) ||
    pair('COINBASE_API_KEY', 'COINBASE_API_SECRET') ||
    pair('CDP_API_KEY_ID', 'CDP_API_KEY_SECRET') ||
    pair('NAME', 'PRIVATE_KEY')
  );
}

/** @throws CliError `config`; the message holds nothing of the key */
export async function findApiKey(args: ApiKeyArgs, io: Io): Promise<ApiKey> {
  const named = args['key-file'] ?? io.env.COUNTERSIGN_KEY_FILE;
  const file = named || (!hasApiKey(io.env) && existsSync(DEFAULT_KEY_FILE) ? DEFAULT_KEY_FILE : undefined);
  try {
    if (file === undefined) return await apiKeyFromEnv({ env: { ...io.env }, allowInsecure: true });
    const name = args['key-name'];
    warnOfReaders(file, io);
    return await apiKeyFromFile(file, { allowInsecure: true, ...(name === undefined ? {} : { name }) });
  } catch (error) {
    const where = file === undefined ? `. Or give --key-file` : '';
    throw new CliError('config', `${(error as Error).message}${where}`, { cause: error });
  }
}

/** Says so where a secret's file can be read by others. Used all the same: it was made by somebody else's program. */
export function warnOfReaders(path: string, io: Io): void {
  const mode = statSync(path, { throwIfNoEntry: false })?.mode ?? 0;
  if ((mode & 0o077) !== 0) io.err(`warning: ${path} can be read by others; run: chmod 600 ${path}`);
}
