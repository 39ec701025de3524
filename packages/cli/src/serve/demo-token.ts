/** A handshake token for trying things out: made at the first start with a sandbox, for the demo wallet's user. */
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { CliError } from '../cli-error.ts';
import { call } from '../session/api.ts';
import { reserveTokenFile } from '../session/token-file.ts';

const PERMISSIONS = ['market_data', 'account_updates', 'trading', 'transfer'];

/**
 * Gives the token of the data folder, or makes one where there is none that works.
 *
 * @param rest origin of the public listener: what works is tried there
 * @param admin the internal listener's origin and the admin token
 * @param address of the demo wallet, whose user is made if it never logged in
 * @throws CliError
 */
export async function demoToken(
  dataDir: string,
  rest: string,
  admin: { origin: string; bearer: string },
  address: string,
): Promise<{ tokenFile: string }> {
  const tokenFile = join(dataDir, 'handshake.token');
  if (existsSync(tokenFile)) {
    if (await works(tokenFile, rest)) return { tokenFile };
    rmSync(tokenFile);
  }
  const ask = <Data>(path: string, method: 'POST' | 'PATCH', body: Record<string, unknown>) =>
    call<Data>(admin.origin, `/admin/v1${path}`, { method, bearer: admin.bearer, body });
  const { user } = await ask<{ user: { userId: number; permissions: string[] } }>('/users', 'POST', {
    address,
  });
  // A token can do what its user can: here, every event of the sandbox.
  const permissions = [...new Set([...user.permissions, ...PERMISSIONS])];
  if (permissions.length > user.permissions.length)
    await ask(`/users/${user.userId}`, 'PATCH', { permissions });
  const file = reserveTokenFile(tokenFile);
  try {
    const { secret } = await ask<{ secret: string }>('/handshake-tokens', 'POST', {
      userId: user.userId,
      name: 'demo',
      permissions: PERMISSIONS,
    });
    file.write(secret);
  } finally {
    file.release();
  }
  return { tokenFile };
}

/** False if the gateway does not know the token (its database is new), or does not accept it any more. */
async function works(tokenFile: string, rest: string): Promise<boolean> {
  let bearer: string;
  try {
    bearer = readFileSync(tokenFile, 'utf8').trim();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new CliError('config', `cannot read the demo token ${tokenFile}: ${code}`);
  }
  if (!/^cst_\w+$/.test(bearer))
    throw new CliError('config', `${tokenFile} is no handshake token; remove it to get a new one`);
  try {
    await call(rest, '/v1/user/info', { bearer });
    return true;
  } catch (error) {
    if (error instanceof CliError && error.exit === 'refused') return false;
    throw error;
  }
}
