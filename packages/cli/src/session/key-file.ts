/** The file of an API key, in the shape of a `cdp_api_key.json`: what signs for its owner, so mode 0600 and never shown. */
import { randomBytes } from 'node:crypto';
import { closeSync, fchmodSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { CliError } from '../cli-error.ts';

/** A key as the API describes it. */
export interface KeyAnswer {
  keyId: string;
  name: string;
  userId: number;
  nickname: string;
  alg: string;
  scopes: string[];
  tier: string | null;
  allowedIps: string[];
  replay: string;
  enabled: boolean;
  /** Milliseconds since 1970. */
  createdAt: number;
  expiresAt: number | null;
  replacedBy: string | null;
}

/** What the API answers to making a key. `privateKey` is null where the owner brought the key. */
export interface CreatedKeyAnswer {
  key: KeyAnswer;
  name: string;
  privateKey: string | null;
}

export interface ReservedFile {
  /** Writes the key and gives the file its name. @throws CliError `config` */
  write(created: CreatedKeyAnswer): void;
  /** Takes the empty file away again. Does nothing once written. */
  release(): void;
}

export const DEFAULT_KEY_FILE = 'cdp_api_key.json';

/**
 * Makes the file before the key is made, because a private key that cannot be written is lost.
 *
 * @param replace takes the place of a file that is there, in one step and only when the key is in it
 * @throws CliError `config` if there is a file already, or none can be made
 */
export function reserveKeyFile(path: string, { replace = false } = {}): ReservedFile {
  const target = replace ? join(dirname(path), `.key-${randomBytes(6).toString('hex')}`) : path;
  let file: number;
  try {
    file = openSync(target, 'wx', 0o600);
    fchmodSync(file, 0o600);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new CliError(
      'config',
      code === 'EEXIST'
        ? `${path} exists and is not overwritten; choose another file with --out`
        : `cannot write ${path}: ${code}`,
    );
  }
  let open = true;
  return {
    write(created) {
      try {
        writeSync(file, `${JSON.stringify(fileOf(created), null, 2)}\n`);
        fsyncSync(file);
        closeSync(file);
        open = false;
        if (target !== path) renameSync(target, path);
      } catch (error) {
        throw new CliError(
          'config',
          `cannot write ${path} (${(error as NodeJS.ErrnoException).code}): the key ${created.name} cannot be used; delete it`,
        );
      }
    },
    release() {
      if (!open) return;
      open = false;
      closeSync(file);
      rmSync(target, { force: true });
    },
  };
}

function fileOf({ key, name, privateKey }: CreatedKeyAnswer) {
  return {
    name,
    privateKey,
    nickname: key.nickname,
    scopes: key.scopes,
    allowedIps: key.allowedIps,
    createTime: new Date(key.createdAt).toISOString(),
    ...(key.expiresAt === null ? {} : { expireTime: new Date(key.expiresAt).toISOString() }),
  };
}
