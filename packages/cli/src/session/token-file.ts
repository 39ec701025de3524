/** A file of one token that only its owner may read. */
import { closeSync, fsyncSync, openSync, readFileSync, unlinkSync, writeSync } from 'node:fs';
import { CliError } from '../cli-error.ts';

export interface TokenFile {
  write(token: string): void;
  /** Closes the file, and removes it if nothing was written. */
  release(): void;
}

/** Makes the file, empty as yet. @throws CliError if it exists or cannot be made */
export function reserveTokenFile(path: string): TokenFile {
  let file: number;
  try {
    file = openSync(path, 'wx', 0o600);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new CliError(
      'config',
      code === 'EEXIST' ? `${path} exists already` : `cannot make ${path}: ${code}`,
    );
  }
  let written = false;
  return {
    write(token) {
      writeSync(file, `${token}\n`);
      fsyncSync(file);
      written = true;
    },
    release() {
      closeSync(file);
      if (!written) unlinkSync(path);
    },
  };
}

/** @param what the token is, for the message @throws CliError `config` */
export function readToken(path: string, what: string): string {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const why = code === 'ENOENT' ? 'there is no such file (is --data-dir right?)' : String(code);
    throw new CliError('config', `cannot read the ${what} ${path}: ${why}`);
  }
}
