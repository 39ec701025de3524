/** An API key for trying things out: made at the first start with a sandbox, for the demo wallet's user. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CliError } from '../cli-error.ts';
import { call } from '../session/api.ts';
import {
  type CreatedKeyAnswer,
  DEFAULT_KEY_FILE,
  type KeyAnswer,
  reserveKeyFile,
} from '../session/key-file.ts';

export interface DemoKey {
  name: string;
  keyFile: string;
}

/**
 * Gives the key of the data folder, or makes one where there is none that works.
 *
 * @param admin the internal listener's origin and the admin token
 * @param address of the demo wallet, whose user is made if it never logged in
 * @throws CliError
 */
export async function demoKey(
  dataDir: string,
  admin: { origin: string; bearer: string },
  address: string,
): Promise<DemoKey> {
  const keyFile = join(dataDir, DEFAULT_KEY_FILE);
  const known = existsSync(keyFile) ? nameIn(keyFile) : null;
  if (known !== null && (await works(known, admin))) return { name: known, keyFile };

  const { user } = await call<{ user: { userId: number } }>(admin.origin, '/admin/v1/users', {
    method: 'POST',
    bearer: admin.bearer,
    body: { address },
  });
  const file = reserveKeyFile(keyFile, { replace: known !== null });
  try {
    const created = await call<CreatedKeyAnswer>(admin.origin, `/admin/v1/users/${user.userId}/keys`, {
      method: 'POST',
      bearer: admin.bearer,
      body: { nickname: 'demo', scopes: ['view', 'trade'] },
    });
    file.write(created);
    return { name: created.name, keyFile };
  } finally {
    file.release();
  }
}

/** False if the gateway does not know the key (its database is new), or does not accept it any more. */
async function works(name: string, { origin, bearer }: { origin: string; bearer: string }): Promise<boolean> {
  const keyId = name.slice(name.lastIndexOf('/') + 1);
  try {
    const { key } = await call<{ key: KeyAnswer }>(origin, `/admin/v1/keys/${keyId}`, { bearer });
    return key.name === name && key.enabled && (key.expiresAt === null || key.expiresAt > Date.now());
  } catch (error) {
    if (error instanceof CliError && error.exit === 'refused') return false;
    throw error;
  }
}

function nameIn(keyFile: string): string {
  try {
    const { name } = JSON.parse(readFileSync(keyFile, 'utf8')) as { name?: unknown };
    if (typeof name === 'string' && /^organizations\/[\w-]+\/apiKeys\/[\w-]+$/.test(name)) return name;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== undefined) throw new CliError('config', `cannot read the demo API key ${keyFile}: ${code}`);
  }
  throw new CliError('config', `${keyFile} is no API key file; remove it to get a new one`);
}
