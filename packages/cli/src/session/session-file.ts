/**
 * The saved session: what `login --save` leaves for the other commands. It holds a refresh token, which is
 * worth seven days of access, so the file is made with mode 0600 in a folder with mode 0700, and a file that
 * others can read is not used.
 */
import { randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { CliError } from '../cli-error.ts';
import type { Io } from '../io.ts';

export interface SavedSession {
  /** Origin of the gateway, without a path. */
  url: string;
  userId: number;
  address: string;
  accessToken: string;
  /** UNIX seconds. */
  accessExpiresAt: number;
  refreshToken: string;
  /** UNIX seconds at which the session ends, whatever is refreshed. */
  sessionExpiresAt: number | null;
}

/** Where the program keeps what it remembers. */
export function homeOf(env: Io['env']): string {
  if (env.COUNTERSIGN_HOME) return env.COUNTERSIGN_HOME;
  return join(env.XDG_CONFIG_HOME || join(env.HOME || homedir(), '.config'), 'countersign');
}

/** Each profile has a session of its own: a login on a test network leaves the one on mainnet alone. */
export function sessionPath(env: Io['env']): string {
  const profile = env.COUNTERSIGN_PROFILE;
  return join(homeOf(env), profile ? `session-${profile}.json` : 'session.json');
}

/** Writes beside the file and renames, so that a crash leaves the old session or the new one. */
export function saveSession(path: string, session: SavedSession): void {
  const folder = dirname(path);
  const beside = join(folder, `.session-${randomBytes(6).toString('hex')}`);
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    writeFileSync(beside, `${JSON.stringify(session, null, 2)}\n`, { mode: 0o600, flag: 'wx' });
    chmodSync(beside, 0o600);
    renameSync(beside, path);
  } catch (error) {
    rmSync(beside, { force: true });
    throw new CliError(
      'config',
      `cannot write ${path}: ${(error as NodeJS.ErrnoException).code ?? 'unknown error'}`,
    );
  }
}

/** @returns null if there is none */
export function loadSession(path: string): SavedSession | null {
  let text: string;
  try {
    if ((statSync(path).mode & 0o077) !== 0) {
      throw new CliError('config', `${path} can be read by others; run: chmod 600 ${path}`);
    }
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if (error instanceof CliError) throw error;
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return null;
    throw new CliError('config', `cannot read ${path}: ${code}`);
  }
  const session = parse(text);
  if (session === null) throw new CliError('config', `${path} holds no session; log in again with --save`);
  return session;
}

export function requireSession(env: Io['env']): { path: string; session: SavedSession } {
  const path = sessionPath(env);
  const session = loadSession(path);
  if (!session) throw new CliError('config', 'there is no saved session; run: countersign login --save');
  return { path, session };
}

export function removeSession(path: string): void {
  rmSync(path, { force: true });
}

function parse(text: string): SavedSession | null {
  let value: Partial<SavedSession> | null;
  try {
    value = JSON.parse(text) as Partial<SavedSession> | null;
  } catch {
    return null;
  }
  if (typeof value !== 'object' || value === null) return null;
  const { url, userId, address, accessToken, accessExpiresAt, refreshToken, sessionExpiresAt } = value;
  const sound =
    typeof url === 'string' &&
    typeof userId === 'number' &&
    typeof address === 'string' &&
    typeof accessToken === 'string' &&
    typeof accessExpiresAt === 'number' &&
    typeof refreshToken === 'string';
  if (!sound) return null;
  return {
    url,
    userId,
    address,
    accessToken,
    accessExpiresAt,
    refreshToken,
    sessionExpiresAt: sessionExpiresAt ?? null,
  };
}
